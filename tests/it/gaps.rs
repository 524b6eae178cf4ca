//! Feeds that number what they send: what never came is told.

use serde_json::Value;
use standpipe_tests::{Socket, fake_upstream::Cut};

use crate::{on_cue, reconnect_by, until_source};

/// The next gap that is told of a source.
async fn next_gap(client: &mut Socket) -> Value {
    loop {
        let news = client.until("source").await;
        if news["state"] == "gap" {
            return news;
        }
    }
}

#[tokio::test]
async fn numbers_that_are_left_out_are_told_as_a_gap_within_a_connection_and_between_two() {
    let frames = [1, 2, 5, 6, 7, 8, 1, 2].map(|n| format!(r#"{{"n":{n}}}"#));
    let rest = r#"map = '{topic: "books.a", n, data: .n}'"#;
    let (upstream, server, mut client) = on_cue("books", frames, rest, "books.*").await;
    upstream.air(3);
    let gap = next_gap(&mut client).await;
    let told = (&gap["source"], &gap["missed"], &gap["topic"]);
    assert_eq!(told, (&"books".into(), &2.into(), &"books.a".into()), "{gap}");
    assert!(gap["since"].as_u64().is_some_and(|since| since > 0), "{gap}");
    // 6 and 7 are sent while nobody is there; then the feed counts anew, which is no gap.
    reconnect_by(&upstream, Cut::Reset, || upstream.air(2)).await;
    upstream.air(3);
    assert_eq!(next_gap(&mut client).await["missed"], 2);
    let source = until_source(&server, "books", "all events", |source| source["events"] == 6).await;
    assert_eq!((&source["missed"], &source["unmapped"]), (&4.into(), &0.into()), "{source}");
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("standpipe_upstream_missed_total", &[("source", "books")]), Some(4.0));
}

#[tokio::test]
async fn numbers_of_frames_that_are_no_events_are_counted_where_all_frames_are_numbered() {
    let frames = [
        r#"{"n":0,"type":"hello"}"#,
        r#"{"n":1,"topic":"a"}"#,
        r#"{"n":2,"type":"heartbeat"}"#,
        r#"{"n":3,"topic":"b"}"#,
        r#"{"n":6,"type":"heartbeat"}"#,
        r#"{"n":7,"topic":"a"}"#,
    ];
    let rest = r#"
        numbers = "source"
        map = 'if .topic then {topic, n, data: .n} else {n} end'
    "#;
    let (upstream, server, mut client) = on_cue("all", frames, rest, "a").await;
    upstream.air(6);
    let gap = next_gap(&mut client).await;
    assert_eq!((&gap["missed"], gap.get("topic")), (&2.into(), None), "{gap}");
    let source = until_source(&server, "all", "all events", |source| source["events"] == 3).await;
    assert_eq!((&source["missed"], &source["ignored"], &source["unmapped"]), (&2.into(), &0.into(), &0.into()));
}
