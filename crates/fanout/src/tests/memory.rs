//! What follows when no queue is too long by itself, but all together are.

use std::time::Duration;

use serde_json::Value;
use standpipe_protocol::Overflow;

use super::world::{ASK, Ask, Client, World};
use crate::{Config, Report};

/// So many events each client is to get, and about how large they are.
const EVENTS: u64 = 20;
const EVENT_BYTES: usize = 700;
const CLIENTS: u64 = 8;
/// Of four events for each client, which is what one queue holds.
const MAX: usize = 2 * 8 * EVENT_BYTES;
/// One event for each client.
const IN_HAND: usize = 8 * EVENT_BYTES;

/// From one look at those who keep much to the next; all of it is less than nobody may take a byte.
const BETWEEN: Duration = Duration::from_millis(25);

/// Clients of which none reads, and one that does, while events come that the log soon lets go of. Of events 0 to 7 each
/// is for another client, and so on.
async fn press(overflow: Overflow) -> (World, Vec<Client>) {
    let mut world = World::with(&Config { max_queue_bytes_total: MAX, ..Config::of_events(3) });
    let mut healthy = world.connect(&ASK, 1 << 16).await;
    let mut slow = Vec::new();
    for n in 0..CLIENTS {
        slow.push(world.connect(&Ask { topics: &[&format!("t.{n}")], overflow, ..ASK }, 1024).await);
    }
    let pad = format!("\"{}\"", "x".repeat(EVENT_BYTES));
    for seq in 1..=EVENTS * CLIENTS {
        world.publish(&format!("t.{}", (seq - 1) % CLIENTS), &pad).await;
        world.settle().await;
        // Twice, since who has given up its queue may still have much in hand.
        for _ in 0..2 {
            tokio::time::advance(BETWEEN).await;
            world.settle().await;
        }
        let kept = world.fanout.kept();
        // What a writer has in hand it drops in its own time.
        assert!(kept.bytes <= MAX + IN_HAND, "{kept:?} after {seq} events");
        assert_eq!(healthy.next_op("event").await["seq"], seq);
    }
    healthy.leave().await;
    (world, slow)
}

/// Reads all that the `n`th client gets: each event that it wanted comes in its turn, or lies in a gap that was told. Returns
/// the gaps, and how many of its events each has.
async fn gaps(client: &mut Client, n: u64) -> Vec<(Value, u64)> {
    let mut wanted = (n..=EVENTS * CLIENTS).step_by(8).peekable();
    let mut gaps = Vec::new();
    while wanted.peek().is_some() {
        let Some(message) = client.next().await else { break };
        match message["op"].as_str().unwrap() {
            "event" => assert_eq!(message["seq"].as_u64(), wanted.next()),
            "gap" => {
                let (from, to) = (message["from"].as_u64().unwrap(), message["to"].as_u64().unwrap());
                let missed = std::iter::from_fn(|| wanted.next_if(|seq| (from..=to).contains(seq))).count() as u64;
                gaps.push((message, missed));
            }
            _ => {}
        }
    }
    gaps
}

async fn end(world: World, slow: Vec<Client>) -> Report {
    for client in slow {
        client.leave().await;
    }
    assert_eq!(world.fanout.kept().bytes, 0);
    world.end().await
}

#[tokio::test(start_paused = true)]
async fn who_would_be_disconnected_is_when_all_queues_together_are_too_long() {
    let (world, mut slow) = press(Overflow::Disconnect).await;
    let mut closed = 0;
    for client in &mut slow {
        let mut last = 0;
        while let Some(message) = client.next().await {
            match message["op"].as_str().unwrap() {
                "event" => last = message["seq"].as_u64().unwrap(),
                "error" => {
                    assert_eq!(message["code"], "BACKPRESSURE_LIMIT");
                    closed += u64::from(message["message"].as_str().unwrap().contains("client.max_queue_bytes_total"));
                }
                "goodbye" => {
                    assert_eq!((&message["code"], message["cursor"].as_str()), (&4100.into(), Some(&*cursor(last))));
                }
                _ => {}
            }
        }
    }
    let report = end(world, slow).await;
    assert!(closed > 0 && report.counters.reliefs.0["closed"] == closed, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_skips_is_told_what_it_gave_up() {
    let (world, mut slow) = press(Overflow::Skip).await;
    let mut skipped = 0;
    for (n, client) in (1..).zip(&mut slow) {
        for (gap, missed) in gaps(client, n).await {
            assert_eq!(gap["matched"], missed, "{gap}");
            skipped += missed;
        }
    }
    let report = end(world, slow).await;
    assert!(skipped > 0 && report.counters.reliefs.0["skipped"] > 0, "{report:?}");
    assert!(report.totals.tally.skipped >= skipped, "who is cut while it skips has skipped more: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_reads_from_the_log_what_that_still_holds() {
    let (world, mut slow) = press(Overflow::CatchUp).await;
    let mut expired = 0;
    for (n, client) in (1..).zip(&mut slow) {
        for (gap, _) in gaps(client, n).await {
            assert_eq!(gap["reason"], "history_expired");
            expired += 1;
        }
    }
    let report = end(world, slow).await;
    assert!(expired > 0 && report.counters.reliefs.0["returned"] > 0, "{report:?}");
    assert!(report.totals.tally.returned > 0, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_log_still_holds_costs_little_however_many_wait_for_it() {
    let config = Config { max_queue_bytes_total: 20_000, ..Config::of_events(1_000) };
    let mut world = World::with(&config);
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(world.connect(&ASK, 256).await);
    }
    for _ in 0..6 {
        world.publish("t", &format!("\"{}\"", "x".repeat(300))).await;
    }
    world.settle().await;
    tokio::time::advance(BETWEEN).await;
    world.settle().await;
    let report = world.fanout.report().await;
    assert!(report.queue_bytes > 40_000 && world.fanout.kept().bytes < 20_000, "{:?}", world.fanout.kept());
    assert!(report.counters.reliefs.0.values().all(|count| *count == 0), "{report:?}");
    for client in &mut slow {
        assert_eq!(client.events_to(6).await.len(), 6);
    }
    end(world, slow).await;
}

fn cursor(seq: u64) -> String {
    format!("000000000000009f:{seq}")
}
