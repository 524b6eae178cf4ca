//! Conflation: a slow client gets the latest of each key, and the ledger says what it did not get.

use std::collections::BTreeMap;

use serde_json::json;
use standpipe_protocol::Overflow;
use standpipe_selection::Options;

use super::world::{ASK, Ask, World};

const CONFLATE: Options = Options { snapshot: false, conflate: true };

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_the_latest_of_each_key_and_its_queue_is_bounded_by_its_keys() {
    let mut world = World::new(1, 100_000);
    let mut client = world.connect(&Ask { options: CONFLATE, overflow: Overflow::Disconnect, ..ASK }, 256).await;
    client.next_op("subscribed").await;
    for n in 0..2000 {
        world.publish_key("t", &format!("k{}", n % 7), &format!("{n}")).await;
    }
    world.settle().await;
    let report = world.fanout.report().await;
    assert!(report.queue_bytes < 1500, "{report:?}");
    let (mut latest, mut got) = (BTreeMap::new(), 0);
    while latest.values().copied().min() != Some(1993) || latest.len() < 7 {
        let message = client.next_op("event").await;
        let (key, n) = (message["key"].as_str().unwrap().to_owned(), message["data"].as_i64().unwrap());
        assert!(latest.insert(key, n).is_none_or(|before| before < n), "order holds for each key");
        got += 1;
    }
    let heartbeat = client.next_op("heartbeat").await;
    assert_eq!(heartbeat["cursor"], "000000000000009f:2000", "that much is behind it");
    client.leave().await;
    let tally = world.end().await.totals.tally;
    assert_eq!((tally.matched, tally.conflated), (2000, 2000 - got));
}

#[tokio::test(start_paused = true)]
async fn every_event_comes_that_another_subscription_wants_one_by_one() {
    let mut world = World::new(1, 1000);
    let mut client = world.connect(&Ask { topics: &["t.*"], options: CONFLATE, ..ASK }, 256).await;
    client.next_op("subscribed").await;
    client.send(json!({"op":"subscribe","topics":["t.a"]})).await;
    client.next_op("subscribed").await;
    for n in 0..30 {
        world.publish_key(if n % 2 == 0 { "t.a" } else { "t.b" }, "k", "1").await;
    }
    world.settle().await;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    while of_a.last() != Some(&29) || of_b.last() != Some(&30) {
        let event = client.next_op("event").await;
        let seqs = if event["topic"] == "t.a" { &mut of_a } else { &mut of_b };
        seqs.push(event["seq"].as_u64().unwrap());
    }
    assert_eq!(of_a, (1..30).step_by(2).collect::<Vec<_>>());
    assert!(of_b.len() < 15, "{of_b:?}");
    client.leave().await;
    world.end().await;
}
