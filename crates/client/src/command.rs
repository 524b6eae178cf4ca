//! The JSON of commands: the inverse of [`standpipe_protocol::codec::decode`].

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use standpipe_protocol::{Command, Json, Publish, Subscribe, Unsubscribe};

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Wire<'a> {
    Ping {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    Subscribe {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        topics: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        filter: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        params: &'a BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        snapshot: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        conflate: bool,
    },
    Unsubscribe {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        topics: &'a [String],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        params: &'a BTreeMap<String, String>,
    },
    Ack {
        delivered: u64,
    },
    Refresh {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        access_token: &'a str,
    },
    Publish {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        topic: &'a str,
        data: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<&'a str>,
    },
}

/// The text of one command, as a frame holds it.
pub fn encode(command: &Command) -> String {
    let wire = match command {
        Command::Ping { id } => Wire::Ping { id: id.as_deref() },
        Command::Subscribe(Subscribe { id, topics, filter, params, after, snapshot, conflate }) => Wire::Subscribe {
            id: id.as_deref(),
            topics,
            filter: filter.as_ref().and_then(raw),
            params,
            after: after.as_ref().map(ToString::to_string),
            snapshot: *snapshot,
            conflate: *conflate,
        },
        Command::Unsubscribe(Unsubscribe { id, topics, params }) => {
            Wire::Unsubscribe { id: id.as_deref(), topics, params }
        }
        Command::Ack { delivered } => Wire::Ack { delivered: *delivered },
        Command::Refresh { id, access_token } => Wire::Refresh { id: id.as_deref(), access_token: &access_token.0 },
        Command::Publish(Publish { id, topic, data, source }) => {
            Wire::Publish { id: id.as_deref(), topic, data: raw(data), source: source.as_deref() }
        }
    };
    // Texts, numbers and JSON that was parsed before: none of them can fail to be written.
    serde_json::to_string(&wire).unwrap_or_default()
}

/// `json` is one JSON value, so this is always `Some`.
fn raw(json: &Json) -> Option<&RawValue> {
    serde_json::from_str(json.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;
    use standpipe_protocol::{After, Cursor, Epoch, codec::decode, command::Secret};

    use super::*;

    #[test]
    fn commands_look_as_documented() {
        let subscribe = |filter: Option<&str>, snapshot| {
            Command::Subscribe(Subscribe {
                id: Some("2".into()),
                topics: vec!["tweets.>".into()],
                filter: filter.map(|filter| Json::parse(filter).unwrap()),
                params: BTreeMap::new(),
                after: filter.map(|_| "9f00000000000001:1042:t:1".parse().unwrap()),
                snapshot,
                conflate: false,
            })
        };
        let unsubscribe = Unsubscribe { id: None, topics: vec!["a".into()], params: [("p".into(), "1".into())].into() };
        let data = Json::parse("null").unwrap();
        let publish = Publish { id: Some("4".into()), topic: "chat.a".into(), data, source: None };
        let lines: Vec<String> = [
            Command::Ping { id: Some("1".into()) },
            subscribe(None, false),
            subscribe(Some(r#"{"a":0.10}"#), true),
            Command::Unsubscribe(unsubscribe),
            Command::Ack { delivered: 517 },
            Command::Refresh { id: None, access_token: Secret("…".into()) },
            Command::Publish(publish),
        ]
        .iter()
        .map(encode)
        .collect();
        expect![[r#"
            {"op":"ping","id":"1"}
            {"op":"subscribe","id":"2","topics":["tweets.>"]}
            {"op":"subscribe","id":"2","topics":["tweets.>"],"filter":{"a":0.10},"after":"9f00000000000001:1042:t:1","snapshot":true}
            {"op":"unsubscribe","topics":["a"],"params":{"p":"1"}}
            {"op":"ack","delivered":517}
            {"op":"refresh","access_token":"…"}
            {"op":"publish","id":"4","topic":"chat.a","data":null}"#]]
        .assert_eq(&lines.join("\n"));
    }

    fn after() -> impl Strategy<Value = After> {
        let cursor = (any::<u64>(), 0..standpipe_protocol::MAX_SEQ, proptest::option::of("[^\u{0}]{1,20}"));
        prop_oneof![
            Just(After::Earliest),
            cursor.prop_map(|(epoch, seq, id)| After::Cursor(Cursor {
                epoch: Epoch(epoch),
                seq,
                id: id.map(Into::into)
            })),
        ]
    }

    proptest! {
        #[test]
        fn the_server_reads_what_was_meant(
            id in proptest::option::of(".{0,20}"),
            topics in proptest::collection::vec(".{0,10}", 0..4),
            filter in proptest::option::of(".{0,10}"),
            params in proptest::collection::btree_map(".{0,5}", ".{0,5}", 0..3),
            after in proptest::option::of(after()),
            (snapshot, conflate) in any::<(bool, bool)>(),
        ) {
            let filter = filter.map(|text| Json::parse(serde_json::to_string(&text).unwrap()).unwrap());
            let subscribe = Subscribe { id, topics, filter, params, after, snapshot, conflate };
            let Subscribe { id, topics, params, .. } = subscribe.clone();
            for command in [Command::Subscribe(subscribe), Command::Unsubscribe(Unsubscribe { id, topics, params })] {
                prop_assert_eq!(decode(&encode(&command)), Ok(command));
            }
        }
    }
}
