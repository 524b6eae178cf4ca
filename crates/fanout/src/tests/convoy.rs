//! Crowds that resume at once, each for what it selects.

use std::time::Duration;

use serde_json::json;
use standpipe_protocol::Overflow;

use super::world::{ASK, Ask, Client, World};

const EVENTS: u64 = 3000;
const AUTHORS: u64 = 25;

/// A log of posts by authors in turn.
async fn posts(max_events: usize) -> World {
    let mut world = World::new(1, max_events);
    for n in 0..EVENTS {
        world.publish(&format!("post.{}", n % 3), &format!("{{\"by\":{}}}", n % AUTHORS)).await;
    }
    world.settle().await;
    world
}

fn wanted(after: u64, by: u64, to: u64) -> Vec<u64> {
    (after + 1..=to).filter(|seq| (seq - 1) % AUTHORS == by).collect()
}

/// Comes back for the posts of one author behind `after`.
async fn come_back(world: &mut World, by: u64, after: u64, pipe: usize) -> Client {
    let filter = format!("{{\"by\":{by}}}");
    let after = Some(format!("000000000000009f:{after}"));
    let ask = Ask { topics: &["post.*"], filter: Some(&filter), after, overflow: Overflow::CatchUp, ..ASK };
    world.connect(&ask, pipe).await
}

#[tokio::test(start_paused = true)]
async fn a_crowd_reads_together_and_each_gets_exactly_its_own() {
    let mut world = posts(1 << 20).await;
    let mut crowd = Vec::new();
    for n in 0..200 {
        let (by, after) = (n % AUTHORS, (n * 7919) % EVENTS);
        // Every fifth can take only a little at a time: it leaves the convoy and comes back.
        let pipe = if n % 5 == 0 { 128 } else { 1 << 16 };
        crowd.push((by, after, come_back(&mut world, by, after, pipe).await));
    }
    for n in EVENTS..EVENTS + 100 {
        world.publish(&format!("post.{}", n % 3), &format!("{{\"by\":{}}}", n % AUTHORS)).await;
    }
    for (by, after, client) in &mut crowd {
        let wanted = wanted(*after, *by, EVENTS + 100);
        assert_eq!(client.events_to(*wanted.last().unwrap()).await, wanted);
    }
    for (_, _, client) in crowd {
        client.leave().await;
    }
    let report = world.end().await;
    assert!(report.counters.rides > 100, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_its_mind_or_leaves_on_the_way_disturbs_nobody() {
    let mut world = posts(1 << 20).await;
    let mut crowd = Vec::new();
    for n in 0..100 {
        crowd.push((n % AUTHORS, come_back(&mut world, n % AUTHORS, 0, 1 << 16).await));
    }
    let mut stayed = Vec::new();
    for (n, (by, mut client)) in crowd.into_iter().enumerate() {
        match n % 4 {
            0 => {
                client.leave().await;
            }
            1 => {
                client.send(json!({"op":"unsubscribe","topics":["post.*"]})).await;
                let at = client.next_op("unsubscribed").await["seq"].as_u64().unwrap();
                client.send(json!({"op":"subscribe","topics":["post.1"]})).await;
                let from = client.next_op("subscribed").await["seq"].as_u64().unwrap();
                assert!(at <= from);
                client.leave().await;
            }
            _ => stayed.push((by, client)),
        }
    }
    for (by, mut client) in stayed {
        let wanted = wanted(0, by, EVENTS);
        assert_eq!(client.events_to(*wanted.last().unwrap()).await, wanted);
        client.leave().await;
    }
    let report = world.end().await;
    assert!(report.counters.rides > 32, "{report:?}");
    assert_eq!((report.connections, report.subscriptions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_convoy_that_the_log_overtakes_tells_each_rider_its_gap() {
    let mut world = posts(2000).await;
    let mut crowd = Vec::new();
    for n in 0..100 {
        crowd.push((n % AUTHORS, come_back(&mut world, n % AUTHORS, 1000, 1 << 16).await));
    }
    // All at once, behind the shard's back: the log lets go of what the convoy was to read.
    let events = (EVENTS..EVENTS + 5000).map(|n| World::event("post.0", &format!("{{\"by\":{}}}", n % AUTHORS), n + 1));
    crate::Log::append(world.fanout.log(), events.collect(), tokio::time::Instant::now(), &mut Vec::new());
    for (by, mut client) in crowd {
        let mut got = Vec::new();
        let last = *wanted(0, by, EVENTS + 5000).last().unwrap();
        while got.last() != Some(&last) {
            let message = tokio::time::timeout(Duration::from_secs(60), client.next()).await.unwrap().unwrap();
            match message["op"].as_str().unwrap() {
                "gap" => {
                    let (from, to) = (message["from"].as_u64().unwrap(), message["to"].as_u64().unwrap());
                    got.extend(wanted(from - 1, by, to));
                }
                "event" => got.push(message["seq"].as_u64().unwrap()),
                _ => {}
            }
        }
        assert_eq!(got, wanted(1000, by, EVENTS + 5000), "what it did not get it was told");
        client.leave().await;
    }
    let report = world.end().await;
    assert!(report.counters.gaps.0["history_expired"] > 0, "{report:?}");
}
