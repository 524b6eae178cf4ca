//! Feeds whose frames mean nothing alone: they say what has changed of something that was said before.

use serde_json::{Value, json};
use standpipe_tests::{Socket, fake_upstream::Cut};

use crate::{on_cue, reconnect_by, until_source};

async fn next_data(client: &mut Socket) -> Value {
    client.until("event").await["data"].clone()
}

#[tokio::test]
async fn updates_come_merged_and_not_before_the_first_full_state_of_each_connection() {
    let frames = [
        r#"{"s":"A","type":"delta","data":{"bid":"1"}}"#,
        r#"{"s":"A","type":"snapshot","data":{"bid":"1","ask":0.1000}}"#,
        r#"{"s":"A","type":"delta","data":{"bid":"2"}}"#,
        // Over another connection: the first update has nothing to be merged into.
        r#"{"s":"A","type":"delta","data":{"bid":"3"}}"#,
        r#"{"s":"A","type":"snapshot","data":{"bid":"4","ask":"5"}}"#,
        r#"{"s":"A","type":"delta","data":{"ask":null}}"#,
    ];
    let rest = r#"
        merge = true
        map = '{topic: "t", key: .s, full: (.type == "snapshot"), data}'
    "#;
    let (upstream, server, mut client) = on_cue("tickers", frames, rest, "t").await;
    upstream.air(3);
    assert_eq!(next_data(&mut client).await, json!({"bid": "1", "ask": 0.1}));
    assert_eq!(next_data(&mut client).await, json!({"bid": "2", "ask": 0.1}));
    reconnect_by(&upstream, Cut::Reset, || {}).await;
    upstream.air(3);
    assert_eq!(next_data(&mut client).await, json!({"bid": "4", "ask": "5"}));
    assert_eq!(next_data(&mut client).await, json!({"bid": "4", "ask": null}));
    let source = until_source(&server, "tickers", "all frames", |source| source["frames"] == 6).await;
    assert_eq!((&source["events"], &source["unmerged"], &source["unmapped"]), (&4.into(), &2.into(), &0.into()));
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("standpipe_upstream_unmerged_total", &[("source", "tickers")]), Some(2.0));
    let mut late = Socket::open(server.addr(), "/ws?topics=t&snapshot=1").await;
    assert_eq!(late.until("snapshot").await["data"], json!({"bid": "4", "ask": null}), "the state is whole");
}

#[tokio::test]
async fn what_a_connection_has_announced_is_known_to_its_later_frames_and_to_no_other_connection() {
    let frames = [
        r#"{"event":"subscribed","chanId":17,"symbol":"tBTCUSD"}"#,
        r#"{"event":"subscribed","chanId":18,"symbol":"tETHUSD"}"#,
        "[18,[1.10]]",
        "[17,[2]]",
        // Over another connection, the same ids mean something else, or nothing.
        r#"{"event":"subscribed","chanId":17,"symbol":"tETHUSD"}"#,
        "[17,[3]]",
        "[18,[4]]",
    ];
    let rest = r#"
        map = '''
          if type == "object" then select(.event == "subscribed") | {state: ($state + {"\(.chanId)": .symbol})}
          else $state["\(.[0])"] as $symbol | {topic: "t.\($symbol | token)", data: .[1]} end
        '''
    "#;
    let (upstream, server, mut client) = on_cue("channels", frames, rest, "t.*").await;
    upstream.air(4);
    for (topic, data) in [("t.tETHUSD", json!([1.1])), ("t.tBTCUSD", json!([2]))] {
        let event = client.until("event").await;
        assert_eq!((&event["topic"], &event["data"]), (&topic.into(), &data));
    }
    reconnect_by(&upstream, Cut::Reset, || {}).await;
    upstream.air(3);
    let event = client.until("event").await;
    assert_eq!((&event["topic"], &event["data"]), (&"t.tETHUSD".into(), &json!([3])));
    let source =
        until_source(&server, "channels", "an id that nobody announced", |source| source["unmapped"] == 1).await;
    assert_eq!((&source["events"], &source["errors"]), (&3.into(), &json!({"lost": 1, "program": 1})), "{source}");
}
