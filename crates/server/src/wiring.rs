//! Puts the layers together, runs them, and takes them apart in order.

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use standpipe_connections::{Registry, clock::unix_ms, drain};
use standpipe_entry::{Auth, Listener};
use standpipe_fanout::{Demand, Fanout};
use standpipe_ledger::Totals;
use standpipe_liveness::DrainPlan;
use standpipe_protocol::{Epoch, SourceNews, SourceTurn};
use standpipe_upstream::Upstream;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::{self, Audit},
    auth,
    billing::Billing,
    config::Settings,
    descriptors,
    hosted::{Hosted, Told},
    instances::Instances,
    publishing::Publishing,
    readiness::Required,
    resumption::Resumption,
    service::Standpipe,
    session::{self, Rules, Sessions},
    shutdown::Signals,
    telemetry::QUOTA,
    watchdog::{self, Watchdog},
};

/// News of sources that wait to be told. When it is full, what is newer takes the place of what is older.
const NEWS: usize = 64;

/// Clients of a shard that read the log at the same time, from which on they read it together: by then an index of what
/// they want costs less than what each would read in vain.
const CROWD: usize = 32;

/// Of the drain's deadline, what is left for stopping once the clients are gone.
const STOPPING: Duration = Duration::from_secs(1);

/// The same, for charging what the last receipts have proven, where deliveries are billed.
const SETTLING: Duration = Duration::from_secs(2);

/// Runs the server until it is told to end. `announce` is given the address once clients can connect.
///
/// # Errors
/// If it cannot listen, or a part that everything depends on has failed.
pub async fn run(settings: Settings, announce: impl FnOnce(SocketAddr) -> String) -> anyhow::Result<()> {
    if let Some(doubt) = settings.doubts() {
        tracing::warn!("{doubt}");
    }
    let mut signals = Signals::listen().context("take over SIGTERM and SIGINT")?;
    let listener = Listener::bind(settings.entry.clone())?;
    let address = listener.address();
    let entry = &settings.entry;
    descriptors::provide(entry.guests.max_connections.get().saturating_add(entry.limits.max_http.get()));
    // Before the sources: nothing is delivered that could not be billed.
    let billing = match settings.billing.clone() {
        Some(billing) => Some(Arc::new(Billing::start(billing, settings.client.receipt_interval).await?)),
        None => None,
    };
    let hosted = settings.hosted.clone().map(Hosted::new).transpose()?;
    let plan = DrainPlan { window: settings.drain.window, deadline: settings.drain.deadline };

    let (clients, sources) = (TaskTracker::new(), TaskTracker::new());
    let (stop_sources, stop_shards, stop_entry) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let epoch = Epoch(session::random().ok_or_else(|| anyhow!("the system gives no randomness for the log's epoch"))?);
    let shards = TaskTracker::new();
    let instances = Arc::new(Instances::default());
    let demand: Arc<dyn Demand> = Arc::<Instances>::clone(&instances);
    let config = fanout_config(&settings, billing.as_deref(), demand);
    let (fanout, items) = Fanout::start(&config, epoch, &shards, &stop_shards);
    let (to_tell, news) = mpsc::channel(NEWS);
    shards.spawn(stop_shards.clone().run_until_cancelled_owned(tell_sources(fanout.clone(), news)));
    let upstream = Upstream::start(settings.sources.clone(), &items, &to_tell, &sources, &stop_sources)
        .context("start the sources")?;
    instances.are(upstream.demand());
    let auth = Arc::new(auth::start(&settings.auth, &sources, &stop_sources)?);
    // The sources hold the ends that count.
    drop((items, to_tell));
    let told = hosted.as_ref().map(Hosted::told);
    let standpipe = Arc::new(assemble(&settings, auth, &listener, fanout.clone(), upstream, billing.clone(), told));
    clients.spawn({
        let (standpipe, clients, stop) = (Arc::clone(&standpipe), clients.clone(), stop_entry.clone());
        async move { listener.run(standpipe, &clients, stop).await }
    });

    let heart = Arc::clone(&standpipe.heart);
    let living = async move { tokio::join!(heart.beat(), QUOTA.keep_telling()) };
    shards.spawn(stop_shards.clone().run_until_cancelled_owned(living));
    let watchdog = settings.server.watchdog.map(|patience| watch(&standpipe, patience)).transpose()?;
    let audits = audit::keep_auditing(Arc::clone(&standpipe), clients.clone(), address.port(), settings.server.audit);
    shards.spawn(stop_shards.clone().run_until_cancelled_owned(audits));

    let told_to_leave = CancellationToken::new();
    if let Some(hosted) = hosted {
        let max_connections = settings.entry.guests.max_connections.get();
        let attending = hosted.attend(Arc::clone(&standpipe), max_connections, told_to_leave.clone());
        shards.spawn(stop_shards.clone().run_until_cancelled_owned(attending));
    }

    say(&announce(address));
    let failure = tokio::select! {
        why = signals.first(&standpipe.draining, &told_to_leave) => {
            tracing::info!(why, clients = standpipe.sessions.registry.len(), "draining");
            None
        }
        () = fanout.failed().cancelled() => Some(anyhow!("a shard or the log has failed; see the panic in the log")),
    };
    // A shard that has failed does not beat.
    let watchdog = watchdog.filter(|_| failure.is_none());
    standpipe.draining.cancel();
    standpipe.heart.drains(standpipe.sessions.registry.len());
    let begun = Instant::now();
    let reserved = STOPPING + billing.as_ref().map_or(Duration::ZERO, |_| SETTLING);
    let goodbyes = DrainPlan { deadline: plan.deadline.saturating_sub(reserved), ..plan };
    let left = say_goodbye(&standpipe.sessions.registry, goodbyes, &mut signals).await;
    if left > 0 {
        tracing::warn!(left, "clients were still connected at `drain.deadline`");
    }
    stop_sources.cancel();
    stop_entry.cancel();
    sources.close();
    clients.close();
    let deadline = begun + plan.deadline;
    let _ = tokio::time::timeout_at(deadline, async { tokio::join!(sources.wait(), clients.wait()) }).await;
    if let Some(billing) = billing {
        tokio::select! {
            biased;
            () = billing.settle(deadline) => {}
            signal = signals.next() => tracing::info!(signal, "hurrying"),
        }
        billing.finish(deadline).await;
    }
    let report = tokio::time::timeout_at(deadline, fanout.report()).await.ok();
    // What is stopped does not beat.
    drop(watchdog);
    stop_shards.cancel();
    shards.close();
    let _ = tokio::time::timeout_at(deadline, shards.wait()).await;
    if let Some(report) = report {
        tell_totals(&report.totals);
    }
    QUOTA.tell();
    failure.map_or(Ok(()), Err)
}

