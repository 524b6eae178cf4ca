//! What is counted of a source, and how it is shown.
//!
//! The counters of one source have many writers (its connection, its mapping, its supervisor) and are atomics; state
//! and the last fault have one each and are kept together. Nothing here decides anything.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use serde::Serialize;
use standpipe_protocol::{SharedSpread, SourceState, Spread};

use crate::{
    error::{Error, ErrorKind},
    sample::Sample,
    template::Params,
};

/// One source as operators see it. Times are in ms since 1970; numbers count from the start of the process.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its group, if it is one of several connections to a feed.
    pub group: Option<Arc<str>>,
    /// Its kind: `websocket`, `sse`, `http_poll`, `exec`, `replay` or `push`.
    pub kind: &'static str,
    /// Whether it delivers.
    pub state: SourceState,
    /// Since when.
    pub since: u64,
    /// Whether it has given all that it has: a replay at its end.
    pub finished: bool,
    /// Attempts to connect after the first.
    pub reconnects: u64,
    /// Frames received, or inputs published.
    pub frames: u64,
    /// Their bytes, as received.
    pub bytes: u64,
    /// Events put into the log's queue.
    pub events: u64,
    /// Events dropped because their id, or from a feed that is polled their content, had come before.
    pub duplicates: u64,
    /// Partial updates dropped because no full state of their key had come before them, over the same connection.
    pub unmerged: u64,
    /// What the feed has sent and nobody got, by its own numbers.
    pub missed: u64,
    /// Frames and inputs for which the mapping gave nothing.
    pub ignored: u64,
    /// Frames, lines of a recording and outputs of the mapping that could not become events.
    pub unmapped: u64,
    /// Values of frames, and inputs, that it was left to jaq to map, which takes longer.
    pub by_jaq: u64,
    /// Faults, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// When data last came.
    pub last_data: Option<u64>,
    /// How old what came was by its own time, in milliseconds: the last event of each frame that says when it happened.
    #[serde(skip)]
    pub ages: Spread,
    /// The latest fault.
    pub last_error: Option<LastError>,
    /// Of a demand-driven source, its instances; what stands above is then the sum over all there ever were, and the best
    /// state among those that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<DemandStatus>,
}

/// The instances of a demand-driven source.
#[derive(Debug, Clone, Serialize)]
pub struct DemandStatus {
    /// How many may run at the same time.
    pub max: usize,
    /// How many were started.
    pub started: u64,
    /// How many were refused for want of room.
    pub refused: u64,
    /// Those that run.
    pub instances: Vec<InstanceStatus>,
}

/// One instance of a demand-driven source.
#[derive(Debug, Clone, Serialize)]
pub struct InstanceStatus {
    /// Its parameters.
    pub params: Params,
    /// How many clients (credentials, or addresses without one) want it. With none, it lingers.
    pub clients: usize,
    /// As of any source.
    #[serde(flatten)]
    pub status: SourceStatus,
}

impl SourceStatus {
    /// Adds the counts of `other`, and what is newest of both.
    pub(crate) fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.reconnects, other.reconnects),
            (&mut self.frames, other.frames),
            (&mut self.bytes, other.bytes),
            (&mut self.events, other.events),
            (&mut self.duplicates, other.duplicates),
            (&mut self.ignored, other.ignored),
            (&mut self.unmapped, other.unmapped),
            (&mut self.by_jaq, other.by_jaq),
            (&mut self.missed, other.missed),
            (&mut self.unmerged, other.unmerged),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        for (kind, more) in &other.errors {
            *self.errors.entry(*kind).or_default() += more;
        }
        self.last_data = self.last_data.max(other.last_data);
        self.ages.merge(&other.ages);
        if other.last_error.as_ref().map(|error| error.at) > self.last_error.as_ref().map(|error| error.at) {
            self.last_error.clone_from(&other.last_error);
        }
    }
}

/// A fault, and when it was.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// Its kind.
    pub kind: ErrorKind,
    /// What was attempted, and what was wrong. Without secrets.
    pub message: String,
    /// When, in ms since 1970.
    pub at: u64,
}

