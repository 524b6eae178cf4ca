use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::*;

fn refusal(text: &str) -> String {
    let r = decode(text).unwrap_err();
    let id = r.id.map(|id| format!(" (id {id})")).unwrap_or_default();
    format!("{}: {} [{}]{id}", r.code, r.message, r.hint.expect("a refusal says what would be right"))
}

fn payload(frame: &[u8]) -> &str {
    std::str::from_utf8(crate::frame::payload(frame)).unwrap()
}

fn event(data: &str) -> Event {
    Event {
        topic: Topic::new("tweets.btc").unwrap(),
        key: Some("a\"b".into()),
        id: Some("t:17".into()),
        ts: Some(1_732_212_345_678),
        n: Some(3),
        source: Arc::from("x"),
        data: Json::parse(data).unwrap(),
    }
}

#[test]
fn every_command_of_the_documentation_is_read() {
    assert_eq!(decode(r#"{"op":"ping","id":"1"}"#).unwrap(), Command::Ping { id: Some("1".into()) });
    let text = r#"{"op":"subscribe","id":"2","topics":["tweets.>"],"filter":{"author":{"in":["a","b"]}},"params":{},
        "after":"9f00000000000001:1042","snapshot":true,"conflate":false}"#;
    let Command::Subscribe(subscribe) = decode(text).unwrap() else { panic!("not a subscribe") };
    assert_eq!(subscribe.filter.unwrap().as_str(), r#"{"author":{"in":["a","b"]}}"#);
    assert!(matches!(subscribe.after, Some(After::Cursor(cursor)) if cursor.seq == 1042));
    assert!(subscribe.snapshot && !subscribe.conflate);
    assert!(matches!(decode(r#"{"op":"unsubscribe","id":"3","topics":["tweets.>"]}"#), Ok(Command::Unsubscribe(_))));
    assert_eq!(decode(r#"{"op":"ack","delivered":517}"#).unwrap(), Command::Ack { delivered: 517 });
    assert!(matches!(decode(r#"{"op":"refresh","access_token":"…"}"#), Ok(Command::Refresh { .. })));
    let Command::Publish(publish) = decode(r#"{"op":"publish","id":"4","topic":"chat.a","data":null}"#).unwrap() else {
        panic!("not a publish")
    };
    assert_eq!(publish.data.as_str(), "null");
}

#[test]
fn refusals_name_what_is_wrong_and_what_would_be_right() {
    let told: Vec<String> = [
        "",
        "[]",
        "nonsense",
        r#"{"op":"ping"} {}"#,
        r#"{"id":"7"}"#,
        r#"{"op":"subscirbe","id":"7"}"#,
        r#"{"op":"dance"}"#,
        r#"{"op":5}"#,
        r#"{"op":"ping","id":5}"#,
        r#"{"op":"subscribe"}"#,
        r#"{"op":"subscribe","id":"7","topcs":["a"]}"#,
        r#"{"op":"subscribe","topics":"a"}"#,
        r#"{"op":"subscribe","topics":["a"],"topics":["b"]}"#,
        r#"{"op":"subscribe","topics":["a"],"snapshot":"yes"}"#,
        r#"{"op":"subscribe","topics":["a"],"after":"x"}"#,
        r#"{"op":"subscribe","topics":["a"],"params":{"a":1}}"#,
        r#"{"op":"subscribe","topics":["a"],"params":{"a":"1","a":"2"}}"#,
        r#"{"op":"subscribe","topics":["a"],"filter":null}"#,
        r#"{"op":"ack","delivered":-1}"#,
        r#"{"op":"ping","extra":1}"#,
    ]
    .into_iter()
    .map(refusal)
    .collect();
    expect![[r#"
        INVALID_JSON: the frame is not one JSON object: EOF while parsing a value at line 1 column 0 [a command looks like {"op":"subscribe","topics":["trades.>"]}]
        INVALID_JSON: the frame is not one JSON object: invalid type: sequence, expected an object at line 1 column 0 [a command looks like {"op":"subscribe","topics":["trades.>"]}]
        INVALID_JSON: the frame is not one JSON object: expected ident at line 1 column 2 [a command looks like {"op":"subscribe","topics":["trades.>"]}]
        INVALID_JSON: the frame is not one JSON object: trailing characters at line 1 column 15 [a command looks like {"op":"subscribe","topics":["trades.>"]}]
        UNKNOWN_OP: the command has no `op` [`op` is one of `ping`, `subscribe`, `unsubscribe`, `ack`, `refresh`, `publish`] (id 7)
        UNKNOWN_OP: unknown op `subscirbe` [did you mean `subscribe`?] (id 7)
        UNKNOWN_OP: unknown op `dance` [`op` is one of `ping`, `subscribe`, `unsubscribe`, `ack`, `refresh`, `publish`]
        INVALID_FIELD: field `op`: invalid type: integer `5`, expected a string [it is a text: "op":"subscribe"]
        INVALID_FIELD: field `id`: invalid type: integer `5`, expected a string [it is a text]
        MISSING_FIELD: `subscribe` needs the field `topics` [it is a list of patterns: "topics":["trades.*","tweets.>"]]
        UNKNOWN_FIELD: `subscribe` has no field `topcs` [did you mean `topics`?] (id 7)
        INVALID_FIELD: field `topics`: invalid type: string "a", expected a sequence [it is a list of patterns: "topics":["trades.*","tweets.>"]]
        INVALID_FIELD: field `topics`: it stands twice [each field stands once]
        INVALID_FIELD: field `snapshot`: invalid type: string "yes", expected a boolean [it is true or false]
        INVALID_CURSOR: `after`: a cursor is `epoch:seq` or `epoch:seq:event-id`, with 16 hexadecimal digits for the epoch; `x` is not [a cursor is told by `heartbeat` and `goodbye`; `earliest` is the floor of the log]
        INVALID_FIELD: field `params`: invalid type: integer `1`, expected a string [it is an object of texts, each name once: "params":{"page_url":"https://…"}]
        INVALID_FIELD: field `params`: `a` stands twice [it is an object of texts, each name once: "params":{"page_url":"https://…"}]
        INVALID_FIELD: field `filter`: it is null; leave it out [a field that is not wanted is not sent]
        INVALID_FIELD: field `delivered`: invalid value: integer `-1`, expected u64 [it is the number of events that have come on this connection]
        UNKNOWN_FIELD: `ping` has no field `extra` [it has no field but `id`]"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn what_is_too_deep_or_too_wide_is_refused() {
    assert!(refusal(&"[".repeat(100_000)).starts_with("INVALID_JSON"));
    let deep = format!(r#"{{"op":"publish","topic":"a","data":{}}}"#, "[".repeat(50_000));
    assert!(refusal(&deep).starts_with("INVALID_JSON"));
    let wide: Vec<String> = (0..100).map(|i| format!("\"f{i}\":{i}")).collect();
    assert!(refusal(&format!("{{{}}}", wide.join(","))).starts_with("INVALID_JSON"));
    let id = "x".repeat(MAX_ID_BYTES + 1);
    assert!(refusal(&format!(r#"{{"op":"ping","id":"{id}"}}"#)).starts_with("INVALID_FIELD: field `id`"));
}

#[test]
fn a_token_is_not_shown_by_debug() {
    let command = decode(r#"{"op":"refresh","access_token":"hunter2"}"#).unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
}

#[test]
fn an_event_is_framed_with_its_fields_in_order_and_its_data_untouched() {
    let record = Record::new(1042, event(r#"{"p":0.1000,"n":12345678901234567890123}"#));
    expect![[r#"{"op":"event","seq":1042,"topic":"tweets.btc","key":"a\"b","id":"t:17","ts":1732212345678,"source":"x","data":{"p":0.1000,"n":12345678901234567890123}}"#]]
    .assert_eq(payload(record.frame()));
    assert_eq!(record.data(), r#"{"p":0.1000,"n":12345678901234567890123}"#);
    let shown = snapshot_frame(&record);
    let same = payload(&shown).strip_prefix(r#"{"op":"snapshot""#).unwrap();
    assert_eq!(same, payload(record.frame()).strip_prefix(r#"{"op":"event""#).unwrap());
}

#[test]
fn messages_look_as_documented() {
    let cursor = Cursor { epoch: Epoch(0x9f), seq: 1200, id: None };
    let refusal = Refusal::new(ErrorCode::InvalidJson, "…").hint("…").answering(Some("2"));
    let messages = [
        Message::Welcome(Welcome {
            protocol: PROTOCOL,
            connection: ConnectionId(0xc).to_string(),
            resume: Some("secret".into()),
            epoch: Epoch(0x9f),
            head: 1041,
            confirm: Some(Confirm::Pong),
            overflow: Overflow::CatchUp,
            heartbeat_interval_ms: 15000,
            expires: None,
            limits: Limits {
                max_subscriptions: 128,
                max_frame_bytes: 65536,
                max_unconfirmed_bytes: 1 << 20,
                max_unconfirmed_frames: 4000,
            },
        }),
        Message::Subscribed { id: Some("2"), topics: vec!["tweets.>"], narrowed: vec![], seq: 1041 },
        Message::Subscribed { id: None, topics: vec!["tweets.mine.*"], narrowed: vec!["tweets.>"], seq: 1041 },
        Message::Refreshed {
            id: Some("5"),
            expires: Some(1_732_215_945_999),
            topics: vec!["tweets.>"],
            ended: vec!["trades.>"],
            seq: 1043,
        },
        Message::Unsubscribed { id: None, topics: vec![], seq: 1044 },
        Message::Replay { id: Some("2"), from: 900, to: 1041 },
        Message::Replayed { id: None },
        Message::SnapshotEnd { id: Some("2"), seq: 1041, count: 12, complete: true },
        Message::SnapshotEnd { id: None, seq: 1041, count: 0, complete: false },
        Message::Gap(Gap { from: Some(1043), to: Some(1100), matched: Some(12), reason: GapReason::SlowConsumer }),
        Message::Gap(Gap { from: None, to: None, matched: None, reason: GapReason::EpochChanged }),
        Message::Heartbeat { cursor: cursor.clone(), ts: 1_732_212_345_999 },
        Message::Source { source: "kraken", state: SourceState::Stale, since: 1_732_212_345_000 },
        Message::SourceGap {
            source: "kraken",
            state: GapState::Gap,
            since: 1_732_212_345_000,
            missed: 3,
            topic: Some("books.XBT/USD"),
        },
        Message::SourceGap { source: "kraken", state: GapState::Gap, since: 1_732_212_345_000, missed: 1, topic: None },
        Message::Pong { id: Some("1") },
        Message::Error(&refusal),
        Message::Goodbye(Goodbye {
            code: CloseReason::Restart.code(),
            reason: CloseReason::Restart.name(),
            verdict: CloseReason::Restart.verdict(),
            retry_after_ms: Some(850),
            cursor: Some(cursor),
            delivered: 517,
            confirmed: 517,
            billed: Some(517),
            unsettled: Some(12),
        }),
    ];
    let lines: Vec<_> = messages.iter().map(|m| payload(&message_frame(m)).to_owned()).collect();
    expect![[r#"
        {"op":"welcome","protocol":1,"connection":"c000000000000000c","resume":"secret","epoch":"000000000000009f","head":1041,"confirm":"pong","overflow":"catch_up","heartbeat_interval_ms":15000,"limits":{"max_subscriptions":128,"max_frame_bytes":65536,"max_unconfirmed_bytes":1048576,"max_unconfirmed_frames":4000}}
        {"op":"subscribed","id":"2","topics":["tweets.>"],"seq":1041}
        {"op":"subscribed","topics":["tweets.mine.*"],"narrowed":["tweets.>"],"seq":1041}
        {"op":"refreshed","id":"5","expires":1732215945999,"topics":["tweets.>"],"ended":["trades.>"],"seq":1043}
        {"op":"unsubscribed","topics":[],"seq":1044}
        {"op":"replay","id":"2","from":900,"to":1041}
        {"op":"replayed"}
        {"op":"snapshot_end","id":"2","seq":1041,"count":12}
        {"op":"snapshot_end","seq":1041,"count":0,"complete":false}
        {"op":"gap","from":1043,"to":1100,"matched":12,"reason":"slow_consumer"}
        {"op":"gap","from":null,"to":null,"matched":null,"reason":"epoch_changed"}
        {"op":"heartbeat","cursor":"000000000000009f:1200","ts":1732212345999}
        {"op":"source","source":"kraken","state":"stale","since":1732212345000}
        {"op":"source","source":"kraken","state":"gap","since":1732212345000,"missed":3,"topic":"books.XBT/USD"}
        {"op":"source","source":"kraken","state":"gap","since":1732212345000,"missed":1}
        {"op":"pong","id":"1"}
        {"op":"error","code":"INVALID_JSON","message":"…","id":"2","hint":"…"}
        {"op":"goodbye","code":4200,"reason":"RESTART","verdict":"now","retry_after_ms":850,"cursor":"000000000000009f:1200","delivered":517,"confirmed":517,"billed":517,"unsettled":12}"#]].assert_eq(&lines.join("\n"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = decode(&text);
    }

    #[test]
    fn data_comes_out_as_it_went_in(text in ".{0,200}", seq in 0..MAX_SEQ) {
        let data = serde_json::to_string(&text).unwrap();
        let record = Record::new(seq, event(&data));
        prop_assert_eq!(record.data(), &data);
        let whole: serde_json::Value = serde_json::from_str(payload(record.frame())).unwrap();
        prop_assert_eq!(whole["data"].as_str(), Some(text.as_str()));
    }
}
