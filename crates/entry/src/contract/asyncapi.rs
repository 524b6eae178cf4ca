//! `docs/asyncapi.json`: what is said on a socket, by whom, and how it ends. AsyncAPI 3.0, whose schemas are of draft 7.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use standpipe_protocol::{CloseReason, Command, Event, MAX_SEQ, Message, codec};

use super::{
    examples,
    schemas::{Schemas, variants},
    url,
};

/// The commands of [`codec::OPS`], each with the op of what it is answered by, if nothing is wrong with it.
pub(super) const COMMANDS: &[(&str, Option<&str>)] = &[
    ("ping", Some("pong")),
    ("subscribe", Some("subscribed")),
    ("unsubscribe", Some("unsubscribed")),
    ("ack", None),
    ("refresh", Some("refreshed")),
    ("publish", Some("published")),
];

pub(super) fn document() -> Value {
    let mut schemas = Schemas::new(SchemaSettings::draft07());
    let commands = commands(&mut schemas);
    let messages = messages(&mut schemas);
    let examples = examples();
    for op in examples.keys() {
        assert!(commands.contains_key(op) || messages.contains_key(op), "docs/protocol.md tells of `{op}`");
    }
    let all: Map<_, _> =
        commands.iter().chain(&messages).map(|(op, schema)| (op.clone(), message(op, schema, &examples))).collect();
    let bindings = bindings(&mut schemas);
    let of_components = |op: &str| json!({ "$ref": format!("#/components/messages/{op}") });
    let of_channel = |op: &str| json!({ "$ref": format!("#/channels/socket/messages/{op}") });
    let spoken: Map<_, _> = all.keys().map(|op| (op.clone(), of_components(op))).collect();
    let socket = json!({ "$ref": "#/channels/socket" });
    let mut operations = Map::new();
    for (op, answer) in COMMANDS {
        let answers: Vec<_> = answer.iter().copied().chain(["error"]).map(of_channel).collect();
        operations.insert(
            (*op).to_owned(),
            json!({
                "action": "receive", "channel": socket, "messages": [of_channel(op)],
                "summary": all[*op]["summary"],
                "reply": { "channel": socket, "messages": answers },
            }),
        );
    }
    let told: Vec<_> = messages.keys().map(|op| of_channel(op)).collect();
    operations.insert(
        "tell".to_owned(),
        json!({
            "action": "send", "channel": socket, "messages": told,
            "summary": "What the server tells: the answers to commands among it.",
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Standpipe: the wire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON in text frames, one message a frame. In commands an unknown `op` or field is an error that \
                names it; in messages, ignore those that you do not know: there will be more. docs/protocol.md tells the \
                whole, and openapi.json what else this server answers over HTTP.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "standpipe": {
                "host": "127.0.0.1:8080", "protocol": "ws",
                "description": "Where a server listens that is told nothing else. Behind TLS the protocol is `wss`.",
                "security": url::CREDENTIALS
                    .map(|name| json!({ "$ref": format!("#/components/securitySchemes/{name}") })),
            },
        },
        "channels": {
            "socket": {
                "address": "/ws",
                "summary": "Events, selected by the URL or by messages.",
                "description": "`/` with an upgrade header is the same. First comes `welcome`; then `subscribed`, a snapshot, \
                    what is replayed, what is live. `goodbye` comes last, and a Close frame of `x-close-codes` behind it.",
                "messages": spoken,
                "bindings": bindings,
                "x-close-codes": closes(),
            },
            "topic": {
                "address": "/ws/{topic}",
                "summary": "The same, with a topic pattern in the path.",
                "parameters": { "topic": { "description": "A topic pattern, percent-encoded." } },
                "messages": spoken,
                "bindings": bindings,
            },
        },
        "operations": operations,
        "components": {
            "messages": all,
            "securitySchemes": url::credentials("httpApiKey"),
            "schemas": schemas.shared(),
        },
    })
}

/// Each command's schema: strict, as [`codec::decode`] is.
fn commands(schemas: &mut Schemas) -> BTreeMap<String, Value> {
    schemas.taken::<Command>();
    let mut commands: BTreeMap<_, _> = variants(schemas.take("Command")).into_iter().collect();
    for (op, schema) in &mut commands {
        schema["additionalProperties"] = false.into();
        schema["properties"]["id"] = json!({
            "type": "string", "maxLength": codec::MAX_ID_BYTES, "description": "Repeated in the answer, if there is one.",
        });
        let (_, known) = codec::OPS.iter().find(|(name, _)| name == op).unwrap();
        let fields = schema["properties"].as_object().unwrap();
        assert!(known.iter().all(|name| fields.contains_key(*name)), "{op}: {fields:?} is not {known:?}");
        assert_eq!(fields.len(), known.len() + 2, "{op}: {fields:?} is not {known:?}");
    }
    let answered: BTreeSet<_> = COMMANDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(answered, commands.keys().cloned().collect(), "each command is in `COMMANDS`");
    commands
}