/// Milliseconds since 1970 on the wall clock.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The counters of one source.
#[derive(Debug)]
pub(crate) struct Status {
    name: Arc<str>,
    group: Option<Arc<str>>,
    kind: &'static str,
    pub(crate) attempts: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) unmerged: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) by_jaq: AtomicU64,
    unmapped: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    last_data: AtomicU64,
    ages: SharedSpread,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    state: SourceState,
    since: u64,
    finished: bool,
    last_error: Option<LastError>,
    sample: Sample,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Status {
    pub(crate) fn new(name: Arc<str>, group: Option<Arc<str>>, kind: &'static str) -> Self {
        let zero = || AtomicU64::new(0);
        let told = Told {
            state: SourceState::Connecting,
            since: unix_ms(),
            finished: false,
            last_error: None,
            sample: Sample::default(),
        };
        Self {
            name,
            group,
            kind,
            attempts: zero(),
            frames: zero(),
            bytes: zero(),
            events: zero(),
            duplicates: zero(),
            unmerged: zero(),
            missed: zero(),
            ignored: zero(),
            by_jaq: zero(),
            unmapped: zero(),
            errors: std::array::from_fn(|_| zero()),
            last_data: zero(),
            ages: SharedSpread::default(),
            told: Mutex::new(told),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it is one of several connections to a feed.
    pub(crate) fn is_grouped(&self) -> bool {
        self.group.is_some()
    }

    /// A frame or an input of so many bytes came.
    pub(crate) fn received(&self, bytes: usize) {
        count(&self.frames);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }

    /// Data came now, of what happened at `ts`, if it says when.
    pub(crate) fn data(&self, ts: Option<i64>) {
        let now = unix_ms();
        self.last_data.store(now, Relaxed);
        if let Some(ts) = ts {
            // What is ahead of this machine's clock has no age.
            self.ages.count(u64::try_from(i128::from(now) - i128::from(ts)).unwrap_or(0));
        }
    }

    /// Whether data ever came.
    pub(crate) fn has_data(&self) -> bool {
        self.last_data.load(Relaxed) > 0
    }

    /// Keeps the new state.
    pub(crate) fn change(&self, state: SourceState) {
        let mut told = self.told();
        told.state = state;
        told.since = unix_ms();
    }

    /// It has given all that it has.
    pub(crate) fn finish(&self) {
        self.told().finished = true;
    }

    /// Counts a fault that ended an attempt, and logs it.
    pub(crate) fn fault(&self, error: &Error) {
        self.keep(error);
        tracing::warn!(source = %self.name, kind = error.kind().as_str(), %error, "source failed");
    }

    /// Counts a fault that cost a frame or an output, and logs some of them.
    pub(crate) fn lose(&self, error: &Error) {
        count(&self.unmapped);
        self.note(error, "frame not mapped");
    }

    /// Counts a fault that cost the feed an answer, and logs some of them.
    pub(crate) fn owe(&self, error: &Error) {
        self.note(error, "answer not sent");
    }

    /// Counts a fault for which something is not kept that later events would need, and logs some of them.
    pub(crate) fn forgo(&self, error: &Error) {
        self.note(error, "state not kept");
    }

    /// Counts a fault for which an event comes more often than it should, and logs some of them.
    pub(crate) fn repeat(&self, error: &Error) {
        self.note(error, "event not told apart");
    }

    fn note(&self, error: &Error, what: &str) {
        self.keep(error);
        let logged = self.told().sample.admit(Instant::now());
        if let Some(suppressed) = logged {
            tracing::warn!(source = %self.name, kind = error.kind().as_str(), %error, suppressed, "{what}");
        }
    }

    fn keep(&self, error: &Error) {
        let kind = error.kind();
        if let Some(counter) = ErrorKind::ALL.iter().position(|k| *k == kind).and_then(|i| self.errors.get(i)) {
            count(counter);
        }
        self.told().last_error = Some(LastError { kind, message: error.to_string(), at: unix_ms() });
    }

    /// What is to be shown.
    pub(crate) fn snapshot(&self) -> SourceStatus {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let errors = ErrorKind::ALL.iter().zip(&self.errors);
        let told = self.told();
        SourceStatus {
            name: Arc::clone(&self.name),
            group: self.group.clone(),
            kind: self.kind,
            state: told.state,
            since: told.since,
            finished: told.finished,
            reconnects: read(&self.attempts).saturating_sub(1),
            frames: read(&self.frames),
            bytes: read(&self.bytes),
            events: read(&self.events),
            duplicates: read(&self.duplicates),
            unmerged: read(&self.unmerged),
            missed: read(&self.missed),
            ignored: read(&self.ignored),
            unmapped: read(&self.unmapped),
            by_jaq: read(&self.by_jaq),
            errors: errors.map(|(kind, n)| (*kind, read(n))).filter(|(_, n)| *n > 0).collect(),
            last_data: Some(read(&self.last_data)).filter(|at| *at > 0),
            ages: self.ages.read(),
            last_error: told.last_error.clone(),
            demand: None,
        }
    }

    /// Its state, and since when, in ms since 1970.
    pub(crate) fn state(&self) -> (SourceState, u64) {
        let told = self.told();
        (told.state, told.since)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
