//! The configuration once it is valid: one plain struct for each layer, and the checks that need more than one key.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use standpipe_ledger::Bounds as Resumable;
use standpipe_protocol::{Confirm, Overflow};
use standpipe_selection::Bounds;

use super::{
    keys::Reader,
    memory,
    numbers::in_memory,
    quantity::{Size, show_duration},
    sections::{ClientKeys, DrainKeys, LimitKeys, LogKeys, ServerKeys, SnapshotKeys},
    values::Auto,
};

/// The process.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// What the log, the queues, the snapshots and the connections share, in bytes.
    pub memory: usize,
    /// Threads that serve clients.
    pub workers: NonZeroUsize,
    /// How often the parts are compared with each other.
    pub audit: Duration,
    /// How long the runtime or a shard may stand still; `None`: as long as it likes.
    pub watchdog: Option<Duration>,
}

/// How much of the past is kept. The first limit that is reached counts.
#[derive(Debug, Clone)]
pub struct Log {
    /// Events.
    pub max_events: usize,
    /// Their memory, in bytes.
    pub max_bytes: usize,
    /// Their age.
    pub max_age: Duration,
}

/// What is kept for snapshots.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Keys.
    pub max_keys: usize,
    /// The memory of their events, in bytes.
    pub max_bytes: usize,
    /// How long a client may take to read one.
    pub patience: Duration,
}

/// What clients are owed and owe.
#[derive(Debug, Clone)]
pub struct Client {
    /// Each of them.
    pub each: standpipe_connections::Config,
    /// The memory that all outboxes may take beside the log, in bytes.
    pub max_queue_bytes_total: usize,
    /// Between two receipts while events flow and are billed.
    pub receipt_interval: Duration,
    /// What is remembered of those that have ended.
    pub resumable: Resumable,
    /// The least proof of receipt.
    pub confirm: Confirm,
    /// What happens to a client that does not keep up and did not choose.
    pub overflow: Overflow,
}

/// Of all connections that have ended, the unproven events that are remembered: 16 MiB.
const MAX_UNPROVEN_FRAMES: usize = 1 << 20;

/// `flush_interval = "auto"`: a client that was written to less than this ago waits for more to be gathered.
const AUTO_FLUSH: Duration = Duration::from_millis(5);

/// How long events are gathered for one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// By how busy the client is.
    Auto,
    /// Always as long; zero: not at all.
    Fixed(Duration),
}

/// What clients may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What one of them may ask for.
    pub bounds: Bounds,
}

/// The end of the process.
#[derive(Debug, Clone)]
pub struct Drain {
    /// The time over which clients are sent away.
    pub window: Duration,
    /// When the process ends; longer than `window`.
    pub deadline: Duration,
}

impl Flush {
    /// Longer, and events are not live any more.
    pub(super) const LONGEST: Duration = Duration::from_millis(100);
}

impl Server {
    pub(super) fn check(keys: ServerKeys, reader: &Reader<'_>) -> Self {
        let memory = match keys.memory {
            Auto::Auto => Size(memory::available(reader.environment)),
            Auto::Fixed(bytes) => bytes,
        };
        let workers = match keys.workers {
            Auto::Auto => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            Auto::Fixed(workers) => workers.0,
        };
        Self {
            listen: keys.listen,
            memory: in_memory(memory),
            workers,
            audit: keys.audit_interval,
            watchdog: keys.watchdog.0,
        }
    }
}

impl Log {
    /// The log gets half of the memory if nobody says otherwise: the queues and snapshots refer to frames of the log as
    /// long as it holds them, and own only what is older.
    pub(super) fn check(keys: &LogKeys, server: &Server, reader: &mut Reader<'_>) -> Self {
        let max_bytes = match keys.max_bytes {
            Auto::Auto => server.memory / 2,
            Auto::Fixed(size) => in_memory(size),
        };
        if max_bytes > server.memory && reader.sound(&["log.max_bytes", "server.memory"]) {
            let (found, all) = (Size(max_bytes as u64), Size(server.memory as u64));
            reader.problem(
                "log.max_bytes",
                format!("{found} is more than all of `server.memory`, which is {all}"),
                "leave room for the queues, or write \"auto\"",
            );
        }
        Self { max_events: keys.max_events.get(), max_bytes, max_age: keys.max_age }
    }
}

