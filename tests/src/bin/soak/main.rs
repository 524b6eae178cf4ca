//! Whether anything grows: a server under churn, faults, slow clients, changing selections and an upstream that fails, for
//! minutes or hours. Its memory, descriptors, tasks, index, queues and log are looked at every two seconds; in the end all
//! clients leave, and what was used in the first third is compared with the last, and before with after.
//!
//! `cargo xtask soak --minutes N` builds the server and runs this. It exits with 1 if something grew.

#![expect(clippy::expect_used, reason = "a run that cannot be made ends here")]

mod churn;
mod intrude;
mod watch;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use standpipe_tests::{Dice, PATIENCE, Proxy, Server, dice, eventually, proxy::Link};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use watch::{Sample, Watch};

/// Small bounds, so that all of them are met, and the log turns over three times a minute. A thousand keys come every 20 s,
/// under topics that are new: those of topics that are gone are kept until there are too many.
const CONFIG: &str = r#"
[log]
max_events = 20_000
max_age = "30s"

[snapshot]
max_keys = 1_500

[client]
max_queue_bytes = "64KiB"
max_queue_age = "2s"
max_unconfirmed_bytes = "128KiB"
max_unconfirmed_frames = 400
ping_interval = "2s"
pong_timeout = "2s"
heartbeat = "1s"
first_step = "2s"
write_timeout = "2s"

[[source]]
name = "in"
kind = "push"

[[source]]
name = "relay"
kind = "websocket"
url = "URL"
map = 'select(.op == "event") | {topic: "relay.\(.topic)", key: .key, data: .data}'
stale_after = "2s"
"#;

/// What the relay is connected to: another server.
const UPSTREAM: &str = r#"
[client]
ping_interval = "2s"
pong_timeout = "1s"

[[source]]
name = "in"
kind = "push"
"#;

/// A thousand events a second.
const BATCH: u64 = 50;
const BATCH_EVERY: Duration = Duration::from_millis(50);

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is used at first is not growth: the log fills, buffers find their size.
const WARM_UP: Duration = Duration::from_secs(45);

/// How long the end may take: everybody leaves, who vanished is found, and the log forgets.
const TAIL: Duration = Duration::from_secs(60);

/// What everybody shares who troubles the server.
#[derive(Clone)]
struct Trouble {
    addr: std::net::SocketAddr,
    seed: u64,
    stop: CancellationToken,
    counts: Arc<Counts>,
}

/// What was done.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    events: AtomicU64,
    commands: AtomicU64,
    intrusions: AtomicU64,
    reconnects: AtomicU64,
}

impl Counts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }
}

fn event(n: u64) -> Value {
    // Topics come and go, as those of a source do that names what it talks about.
    let topic = format!("load.{}.{}", n % 20, n / 20_000);
    let side = if n.is_multiple_of(3) { "buy" } else { "sell" };
    json!({"topic": topic, "key": format!("k{}", n % 500), "data": {"n": n, "side": side, "note": "x".repeat(150)}})
}

/// Publishes until it is told to stop: a server that does not take it for long has failed.
async fn publish(server: &Server, batch: u64, every: Duration, stop: &CancellationToken) {
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = 0;
    while !stop.is_cancelled() {
        clock.tick().await;
        let events: Vec<_> = (next..next + batch).map(event).collect();
        server.publish(&events).await;
        next += batch;
    }
}

/// Cuts the way to the upstream again and again.
async fn flap(proxy: &Proxy, trouble: &Trouble) {
    let mut dice = Dice::new(trouble.seed, 0);
    while timeout(Duration::from_secs(2 + dice.throw(8)), trouble.stop.cancelled()).await.is_err() {
        proxy.set_all(dice.choose(&[Link::Close, Link::Reset, Link::Freeze]));
        Counts::add(&trouble.counts.reconnects);
    }
}

async fn look(server: &Server, watch: &mut Watch, stop: &CancellationToken) {
    let mut clock = interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        clock.tick().await;
        watch.add(Sample::of(server).await);
    }
}

fn say(line: &str) {
    // Nobody is left to be told that it cannot be written.
    let _ = writeln!(io::stdout(), "{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let minutes: f64 = env::args().nth(1).map_or(10.0, |given| given.parse().expect("a number of minutes"));
    let upstream = Server::start(UPSTREAM).await;
    let proxy = Proxy::start(upstream.addr()).await;
    let relay = format!("ws://{}/ws?topics=%3E", proxy.addr());
    let server = Server::start(&CONFIG.replace("URL", &relay)).await;
    let trouble =
        Trouble { addr: server.addr(), seed: dice::seed(), stop: CancellationToken::new(), counts: Arc::default() };
    let before = Sample::of(&server).await;

    let tasks = TaskTracker::new();
    let clients: Vec<_> = churn::all(&trouble).into_iter().map(|client| tasks.spawn(client)).collect();
    let intruders: Vec<_> = intrude::all(&trouble).into_iter().map(|intruder| tasks.spawn(intruder)).collect();
    say(&format!("for {minutes} minutes: {} clients and {} intruders at a time", clients.len(), intruders.len()));
    let mut watch = Watch::new(before);
    let troubled = async {
        tokio::join!(
            publish(&server, BATCH, BATCH_EVERY, &trouble.stop),
            publish(&upstream, 10, BATCH_EVERY * 10, &trouble.stop),
            flap(&proxy, &trouble),
            async {
                sleep(WARM_UP.min(Duration::from_secs_f64(minutes * 60.0) / 4)).await;
                look(&server, &mut watch, &trouble.stop).await;
            },
            async {
                sleep(Duration::from_secs_f64(minutes * 60.0)).await;
                trouble.stop.cancel();
            }
        )
    };
    troubled.await;

    let mut failed = 0;
    for task in clients.into_iter().chain(intruders) {
        failed += usize::from(timeout(TAIL, task).await.map_or(true, |ended| ended.is_err()));
    }
    let after = eventually("the server is as empty as before", TAIL + PATIENCE, async || {
        let after = Sample::of(&server).await;
        if after.is_quiet() { Ok(after) } else { Err(format!("{after:?}")) }
    })
    .await;
    let Counts { connections, events, commands, intrusions, reconnects } = &*trouble.counts;
    let [connections, events, commands, intrusions, reconnects] =
        [connections, events, commands, intrusions, reconnects].map(|count| count.load(Relaxed));
    say(&format!(
        "{connections} connections, {events} events read, {commands} changes of selections, {intrusions} intrusions, \
         {reconnects} cuts of the upstream; {failed} clients found a fault"
    ));
    let (table, grew) = watch.judge(after);
    say(&table);
    let metrics = server.metrics().await;
    let wrong: Vec<_> = ["standpipe_ledger_difference", "standpipe_process_panics_total"]
        .into_iter()
        .filter(|name| metrics.count(name) != 0)
        .collect();
    if grew.is_empty() && wrong.is_empty() && failed == 0 {
        say("nothing grew");
        return ExitCode::SUCCESS;
    }
    say(&format!("grew: {grew:?}; wrong: {wrong:?}"));
    ExitCode::FAILURE
}
