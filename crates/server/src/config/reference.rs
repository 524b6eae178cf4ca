//! The reference of all keys, as Markdown, from the table that reads them. `docs/configuration.md` holds it.

use std::fmt::Write as _;

use super::{
    keys::{Key, Presence},
    plan::PlanKeys,
    sections::{LISTS, SECTIONS},
    source,
    values::show,
};

/// One table for each section, with a heading.
pub fn markdown() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        table(&mut out, &format!("[{}]", section.name), section.about, &(section.keys)());
    }
    let about = "What clients may use whose credential names this plan; as many as wanted. What it does not say is as for everybody.";
    table(&mut out, "[plan.NAME]", about, &PlanKeys::keys());
    for list in LISTS {
        table(&mut out, &format!("[[{}]]", list.name), list.about, &(list.keys)());
    }
    for (kind, keys) in source::KEYS {
        let (name, about) = match *kind {
            source::EVERY => ("[[source]]".to_owned(), "One source of events; as many as wanted.".to_owned()),
            source::own::OWN => {
                ("kind = \"…\"".to_owned(), "What a source of a program's own kind has besides.".to_owned())
            }
            kind => (format!("kind = \"{kind}\""), format!("What a `{kind}` source has besides.")),
        };
        table(&mut out, &name, &about, &keys());
    }
    out
}

fn table(out: &mut String, name: &str, about: &str, keys: &[Key]) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "### `{name}`\n\n{about}\n\n| key | type | default | meaning |\n|---|---|---|---|");
    for key in keys {
        let default = default(key);
        let later = if key.presence == Presence::Later { " *Not available in this version.*" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {default} | {}{later} |", key.name, key.kind, key.meaning);
    }
    out.push('\n');
}

/// What a key is where it is absent.
pub(super) fn default(key: &Key) -> String {
    match (&key.default, key.presence) {
        (Some(value), _) => format!("`{}`", show(value)),
        (None, Presence::Required) => "required".to_owned(),
        (None, Presence::Followed | Presence::Later) => "none".to_owned(),
    }
}
