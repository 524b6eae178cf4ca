//! What a server writes is read; what none writes does no harm.

use std::sync::Arc;

use proptest::prelude::*;
use standpipe_protocol::{self as protocol, CloseReason, ErrorCode, Json, Message, Topic, codec};

use super::*;

fn decode(text: &str) -> Result<Incoming, Unreadable> {
    super::decode(&text.into())
}

/// What the server's own codec writes, without the header of the frame.
fn written(message: &Message<'_>) -> Utf8Bytes {
    let frame = codec::message_frame(message);
    let header = if frame[1] == 126 { 4 } else { 2 };
    frame.slice(header..).try_into().unwrap()
}

#[test]
fn a_welcome_that_cannot_be_read_shows_no_secret() {
    let text = r#"{"op":"welcome","protocol":"one","connection":"c1","resume":"hunter2","epoch":"9f00000000000001"}"#;
    let told = decode(text).unwrap_err().to_string();
    assert!(told.contains("welcome") && !told.contains("hunter2"), "{told}");
}

#[test]
fn messages_of_the_servers_codec_are_read() {
    let cursor = Cursor { epoch: Epoch(0x9f), seq: 1200, id: Some("t:1".into()) };
    let goodbye = protocol::Goodbye {
        code: CloseReason::Restart.code(),
        reason: CloseReason::Restart.name(),
        verdict: CloseReason::Restart.verdict(),
        retry_after_ms: Some(850),
        cursor: Some(cursor.clone()),
        delivered: 517,
        confirmed: 516,
        billed: Some(510),
        unsettled: Some(12),
    };
    let Incoming::Goodbye(read) = super::decode(&written(&Message::Goodbye(goodbye))).unwrap() else { panic!() };
    assert_eq!((read.code, read.verdict(), &*read.reason), (4200, Verdict::Now, "RESTART"));
    assert_eq!(read.retry_after(), Some(Duration::from_millis(850)));
    assert_eq!((read.cursor, read.delivered, read.confirmed), (Some(cursor.clone()), 517, 516));
    assert_eq!((read.billed, read.unsettled), (Some(510), Some(12)));

    let heartbeat = super::decode(&written(&Message::Heartbeat { cursor: cursor.clone(), ts: 5 })).unwrap();
    assert_eq!(heartbeat, Incoming::Heartbeat(Heartbeat { cursor, ts: 5 }));

    let gap = protocol::Gap { from: None, to: None, matched: None, reason: protocol::GapReason::EpochChanged };
    let read = super::decode(&written(&Message::Gap(gap))).unwrap();
    let gap = Gap { from: None, to: None, matched: None, reason: "epoch_changed".into() };
    assert_eq!(read, Incoming::Gap(gap));

    let refusal = protocol::Refusal::new(ErrorCode::InvalidTopic, "no").hint("yes").answering(Some("2"));
    let Incoming::Refused(read) = super::decode(&written(&Message::Error(&refusal))).unwrap() else { panic!() };
    assert_eq!((read.to_string(), read.id), ("INVALID_TOPIC: no (yes)".into(), Some("2".into())));

    for narrowed in [vec![], vec![">"]] {
        let boundary = Boundary {
            id: None,
            topics: vec!["a.>".into()],
            narrowed: narrowed.iter().copied().map(String::from).collect(),
            seq: 7,
        };
        let subscribed = Message::Subscribed { id: None, topics: vec!["a.>"], seq: 7, narrowed };
        assert_eq!(super::decode(&written(&subscribed)).unwrap(), Incoming::Subscribed(boundary));
    }
}

#[test]
fn welcome_is_read_and_its_secret_is_not_shown() {
    let text = r#"{"op":"welcome","protocol":1,"connection":"c1","resume":"hunter2","epoch":"9f00000000000001",
        "head":1041,"confirm":"pong","overflow":"disconnect","heartbeat_interval_ms":15000,"limits":{},"new":[1]}"#;
    let Incoming::Welcome(welcome) = decode(text).unwrap() else { panic!("not a welcome") };
    assert_eq!(
        (welcome.epoch, welcome.head, welcome.resume.0.as_str()),
        (Epoch(0x9f00_0000_0000_0001), 1041, "hunter2")
    );
    assert!(!format!("{welcome:?}").contains("hunter2"));
}

#[test]
fn what_a_newer_server_may_say_does_not_disturb() {
    assert_eq!(decode(r#"{"op":"weather","sun":true}"#).unwrap(), Incoming::Unknown("weather".into()));
    let Incoming::Goodbye(goodbye) = decode(r#"{"op":"goodbye","code":4299,"verdict":"dance"}"#).unwrap() else {
        panic!("not a goodbye")
    };
    assert_eq!(goodbye.verdict(), Verdict::Now);
    assert!(matches!(
        decode(r#"{ "x":1, "op" : "snapshot","seq":1,"topic":"a","data":null}"#),
        Ok(Incoming::Snapshot(_))
    ));
}

#[test]
fn what_is_no_message_is_refused_with_its_beginning() {
    for text in [
        "",
        "[]",
        "hello",
        r#"{"seq":1}"#,
        r#"{"op":"event","seq":1,"topic":"a"}"#,
        r#"{"op":"event","seq":-1,"topic":"a","data":1}"#,
        r#"{"op":"heartbeat","cursor":"x"}"#,
        r#"{"op":"welcome","protocol":1,"connection":"c","epoch":"9f","head":1,"heartbeat_interval_ms":1}"#,
    ] {
        let error = decode(text).unwrap_err().to_string();
        assert!(error.ends_with(&format!("`{text}`")), "{error}");
    }
    assert!(decode(&"é".repeat(1000)).unwrap_err().to_string().len() < 500);
}

proptest! {
    #[test]
    fn an_event_comes_as_it_was_encoded(
        seq in 0..protocol::MAX_SEQ,
        key in proptest::option::of(".{0,20}"),
        id in proptest::option::of(".{0,20}"),
        ts in any::<Option<i64>>(),
        source in ".{0,10}",
        text in ".{0,100}",
    ) {
        let data = format!(r#"{{"data" : {},"n":0.1000}}"#, serde_json::to_string(&text).unwrap());
        let event = protocol::Event {
            topic: Topic::new("a.b").unwrap(),
            key: key.clone().map(Into::into),
            id: id.clone().map(Into::into),
            ts,
            n: None,
            source: Arc::from(source.as_str()),
            data: Json::parse(data.clone()).unwrap(),
        };
        let frame = codec::event_frame(seq, &event);
        let header = if frame[1] == 126 { 4 } else { 2 };
        let text: Utf8Bytes = frame.slice(header..).try_into().unwrap();
        let Incoming::Event(read) = super::decode(&text).unwrap() else { panic!("not an event") };
        prop_assert_eq!((read.seq, &*read.topic, read.key.as_deref()), (seq, "a.b", key.as_deref()));
        prop_assert_eq!((read.id.as_deref(), read.ts, &*read.source), (id.as_deref(), ts, &*source));
        prop_assert_eq!((read.data(), read.text()), (&*data, &*text));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = decode(&text);
    }
}
