//! How a contract file is written: what a reader looks for first stands first, all else in the order of the alphabet.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// What stands first, in this order.
const FIRST: [&str; 20] = [
    "openapi",
    "asyncapi",
    "info",
    "$ref",
    "op",
    "name",
    "title",
    "version",
    "in",
    "required",
    "type",
    "summary",
    "description",
    "servers",
    "channels",
    "operations",
    "paths",
    "components",
    "messages",
    "schemas",
];

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            Value::Object(fields) => {
                let mut names: Vec<&String> = fields.keys().collect();
                let place = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
                names.sort_by_key(|name| (place(name), *name));
                let mut map = serializer.serialize_map(Some(names.len()))?;
                for name in names {
                    map.serialize_entry(name, &fields.get(name).map(Ordered))?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// The text of a contract file. The same whatever order the fields have in memory: that depends on what else is built.
pub(super) fn text(document: &Value) -> String {
    serde_json::to_string_pretty(&Ordered(document)).unwrap() + "\n"
}