impl Snapshot {
    pub(super) fn check(keys: &SnapshotKeys, log: &Log, server: &Server, reader: &mut Reader<'_>) -> Self {
        let max_bytes = match keys.max_bytes {
            Auto::Auto => server.memory / 8,
            Auto::Fixed(size) => in_memory(size),
        };
        let is_sound = reader.sound(&["snapshot.max_bytes", "log.max_bytes", "server.memory"]);
        if is_sound && log.max_bytes.saturating_add(max_bytes) > server.memory {
            let (found, log, all) = (Size(max_bytes as u64), Size(log.max_bytes as u64), Size(server.memory as u64));
            reader.problem(
                "snapshot.max_bytes",
                format!("{found}, with {log} for the log, is more than all of `server.memory`, which is {all}"),
                "leave room for the queues, or write \"auto\"",
            );
        }
        Self { max_keys: keys.max_keys.get(), max_bytes, patience: keys.patience }
    }
}

impl Client {
    pub(super) fn check(
        keys: &ClientKeys,
        limits: &LimitKeys,
        planned: [usize; 2],
        server: &Server,
        reader: &mut Reader<'_>,
    ) -> Self {
        let planned = planned.into_iter().fold(0, usize::saturating_add);
        let max_queue_bytes_total = match keys.max_queue_bytes_total {
            Auto::Auto => (server.memory / 4).min(server.memory.saturating_sub(planned)),
            Auto::Fixed(size) => in_memory(size),
        };
        let is_sound =
            reader.sound(&["client.max_queue_bytes_total", "snapshot.max_bytes", "log.max_bytes", "server.memory"]);
        let fits = max_queue_bytes_total > 0 && planned.saturating_add(max_queue_bytes_total) <= server.memory;
        if is_sound && planned <= server.memory && !fits {
            let [found, planned, all] = [max_queue_bytes_total, planned, server.memory].map(|n| Size(n as u64));
            reader.problem(
                "client.max_queue_bytes_total",
                format!(
                    "{found}, with {planned} for log and snapshots, does not fit into `server.memory`, which is {all}"
                ),
                "give the log or the snapshots less, or write \"auto\"",
            );
        }
        let (interval, patience) = (keys.ping_interval, keys.pong_timeout);
        if patience > interval && reader.sound(&["client.ping_interval", "client.pong_timeout"]) {
            let (interval, patience) = (show_duration(interval), show_duration(patience));
            reader.problem(
                "client.pong_timeout",
                format!("{patience} is longer than `client.ping_interval`, which is {interval}"),
                "make it at most as long: a ping is answered or given up before the next one is due",
            );
        }
        let each = standpipe_connections::Config {
            max_queue_bytes: in_memory(keys.max_queue_bytes),
            max_queue_age: keys.max_queue_age,
            max_unconfirmed_bytes: in_memory(keys.max_unconfirmed_bytes),
            max_unconfirmed_frames: keys.max_unconfirmed_frames.get() as u64,
            max_frame: in_memory(keys.max_frame.0),
            ping_interval: keys.ping_interval,
            pong_timeout: keys.pong_timeout,
            heartbeat: keys.heartbeat,
            first_step: keys.first_step,
            idle: keys.idle,
            command_rate: limits.command_rate.0,
            event_rate: None,
            history: None,
            write_timeout: keys.write_timeout,
            flush_interval: match keys.flush_interval {
                Flush::Auto => AUTO_FLUSH,
                Flush::Fixed(interval) => interval,
            },
            max_subscriptions: limits.max_subscriptions.get(),
        };
        let resumable = Resumable {
            max_ended: limits.max_resumable.get(),
            max_frames: MAX_UNPROVEN_FRAMES,
            linger: keys.resume_within,
        };
        let (confirm, overflow) = (keys.confirm, keys.overflow);
        Self { each, max_queue_bytes_total, receipt_interval: keys.receipt_interval, resumable, confirm, overflow }
    }
}

impl Limits {
    pub(super) fn check(keys: &LimitKeys) -> Self {
        Self {
            bounds: Bounds {
                max_filter_bytes: in_memory(keys.max_filter_bytes),
                max_filter_depth: keys.max_filter_depth.0.get(),
                max_filter_nodes: keys.max_filter_nodes.get(),
                max_set_values: keys.max_set_values.get(),
                max_subscriptions: keys.max_subscriptions.get(),
                max_topics_per_command: keys.max_topics_per_command.get(),
            },
        }
    }
}

impl Drain {
    pub(super) fn check(keys: &DrainKeys, reader: &mut Reader<'_>) -> Self {
        let (window, deadline) = (keys.window, keys.deadline);
        if window >= deadline && reader.sound(&["drain.window", "drain.deadline"]) {
            reader.problem(
                "drain.window",
                format!("{} is not shorter than `drain.deadline`, {}", show_duration(window), show_duration(deadline)),
                "clients that are sent away last need time to read it",
            );
        }
        Self { window, deadline }
    }
}
