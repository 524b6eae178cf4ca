//! A storm: hundreds of clients that stall, vanish and come back at random while events pour, and the books still balance.

mod life;
mod wish;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use standpipe_tests::{Dice, PATIENCE, Pace, Server, dice, metrics::Metrics, within};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    PUSH,
    story::{Story, Sum},
};
use life::Life;
use wish::{Made, Wish};

const CLIENTS: u64 = 300;
const EVENTS: usize = 100_000;

/// 5,000 events a second.
const PACE: Pace = Pace { batch: 250, every: Duration::from_millis(50) };

/// Little of everything, so that every bound is met: a stall of a second is one too many, and the log holds five.
const CONFIG: &str = r#"
[log]
max_events = 25_000

[client]
max_queue_bytes = "48KiB"
max_queue_age = "1s"
max_unconfirmed_bytes = "128KiB"
max_unconfirmed_frames = 400
ping_interval = "1s"
pong_timeout = "1s"
heartbeat = "500ms"
write_timeout = "2s"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_each_client_gets_exactly_its_selection_less_the_gaps_that_it_was_told() {
    let seed = dice::seed();
    let server = Server::start(&format!("{CONFIG}{PUSH}")).await;
    let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();
    let mut dice = Dice::new(seed, 0);
    let made: Vec<_> = (0..EVENTS).map(|_| Made::new(&mut dice)).collect();
    let events: Vec<_> = made.iter().enumerate().map(|(i, made)| made.written(i)).collect();

    let is_over = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut lives = Vec::new();
    for number in 1..=CLIENTS {
        let mut dice = Dice::new(seed, number);
        let wish = Wish::new(&mut dice);
        let wanted: Arc<[u64]> = (1..).zip(&made).filter(|(_, made)| wish.wants(made)).map(|(seq, _)| seq).collect();
        let life = Life {
            addr: server.addr(),
            epoch: epoch.clone(),
            overflow: dice.choose(&["disconnect", "catch_up", "skip"]),
            confirm: dice.choose(&["pong", "pong", "ack"]),
            story: Story::new(wanted),
            wish,
            dice,
            is_over: is_over.clone(),
            vanished: Vec::new(),
        };
        lives.push((format!("client {number}: {:?}", life.wish), tasks.spawn(life.run(EVENTS as u64))));
    }
    PACE.publish(&server, &events).await;
    is_over.cancel();

    let mut told = Sum::default();
    let mut vanished = Vec::new();
    for (who, life) in lives {
        let life = within(&who, PATIENCE * 2, life).await.unwrap_or_else(|error| panic!("{who}: {error}"));
        life.story.assert_complete(&who);
        told += life.story.sum;
        vanished.push(life.vanished);
    }
    let metrics = server.until_nobody_left(PATIENCE).await;
    drop(vanished);
    assert_balance(&metrics, &told);
    assert_stormy(&metrics, &told);
}

/// What the server counted agrees with itself, and with what the clients saw.
fn assert_balance(metrics: &Metrics, told: &Sum) {
    let [matched, confirmed, skipped, unconfirmed] = ["matched", "confirmed", "skipped", "unconfirmed"]
        .map(|name| metrics.count(&format!("standpipe_ledger_{name}_total")));
    assert_eq!(matched, confirmed + skipped + unconfirmed);
    assert!(confirmed <= told.vouched, "{confirmed} confirmed, {told:?}");
    // Who is cut while it skips has skipped more than it was told: it resumes before that.
    assert!(skipped >= told.skipped, "{skipped} skipped, {told:?}");
    assert!(matched - skipped >= told.events, "{matched} matched, {told:?}");
    assert_eq!(metrics.count("standpipe_connections_opened_total"), told.connections);
    assert_eq!(metrics.count("standpipe_connections_closed_total"), told.connections);
    assert_eq!(metrics.count("standpipe_process_panics_total"), 0);
}

/// It was a storm: everything that can go wrong did, or this test proves little.
fn assert_stormy(metrics: &Metrics, told: &Sum) {
    let by_reason = ["CLIENT_GONE", "SLOW_CONSUMER", "PONG_TIMEOUT"];
    let count = |reason| metrics.value("standpipe_connections_closed_total", &[("reason", reason)]).unwrap_or(0.0);
    let closed: BTreeMap<_, _> = by_reason.into_iter().map(|reason| (reason, count(reason))).collect();
    assert!(closed.values().all(|count| *count > 0.0), "{closed:?}");
    for policy in ["disconnect", "catch_up", "skip"] {
        let overflows = metrics.value("standpipe_fanout_overflows_total", &[("policy", policy)]);
        assert!(overflows.is_some_and(|count| count > 0.0), "{policy}: {overflows:?}");
    }
    assert!(told.skipped > 0 && told.expired > 0 && told.connections > 2 * CLIENTS, "{told:?}");
}