/// The last line: what became of all events.
fn tell_totals(totals: &Totals) {
    let Totals { tally, difference, .. } = totals;
    tracing::info!(
        matched = tally.matched,
        confirmed = tally.confirmed,
        conflated = tally.conflated,
        skipped = tally.skipped,
        returned = tally.returned,
        unconfirmed = tally.unconfirmed,
        difference,
        "stopped"
    );
}

/// Ends the process if the runtime or a shard stands still for so long.
fn watch(standpipe: &Standpipe, patience: Duration) -> anyhow::Result<Watchdog> {
    let (heart, fanout) = (Arc::clone(&standpipe.heart), standpipe.sessions.fanout.clone());
    let beats = move || [vec![heart.beats()], fanout.beats()].concat();
    let bite = move |still: usize| {
        let what = still.checked_sub(1).map_or_else(|| "the runtime".to_owned(), |shard| format!("shard {shard}"));
        watchdog::end_process(&what, patience);
    };
    Watchdog::start(patience, beats, bite).context("start the watchdog")
}

/// Drains; a further signal ends the spreading.
async fn say_goodbye(registry: &Arc<Registry>, plan: DrainPlan, signals: &mut Signals) -> usize {
    let hurry = CancellationToken::new();
    let goodbyes = drain::drain(registry, plan, &hurry);
    tokio::pin!(goodbyes);
    loop {
        tokio::select! {
            left = &mut goodbyes => return left,
            signal = signals.next() => {
                tracing::info!(signal, "hurrying");
                hurry.cancel();
            }
        }
    }
}

fn assemble(
    settings: &Settings,
    auth: Arc<Auth>,
    listener: &Listener,
    fanout: Fanout,
    upstream: Upstream,
    billing: Option<Arc<Billing>>,
    told: Option<Arc<Told>>,
) -> Standpipe {
    let Settings { client, plans, limits, .. } = settings;
    let (upstream, draining) = (Arc::new(upstream), CancellationToken::new());
    let (guests, stop) = (listener.guests(), draining.clone());
    let publishing = Publishing { upstream: Arc::clone(&upstream), guests, draining: stop };
    Standpipe {
        sessions: Sessions {
            registry: Arc::default(),
            fanout,
            guests: listener.guests(),
            rules: Arc::new(Rules {
                auth,
                config: Arc::new(client.each.clone()),
                plans: plans.iter().map(|(name, plan)| (Arc::clone(name), Arc::new(plan.client.clone()))).collect(),
                bounds: limits.bounds,
            }),
            confirm: client.confirm,
            overflow: client.overflow,
            resumption: Resumption::new(client.resumable),
            billing,
            publishing: Arc::new(publishing),
        },
        upstream,
        entry: listener.counts(),
        guests: listener.guests(),
        audit: Audit::default(),
        required: Required::of(&settings.sources),
        heart: Arc::default(),
        draining,
        started: Instant::now(),
        started_at: unix_ms(),
        told,
    }
}

fn fanout_config(settings: &Settings, billing: Option<&Billing>, demand: Arc<dyn Demand>) -> standpipe_fanout::Config {
    standpipe_fanout::Config {
        shards: settings.server.workers.get(),
        max_events: settings.log.max_events,
        max_bytes: settings.log.max_bytes,
        max_age: settings.log.max_age,
        max_keys: settings.snapshot.max_keys,
        max_keys_bytes: settings.snapshot.max_bytes,
        max_queue_bytes_total: settings.client.max_queue_bytes_total,
        snapshot_patience: settings.snapshot.patience,
        crowd: CROWD,
        tariff: billing.map(Billing::tariff),
        demand: Some(demand),
    }
}

/// Carries news of sources to the clients.
async fn tell_sources(fanout: Fanout, mut news: mpsc::Receiver<SourceNews>) {
    while let Some(news) = news.recv().await {
        match news.turn {
            SourceTurn::Ended => fanout.forget(news.scope),
            SourceTurn::State(_) | SourceTurn::Gap { .. } => fanout.tell_source(&news).await,
        }
    }
}

/// Prints to standard output, for people and for programs that wait for the address.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever started the process may not be reading: that is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
