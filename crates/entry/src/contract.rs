//! The contract files, `docs/openapi.json` and `docs/asyncapi.json`: made from the types of the wire, from the table of
//! routes and from the examples in `docs/protocol.md`, and compared with what is there.
//!
//! `UPDATE_EXPECT=1 cargo test -p standpipe-entry contract` writes them. A new command or message begins in
//! `standpipe_protocol`; here it needs a line in [`asyncapi::COMMANDS`] if it is a command, and an example in
//! `docs/protocol.md`. A new route needs an arm in [`paths::operation`].

mod asyncapi;
mod document;
mod openapi;
mod paths;
mod schemas;
mod url;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

/// A file of `docs/`.
fn doc(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(doc(name)).unwrap()
}

/// Compares a file with what it should be, or writes it.
fn expect_file(name: &str, text: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(doc(name), text).unwrap();
    } else {
        let hint = "run UPDATE_EXPECT=1 cargo test -p standpipe-entry contract";
        assert!(read(name) == text, "docs/{name} is not what the types say: {hint}");
    }
}

/// The examples of `docs/protocol.md`, by their op.
fn examples() -> BTreeMap<String, Vec<Value>> {
    let mut examples: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let text = read("protocol.md");
    for line in text.lines().filter(|line| line.starts_with(r#"{"op":"#)) {
        let example: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        examples.entry(example["op"].as_str().unwrap().to_owned()).or_default().push(example);
    }
    examples
}

#[test]
fn the_files_say_what_the_types_say() {
    expect_file("openapi.json", &document::text(&openapi::document()));
    expect_file("asyncapi.json", &document::text(&asyncapi::document()));
}
