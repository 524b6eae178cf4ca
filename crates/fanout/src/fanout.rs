//! The fan-out as a whole: started once, asked by many.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use standpipe_connections::{Signal, clock::unix_ms};
use standpipe_protocol::{After, ConnectionId, Epoch, Identity, Item, OnGap, Refusal, SourceNews, Topic, topic::Scope};
use standpipe_selection::{Grant, Lease, Params};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Demand, Kept, Log, Ring,
    appender::append_all,
    budget::Budget,
    demand,
    mailbox::{ToShard, Which},
    report::{DescribedTopic, Description, Report, waiting},
    resume::{self, Past},
    ring::Listing,
    shard::Shard,
};

/// How many messages wait for a shard before whoever sends waits too.
const MAILBOX: usize = 1024;

/// How many events wait for their place in the log before sources wait.
const QUEUE: usize = 4096;

/// The log and the shards.
#[derive(Debug, Clone)]
pub struct Fanout {
    log: Arc<Ring>,
    shards: Arc<[Mailbox]>,
    budget: Budget,
    demand: Option<Arc<dyn Demand>>,
    failed: CancellationToken,
}

/// The way to one shard.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Where its messages go.
    pub sender: mpsc::Sender<ToShard>,
    /// How its connections say that they have room.
    pub signal: Arc<Signal>,
}

impl Fanout {
    /// Starts the shards and the appender, and returns the queue that sources put events into.
    ///
    /// All of it ends when `cancel` says so; what is in the queue by then still gets its place.
    pub fn start(
        config: &Config,
        epoch: Epoch,
        tracker: &TaskTracker,
        cancel: &CancellationToken,
    ) -> (Self, mpsc::Sender<Item>) {
        let log = Arc::new(Ring::new(epoch, config));
        let shared: Arc<dyn Log> = Arc::<Ring>::clone(&log);
        let failed = CancellationToken::new();
        let signals: Vec<_> = (0..config.shards.max(1)).map(|_| Arc::new(Signal::default())).collect();
        let budget = Budget::new(config.max_queue_bytes_total, Arc::clone(&shared), signals.iter().cloned());
        let shards = signals.into_iter().map(|signal| {
            let (sender, mailbox) = mpsc::channel(MAILBOX);
            let shard = Shard::new(Arc::clone(&shared), mailbox, Arc::clone(&signal), budget.clone(), config);
            tracker.spawn(guarded(shard.run(cancel.clone()), failed.clone()));
            Mailbox { sender, signal }
        });
        let shards = shards.collect();
        let (items, queue) = mpsc::channel(QUEUE);
        tracker.spawn(guarded(append_all(shared, queue, cancel.clone()), failed.clone()));
        (Self { log, shards, budget, demand: config.demand.clone(), failed }, items)
    }

    /// Cancelled if a shard or the appender has panicked: then clients are no longer served as they should be.
    pub fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    /// Which log the cursors of this process are in.
    pub fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    /// The log.
    pub fn log(&self) -> &Ring {
        &self.log
    }

    /// What waits for all clients beside the log and the keys, and what may.
    pub fn kept(&self) -> Kept {
        self.budget.kept()
    }

    /// The shard that owns a connection.
    pub fn shard(&self, connection: ConnectionId) -> Option<&Mailbox> {
        let shard = connection.0 % self.shards.len() as u64;
        self.shards.get(usize::try_from(shard).unwrap_or(0))
    }

    /// Whether delivery could begin there, for a client that may go back as far as `history`, of a leased instance or of
    /// what all share.
    ///
    /// # Errors
    /// `FUTURE_CURSOR`, or `HISTORY_EXPIRED` if `on_gap` is `fail`.
    pub fn check(
        &self,
        after: &After,
        on_gap: OnGap,
        grant: &Grant,
        history: Option<Duration>,
        lease: Option<&Lease>,
    ) -> Result<(), Refusal> {
        let past = Past { reach: resume::reach(history, Instant::now()), since: lease.map_or(0, Lease::since) };
        resume::start(after, on_gap, grant, &*self.log, past).map(drop)
    }

    /// A share in the instance of a demand-driven source that `params` name, if they name one.
    ///
    /// # Errors
    /// Those of [`Demand::lease`].
    pub fn lease(&self, params: &Params, identity: &Identity, peer: SocketAddr) -> Result<Option<Lease>, Refusal> {
        demand::lease(self.demand.as_ref(), params, identity, peer, self.log.bounds().head)
    }

    /// The instance whose topics were in `scope` has ended: the latest events of its keys are let go of.
    pub fn forget(&self, scope: Scope) {
        self.log.forget(scope);
    }

    /// Tells all shards, and so all clients whom it concerns, of a source.
    pub async fn tell_source(&self, news: &SourceNews) {
        for shard in self.shards.iter() {
            // A shard that is gone has no clients to tell.
            let _ = shard.sender.send(ToShard::Source(news.clone())).await;
        }
    }

    /// How often each shard has looked after the deadlines of its clients: a few times more each second, or it stands still.
    pub fn beats(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| shard.signal.beats()).collect()
    }

    /// Describes connections, in the order in which they are asked for.
    pub async fn describe(&self, which: Which) -> Vec<Description> {
        let answers = self.ask(|answer| ToShard::Describe(which, answer)).await;
        let mut all: Vec<_> = answers.into_iter().flatten().collect();
        match which {
            Which::One(_) => {}
            Which::Behind(_, limit) => {
                all.sort_by_key(|one| one.id);
                all.truncate(limit);
            }
            Which::Waiting(limit) => {
                all.sort_by_key(|one| (waiting(one.queue_bytes, one.lag), one.id));
                all.truncate(limit);
            }
        }
        all
    }

    /// Describes topics that the log holds, in the order in which they are asked for, and tells how many there are.
    pub async fn topics(&self, listing: Listing) -> (Vec<DescribedTopic>, usize) {
        let (held, total) = self.log.list(listing, Instant::now());
        let topics: Arc<[Topic]> = held.iter().flat_map(|one| one.topics.iter().cloned()).collect();
        let mut selecting = vec![0; topics.len()];
        for counts in self.ask(|answer| ToShard::Selecting(Arc::clone(&topics), answer)).await {
            selecting.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let (mut selecting, now) = (selecting.into_iter(), unix_ms());
        let described = held.into_iter().map(|one| DescribedTopic {
            instances: one.instances(),
            subscriptions: selecting.by_ref().take(one.topics.len()).sum(),
            last: now.saturating_sub(u64::try_from(one.age.as_millis()).unwrap_or(u64::MAX)),
            topic: one.name,
            events: one.events,
            last_minute: one.last_minute,
        });
        (described.collect(), total)
    }

    /// The sums over all shards.
    pub async fn report(&self) -> Report {
        let mut sum = Report::default();
        for report in self.ask(ToShard::Report).await {
            sum.merge(&report);
        }
        sum
    }

    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> ToShard) -> Vec<T> {
        let mut waiting = Vec::new();
        for shard in self.shards.iter() {
            let (sender, answer) = oneshot::channel();
            if shard.sender.send(question(sender)).await.is_ok() {
                waiting.push(answer);
            }
        }
        let mut answers = Vec::new();
        for answer in waiting {
            answers.extend(answer.await.ok());
        }
        answers
    }
}

/// Runs `task`, and says so if it does not come to its end.
async fn guarded(task: impl Future<Output = ()>, failed: CancellationToken) {
    let guard = failed.drop_guard();
    task.await;
    guard.disarm();
}
