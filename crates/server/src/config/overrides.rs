//! `STANDPIPE__SECTION__KEY`, `STANDPIPE__SOURCE__<name>__KEY` and `STANDPIPE__PLAN__<name>__KEY`: variables of the
//! environment that replace keys. What else replaces keys finds them by the same names.
//!
//! Their texts are typed here, by the type of the key: the file's reader sees what the file could have held. Sources
//! are named, not numbered, because a number would mean another source as soon as one is added before it.

use ::config::{Value, ValueKind};

use super::{
    keys::{Key, Reader, Shape, Table, names, suggestion},
    plan::PlanKeys,
    sections::{SECTIONS, within},
    source,
};

const PREFIX: &str = "STANDPIPE__";

/// A key in the tree: the table that has it, its name, and the keys that may stand there.
pub(super) struct Spot<'a> {
    table: &'a mut Table,
    name: String,
    keys: Vec<Key>,
}

/// Puts what the environment says in the place of what the file says.
pub(super) fn apply(root: &mut Table, reader: &mut Reader<'_>) {
    let environment = reader.environment;
    for (variable, text) in environment.starting_with(PREFIX) {
        let path = variable.strip_prefix(PREFIX).unwrap_or_default();
        let Some(spot) = spot(root, path, variable, reader) else { continue };
        let Some(key) = spot.key(variable, reader) else { continue };
        match typed(text, key.shape) {
            Ok(kind) => spot.put(variable, kind),
            Err(right) => reader.problem(variable, "its text cannot be read", right),
        }
    }
}

/// What `path` (`SECTION__KEY`, `SOURCE__<name>__KEY`) names. If there is no such thing, that is a problem of `variable`. Nothing
/// as well if the file has something else where the section should be, which is reported where sections are read.
pub(super) fn spot<'a>(root: &'a mut Table, path: &str, variable: &str, reader: &mut Reader<'_>) -> Option<Spot<'a>> {
    let Some((section, rest)) = path.split_once("__") else {
        reader.problem(variable, "it names no key", "it takes a section and a key of it, SECTION__KEY");
        return None;
    };
    let section = section.to_ascii_lowercase();
    if section == "source" || section == "plan" {
        let Some((name, key)) = rest.rsplit_once("__") else {
            let right = format!("it takes a name and a key, {}__<name>__KEY", section.to_ascii_uppercase());
            reader.problem(variable, "it names no key", right);
            return None;
        };
        let is_plan = section == "plan";
        let Some(table) = (if is_plan { plan_table(root, name) } else { source_table(root, name) }) else {
            reader.problem(variable, format!("there is no {section} `{name}`"), "only the file adds one");
            return None;
        };
        let keys = if is_plan { PlanKeys::keys() } else { source::all_keys() };
        return Some(Spot { table, name: key.to_ascii_lowercase(), keys });
    }
    // A table within a section, as in STANDPIPE__AUTH__JWT__SECRET.
    let inner = rest.split_once("__").map(|(inner, rest)| (format!("{section}.{}", inner.to_ascii_lowercase()), rest));
    let inner = inner.filter(|(name, _)| SECTIONS.iter().any(|info| info.name == name));
    let (section, rest) = inner.unwrap_or((section, rest));
    let Some(info) = SECTIONS.iter().find(|info| info.name == section) else {
        let names: Vec<_> = within("").chain(["plan", "source"]).collect();
        reader.problem(variable, format!("there is no section `{section}`"), suggestion(&section, &names));
        return None;
    };
    let table = section_table(root, &section)?;
    Some(Spot { table, name: rest.to_ascii_lowercase(), keys: (info.keys)() })
}