/// Each message's schema, by its op.
fn messages(schemas: &mut Schemas) -> BTreeMap<String, Value> {
    schemas.written::<Message<'_>>();
    let mut messages: BTreeMap<String, Value> = BTreeMap::new();
    for (op, schema) in variants(schemas.take("Message")) {
        // Two shapes of one op: they differ by the value of a field.
        let schema = match messages.remove(&op) {
            Some(first) => json!({ "description": first["description"], "oneOf": [first, schema] }),
            None => schema,
        };
        messages.insert(op, schema);
    }
    let about_snapshot = "The latest event of a key, as of the `seq` of the `snapshot_end` that follows.";
    for (op, about) in [("event", "An event."), ("snapshot", about_snapshot)] {
        messages.insert(op.to_owned(), event(op, about, schemas));
    }
    messages
}

/// An event as [`codec::event_frame`] writes it.
fn event(op: &str, about: &str, schemas: &mut Schemas) -> Value {
    let mut schema = schemas.taken::<Event>();
    schema["description"] = about.into();
    schema["properties"]["op"] = json!({ "type": "string", "const": op });
    schema["properties"]["seq"] = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_SEQ, "description": "Its place in the log, gapless there.",
    });
    schema["required"].as_array_mut().unwrap().splice(0..0, ["op".into(), "seq".into()]);
    schema
}

/// A message as AsyncAPI has it.
fn message(op: &str, schema: &Value, examples: &BTreeMap<String, Vec<Value>>) -> Value {
    let mut payload = schema.clone();
    let about = payload.as_object_mut().unwrap().remove("description");
    let examples = examples.get(op).unwrap_or_else(|| panic!("docs/protocol.md has no example of `{op}`"));
    let examples: Vec<_> = examples.iter().map(|example| json!({ "payload": example })).collect();
    json!({ "name": op, "title": op, "summary": about, "payload": payload, "examples": examples })
}

/// What the handshake may say.
fn bindings(schemas: &mut Schemas) -> Value {
    let parameters = url::parameters(schemas);
    let mut query = Map::new();
    let mut conditions = Value::Null;
    for parameter in parameters {
        let described = json!({ "description": parameter.meaning, "allOf": [parameter.schema] });
        if parameter.name == "where" {
            conditions = json!({ r"^where\..+": { "type": "string", "description": parameter.meaning } });
        } else {
            query.insert(parameter.name, described);
        }
    }
    json!({ "ws": {
        "method": "GET",
        "query": {
            "type": "object", "properties": query, "patternProperties": conditions,
            "additionalProperties": { "type": "string", "description": "A parameter that a source declares." },
        },
        "bindingVersion": "0.1.0",
    } })
}

/// The close table.
fn closes() -> Vec<Value> {
    let row = |reason: &CloseReason| {
        json!({
            "code": reason.code(), "name": reason.name(), "verdict": reason.verdict().as_str(),
            "description": reason.meaning(),
        })
    };
    CloseReason::ALL.iter().map(row).collect()
}

/// The fields of a frame of an event that has all of them are those of its schema.
#[test]
fn events_are_written_as_the_schema_says() {
    let mut schemas = Schemas::new(SchemaSettings::draft07());
    let schema = event("event", "", &mut schemas);
    let topic = standpipe_protocol::Topic::new("a").unwrap();
    let text = |text: &str| Some(text.into());
    let data = standpipe_protocol::Json::written("{}");
    let full = Event { topic, key: text("k"), id: text("i"), ts: Some(1), n: Some(1), source: "s".into(), data };
    let bare = Event { key: None, id: None, ts: None, n: None, ..full.clone() };
    let fields = |event: Event| {
        let frame = codec::event_frame(1, &event);
        let written: Map<String, Value> = serde_json::from_slice(standpipe_protocol::frame::payload(&frame)).unwrap();
        let mut names: Vec<String> = written.keys().cloned().collect();
        names.sort_unstable();
        names
    };
    let mut known: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    known.sort_unstable();
    let mut required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    required.sort_unstable();
    assert_eq!((fields(full), fields(bare)), (known, required));
}

/// What a schema requires, the decoder requires, and no more.
#[test]
fn commands_are_read_as_the_schema_says() {
    let mut schemas = Schemas::new(SchemaSettings::draft07());
    let examples = examples();
    for (op, schema) in commands(&mut schemas) {
        let required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        for example in &examples[&op] {
            codec::decode(&example.to_string()).unwrap_or_else(|refusal| panic!("{example}: {refusal}"));
            for name in example.as_object().unwrap().keys() {
                let mut without = example.clone();
                without.as_object_mut().unwrap().remove(name);
                assert_eq!(codec::decode(&without.to_string()).is_err(), required.contains(name), "{without}");
            }
        }
    }
}
