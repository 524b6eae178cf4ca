//! Every example of the wire in the documents is read: a command by the codec of the server, a message by the client.

#![expect(clippy::expect_used, reason = "what cannot be read fails the test")]

use std::{fs, path::PathBuf};

use serde_json::{Value, value::RawValue};
use standpipe_client::message::{self, Incoming};
use standpipe_protocol::codec;

/// The documents, each with how many examples it has at least.
const DOCUMENTS: [(&str, usize); 13] = [
    ("README.md", 0),
    ("clients/js/README.md", 0),
    ("clients/python/README.md", 0),
    ("docs/choosing.md", 0),
    ("docs/configuration.md", 0),
    ("docs/delivery.md", 0),
    ("docs/filters.md", 1),
    ("docs/limits.md", 0),
    ("docs/performance.md", 0),
    ("docs/protocol.md", 20),
    ("docs/security.md", 1),
    ("docs/sources.md", 2),
    ("docs/standby.md", 0),
];

/// What a feed says, and not this server: examples of configuration.
const OF_FEEDS: [&str; 2] = [r#""args":["#, r#""op":"ping","id":1}"#];

fn document(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every JSON object in `text` that has an `op`.
fn examples<'t>(name: &str, text: &'t str) -> Vec<&'t str> {
    let mut examples = Vec::new();
    for (at, _) in text.match_indices(r#"{"op":"#) {
        let rest = text.get(at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let read = values.next().expect("it begins");
        let example =
            read.unwrap_or_else(|error| panic!("{name}: {error}: {}", rest.lines().next().unwrap_or_default()));
        if !OF_FEEDS.iter().any(|theirs| example.get().contains(theirs)) {
            examples.push(example.get());
        }
    }
    examples
}

#[test]
fn every_example_of_the_wire_is_read() {
    for (name, least) in DOCUMENTS {
        let text = document(name);
        let examples = examples(name, &text);
        assert!(examples.len() >= least, "{name}: only {} examples", examples.len());
        for example in examples {
            let value: Value = serde_json::from_str(example).expect("it was read before");
            let op = value.get("op").and_then(Value::as_str).expect("a text");
            if codec::OPS.iter().any(|(command, _)| *command == op) {
                codec::decode(example).unwrap_or_else(|refusal| panic!("{name}: {refusal}: {example}"));
            } else {
                let message = message::decode(&example.into()).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(!matches!(message, Incoming::Unknown(_)), "{name}: {example}");
            }
        }
    }
}