impl Spot<'_> {
    /// The key, or a problem of `variable`: there is no such key.
    pub(super) fn key(&self, variable: &str, reader: &mut Reader<'_>) -> Option<&Key> {
        let key = self.keys.iter().find(|key| key.name == self.name);
        if key.is_none() {
            let right = suggestion(&self.name, &names(&self.keys));
            reader.problem(variable, format!("there is no key `{}`", self.name), right);
        }
        key
    }

    /// Puts a value there, which is known to come from `origin`.
    pub(super) fn put(self, origin: &str, kind: ValueKind) {
        self.table.insert(self.name, Value::new(Some(&origin.to_owned()), kind));
    }
}

/// The text as a value of that shape.
pub(super) fn typed(text: &str, shape: Shape) -> Result<ValueKind, &'static str> {
    match shape {
        Shape::Text => Ok(text.into()),
        Shape::Flag => text.trim().parse::<bool>().map(Into::into).map_err(|_| "write true or false"),
        Shape::Number => Ok(number(text.trim())),
        // A word that stands for a list, or what the reader will refuse.
        Shape::List if !text.trim_start().starts_with('[') => Ok(text.into()),
        Shape::List => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Array(items)) => Ok(json(serde_json::Value::Array(items))),
            _ => Err("write a JSON array such as [\"json\"]"),
        },
        Shape::Map => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(fields)) => Ok(json(serde_json::Value::Object(fields))),
            _ => Err("write a JSON object such as {\"Accept\": \"text/plain\"}"),
        },
    }
}

/// A whole number (`00123` stays a text: nobody means 123 by it), a number with a point, or a text.
fn number(text: &str) -> ValueKind {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c)) || digits.starts_with("0.");
    if plain && let Ok(whole) = text.replace('_', "").parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(number) if plain && number.is_finite() => number.into(),
        _ => text.into(),
    }
}

/// A value that was written as JSON.
pub(super) fn json(value: serde_json::Value) -> ValueKind {
    match value {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(flag) => flag.into(),
        serde_json::Value::Number(found) => number(&found.to_string()),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(json).collect::<Vec<_>>().into(),
        serde_json::Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, json(value))).collect::<::config::Map<_, _>>().into()
        }
    }
}

/// The table of a section, made if the file has none. Nothing if the file has something else there, which is reported
/// where sections are read.
pub(super) fn section_table<'a>(root: &'a mut Table, section: &str) -> Option<&'a mut Table> {
    if let Some((parent, name)) = section.rsplit_once('.') {
        return section_table(section_table(root, parent)?, name);
    }
    let value = root.entry(section.to_owned()).or_insert_with(|| Value::new(None, Table::new()));
    table(value)
}

/// The table of the source of that name.
fn source_table<'a>(root: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let ValueKind::Array(sources) = &mut root.get_mut("source")?.kind else { return None };
    let names: Vec<String> = sources.iter().map(|source| source::name_of(source).unwrap_or_default()).collect();
    table(sources.get_mut(meant(&names, name)?)?)
}

/// The table of the plan of that name.
fn plan_table<'a>(root: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let ValueKind::Table(plans) = &mut root.get_mut("plan")?.kind else { return None };
    let names: Vec<String> = plans.keys().cloned().collect();
    table(plans.get_mut(names.get(meant(&names, name)?)?)?)
}

fn table(value: &mut Value) -> Option<&mut Table> {
    match &mut value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

/// The place of the name that a variable means: exactly, or, as variables are often written in capitals, but for case.
fn meant(names: &[String], name: &str) -> Option<usize> {
    let alike = || {
        let mut found = names.iter().enumerate().filter(|(_, known)| same_variable(known, name));
        found.next().filter(|_| found.next().is_none()).map(|(place, _)| place)
    };
    names.iter().position(|known| known == name).or_else(alike)
}

/// Whether two names are the same as names of variables, which have no `-` and often no small letters.
fn same_variable(known: &str, name: &str) -> bool {
    let plain = |c: char| if c == '-' { '_' } else { c.to_ascii_uppercase() };
    known.chars().map(plain).eq(name.chars().map(plain))
}
