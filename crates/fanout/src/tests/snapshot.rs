//! Snapshots: the state as of one place, whatever happens meanwhile.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use standpipe_protocol::{CloseReason, Overflow};
use standpipe_selection::Options;

use super::world::{ASK, Ask, Client, World};

const SNAPSHOT: Options = Options { snapshot: true, conflate: false };

/// What is shown up to `snapshot_end`: topic, key and data of each, and the end itself.
async fn shown(client: &mut Client) -> (Vec<(String, String, Value)>, Value) {
    let mut shown = Vec::new();
    loop {
        let message = client.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "snapshot" => {
                let text = |name: &str| message[name].as_str().unwrap().to_owned();
                shown.push((text("topic"), text("key"), message["data"].clone()));
            }
            "snapshot_end" => return (shown, message),
            op => panic!("{op} within a snapshot"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_latest_of_each_matching_key_comes_first_and_then_what_is_new() {
    let mut world = World::new(1, 1000);
    for (topic, key, data) in [
        ("a", "x", "1"),
        ("a", "y", "5"),
        ("b", "x", "6"),
        ("a", "x", "7"),
        ("b", "z", "8"),
        ("b", "z", "null"),
        ("c", "x", "9"),
    ] {
        world.publish_key(topic, key, &format!("{{\"n\":{data}}}").replace("{\"n\":null}", "null")).await;
    }
    world.publish("a", "\"of no key\"").await;
    world.settle().await;
    let ask = Ask { topics: &["a", "b", "*"], filter: Some(r#"{"n":{"lt":9}}"#), options: SNAPSHOT, ..ASK };
    let mut client = world.connect(&ask, 1 << 12).await;
    assert_eq!(client.next_op("subscribed").await["seq"], 8);
    let (keys, end) = shown(&mut client).await;
    let wanted = [("a", "x", 7), ("a", "y", 5), ("b", "x", 6)];
    assert_eq!(keys, wanted.map(|(topic, key, n)| (topic.into(), key.into(), json!({"n": n}))), "each key once");
    assert_eq!(end, json!({"op":"snapshot_end","seq":8,"count":3}));
    world.publish_key("b", "x", "{\"n\":1}").await;
    assert_eq!(client.events_to(9).await, [9]);
    client.send(json!({"op":"subscribe","id":"s","topics":["c"],"snapshot":true})).await;
    assert_eq!(client.next_op("subscribed").await["seq"], 9);
    let (keys, end) = shown(&mut client).await;
    assert_eq!((keys.len(), end), (1, json!({"op":"snapshot_end","id":"s","seq":9,"count":1})));
    client.leave().await;
    let report = world.end().await;
    assert_eq!((report.totals.tally.matched, report.counters.snapshots, report.counters.shown), (5, 2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_shown_the_state_of_one_moment() {
    let mut world = World::new(1, 100_000);
    for n in 0..1000 {
        world.publish_key("t", &format!("k{n:03}"), "\"before\"").await;
    }
    world.settle().await;
    let mut client = world.connect(&Ask { options: SNAPSHOT, overflow: Overflow::CatchUp, ..ASK }, 512).await;
    client.next_op("subscribed").await;
    for n in 0..1000 {
        world.publish_key("t", &format!("k{n:03}"), if n % 2 == 0 { "\"after\"" } else { "null" }).await;
    }
    world.settle().await;
    let (keys, end) = shown(&mut client).await;
    assert_eq!((keys.len(), &end["seq"], &end["count"]), (1000, &json!(1000), &json!(1000)));
    assert!(keys.iter().all(|(_, _, data)| data == "before"));
    assert_eq!(client.events_to(2000).await, (1001..=2000).collect::<Vec<_>>());
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_be_resumed_needs_no_snapshot_and_a_gap_brings_it() {
    let mut world = World::new(1, 10);
    for n in 0..30 {
        world.publish_key("t", &format!("k{}", n % 20), "1").await;
    }
    world.settle().await;
    let resumed = |after: &str| Ask { after: Some(after.into()), options: SNAPSHOT, ..ASK };
    for after in ["000000000000009f:25", "earliest"] {
        let mut client = world.connect(&resumed(after), 1 << 12).await;
        client.next_op("subscribed").await;
        assert_eq!(client.next().await.unwrap()["op"], "event");
        client.leave().await;
    }
    for (after, reason) in [("000000000000009f:3", "history_expired"), ("0000000000000001:3", "epoch_changed")] {
        let mut client = world.connect(&resumed(after), 1 << 12).await;
        client.next_op("subscribed").await;
        assert_eq!(client.next().await.unwrap()["reason"], reason);
        assert_eq!(shown(&mut client).await.0.len(), 20, "older than the log, too");
        assert_eq!(client.events_to(30).await, (21..=30).collect::<Vec<_>>());
        client.leave().await;
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_was_told_a_gap_later_holds_the_right_state_in_the_end() {
    for (overflow, max_events) in [(Overflow::Skip, 100_000), (Overflow::CatchUp, 50)] {
        let mut world = World::new(1, max_events);
        let mut client = world.connect(&Ask { options: SNAPSHOT, overflow, ..ASK }, 512).await;
        client.next_op("subscribed").await;
        client.next_op("snapshot_end").await;
        let mut state = BTreeMap::new();
        for n in 0..1000 {
            let (key, data) = (format!("k{}", n % 37), format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(100)));
            state.insert(key.clone(), n);
            world.publish_key("t", &key, &data).await;
        }
        world.settle().await;
        let (mut held, mut seqs, mut gaps) = (BTreeMap::new(), BTreeMap::<String, u64>::new(), 0);
        while held != state {
            let message = client.next().await.unwrap();

            match message["op"].as_str().unwrap() {
                "gap" => gaps += 1,
                "event" | "snapshot" => {
                    let (key, seq) = (message["key"].as_str().unwrap().to_owned(), message["seq"].as_u64().unwrap());
                    if seqs.insert(key.clone(), seq).is_none_or(|before| before < seq) {
                        held.insert(key, message["data"]["n"].as_i64().unwrap());
                    }
                }
                "snapshot_end" | "heartbeat" => {}
                op => panic!("{op}"),
            }
        }
        assert!(gaps > 0);
        client.leave().await;
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_not_read_ends_the_connection() {
    let mut world = World::new(1, 1000);
    for n in 0..1000 {
        world.publish_key("t", &format!("k{n}"), "\"some data of this key\"").await;
    }
    world.settle().await;
    let mut client = world.connect(&Ask { options: SNAPSHOT, overflow: Overflow::CatchUp, ..ASK }, 128).await;
    client.next_op("subscribed").await;
    // It takes a little now and then: it is there, and the socket is not stalled.
    let begun = tokio::time::Instant::now();
    while client.next().await.is_some() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let reason = client.life.await.unwrap().reason;
    assert_eq!((reason, begun.elapsed().as_secs() / 10), (CloseReason::SlowConsumer, 6));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unsubscribed_is_shown_no_further_and_no_more_may_wait_than_subscriptions() {
    let mut world = World::new(1, 1000);
    for n in 0..300 {
        for topic in ["a", "b"] {
            world.publish_key(topic, &format!("k{n}"), "\"some data of this key\"").await;
        }
    }
    world.settle().await;
    let mut client = world.connect(&Ask { topics: &["a", "b"], options: SNAPSHOT, ..ASK }, 256).await;
    client.next_op("subscribed").await;
    client.send(json!({"op":"unsubscribe","topics":["a"]})).await;
    client.next_op("unsubscribed").await;
    let (mut of_b, mut late_of_a) = (0, 0);
    let end = loop {
        let message = client.next().await.unwrap();
        match (message["op"].as_str().unwrap(), message["topic"].as_str()) {
            ("snapshot", Some("b")) => of_b += 1,
            ("snapshot", _) => late_of_a += 1,
            _ => break message,
        }
    };
    assert_eq!((of_b, late_of_a, end["op"].as_str().unwrap()), (300, 0, "snapshot_end"));
    for n in 0..6 {
        client.send(json!({"op":"subscribe","id":n.to_string(),"topics":["b"],"snapshot":true})).await;
    }
    let error = client.next_op("error").await;
    assert_eq!(error["code"], "LIMIT_EXCEEDED", "{error}");
    client.leave().await;
    world.end().await;
}
