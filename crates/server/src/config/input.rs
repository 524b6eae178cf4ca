//! The input of an Actor's run: what its caller may set of the configuration, which is what its author allows in `[input] allow`.
//!
//! A property of the input is named as a variable of the environment is: `log__max_age`, `source__pairs__every`. Where the server
//! connects to, what it runs, who may do what and who pays is never the caller's to say.

use super::{
    keys::{Reader, Table},
    overrides::{self, json, typed},
    sections::InputKeys,
};

/// Sections all of whose keys can be allowed.
const OPEN: [&str; 4] = ["log", "snapshot", "client", "limits"];

/// Keys of them that cannot: they say whom the server believes.
const CLOSED: [&str; 2] = ["limits.trusted_proxies", "limits.proxy_header"];

/// Keys of sources that can be allowed.
const OPEN_OF_SOURCES: [&str; 14] = [
    "dedupe",
    "every",
    "linger",
    "map",
    "max_frame",
    "max_instances",
    "max_instances_per_client",
    "max_keys",
    "merge",
    "numbers",
    "repeat",
    "send",
    "speed",
    "stale_after",
];

/// Puts what the input says, as far as it is allowed to, in the place of what was said before.
pub(super) fn apply(root: &mut Table, keys: &InputKeys, reader: &mut Reader<'_>) {
    let allowed = allowed(root, &keys.allow, reader);
    let environment = reader.environment;
    for (name, value) in environment.input() {
        let origin = format!("INPUT.{name}");
        if !allowed.iter().any(|path| *name == property(path)) {
            let names: Vec<_> = allowed.iter().map(|path| property(path)).collect();
            let right = match names.as_slice() {
                [] => "`input.allow` names nothing that it may set".to_owned(),
                names => format!("it may set {}", names.join(", ")),
            };
            reader.problem(&origin, "the input may not set this", right);
            continue;
        }
        if mentions_variables(value) {
            reader.problem(&origin, "it has `${` in it", "an input cannot ask for variables of the environment");
            continue;
        }
        // A field that was left empty.
        if value.is_null() {
            continue;
        }
        let Some(spot) = overrides::spot(root, name, &origin, reader) else { continue };
        let Some(key) = spot.key(&origin, reader) else { continue };
        let kind = match value {
            serde_json::Value::String(text) => typed(text, key.shape),
            other => Ok(json(other.clone())),
        };
        match kind {
            Ok(kind) => spot.put(&origin, kind),
            Err(right) => reader.problem(&origin, "its text cannot be read", right),
        }
    }
}

/// Those of `paths` that can be allowed. Any other is a problem, whether there is an input or not.
fn allowed<'a>(root: &mut Table, paths: &'a [String], reader: &mut Reader<'_>) -> Vec<&'a str> {
    let mut allowed = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let place = format!("input.allow[{i}]");
        if is_closed(path) {
            let right = "keys of `log`, `snapshot`, `client` and `limits` can be allowed, and of sources";
            reader.problem(&place, format!("found {path:?}"), format!("{right} {}", OPEN_OF_SOURCES.join(", ")));
            continue;
        }
        let spot = overrides::spot(root, &property(path), &place, reader);
        if spot.is_some_and(|spot| spot.key(&place, reader).is_some()) {
            allowed.push(path.as_str());
        }
    }
    allowed
}

fn is_closed(path: &str) -> bool {
    let open = match path.split_once('.') {
        Some(("source", rest)) => rest.rsplit_once('.').is_some_and(|(_, key)| OPEN_OF_SOURCES.contains(&key)),
        Some((section, _)) => OPEN.contains(&section) && !CLOSED.contains(&path),
        None => false,
    };
    !open
}

/// What the property of the input is called that sets a path.
fn property(path: &str) -> String {
    path.replace('.', "__")
}

fn mentions_variables(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains("${"),
        serde_json::Value::Array(items) => items.iter().any(mentions_variables),
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains("${") || mentions_variables(value))
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}
