//! Commands of clients: any text is one, or is refused in few words that say what would be right. What was read is
//! written out again, and has to be read as the same.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use standpipe_protocol::{
    After, Command, Publish, Refusal, Subscribe, Unsubscribe,
    codec::{MAX_ID_BYTES, decode},
};

fuzz_target!(|input: &str| {
    match decode(input) {
        Ok(command) => {
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(input).is_ok(), "a command is JSON");
            let written = written(&command);
            assert_eq!(decode(&written).as_ref(), Ok(&command), "{written}");
        }
        Err(refusal) => assert_is_helpful(&refusal),
    }
});

fn assert_is_helpful(refusal: &Refusal) {
    let hint = refusal.hint.as_deref().unwrap_or_default();
    assert!(!refusal.message.is_empty() && !hint.is_empty(), "{refusal:?}");
    assert!(refusal.message.len() + hint.len() < 6_000, "{refusal:?}");
    assert!(refusal.id.as_ref().is_none_or(|id| id.len() <= MAX_ID_BYTES), "{refusal:?}");
}

/// A command as a client would write it.
fn written(command: &Command) -> String {
    let (op, id, fields) = match command {
        Command::Ping { id } => ("ping", id, Vec::new()),
        Command::Subscribe(subscribe) => ("subscribe", &subscribe.id, of_subscribe(subscribe)),
        Command::Unsubscribe(Unsubscribe { id, topics, params }) => {
            ("unsubscribe", id, vec![("topics", json(topics)), ("params", json(params))])
        }
        Command::Ack { delivered } => ("ack", &None, vec![("delivered", delivered.to_string())]),
        Command::Refresh { id, access_token } => ("refresh", id, vec![("access_token", json(&access_token.0))]),
        Command::Publish(Publish { id, topic, data, source }) => {
            let source = source.as_ref().map(|source| ("source", json(source)));
            let fields = [("topic", json(topic)), ("data", data.as_str().to_owned())];
            ("publish", id, fields.into_iter().chain(source).collect())
        }
    };
    let id = id.as_ref().map(|id| ("id", json(id)));
    let fields = id.into_iter().chain(fields).map(|(name, value)| format!(",\"{name}\":{value}"));
    format!("{{\"op\":\"{op}\"{}}}", fields.collect::<String>())
}

fn of_subscribe(subscribe: &Subscribe) -> Vec<(&'static str, String)> {
    let Subscribe { id: _, topics, filter, params, after, snapshot, conflate } = subscribe;
    let mut fields = vec![("topics", json(topics)), ("params", json::<BTreeMap<_, _>>(params))];
    fields.extend(filter.as_ref().map(|filter| ("filter", filter.as_str().to_owned())));
    fields.extend(after.as_ref().map(|after| match after {
        After::Earliest => ("after", json("earliest")),
        After::Cursor(cursor) => ("after", json(&cursor.to_string())),
    }));
    fields.extend([("snapshot", snapshot.to_string()), ("conflate", conflate.to_string())]);
    fields
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("texts are written as JSON")
}
