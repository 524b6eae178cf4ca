//! One client, as its shard knows it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use standpipe_connections::{Config, Connection, Mark, Way};
use standpipe_ledger::Tally;
use standpipe_liveness::Bucket;
use standpipe_protocol::{ErrorCode, GapReason, OnGap, Overflow, Record, Refusal};
use standpipe_selection::{Entry, Grant, Subscription, Subscriptions};
use tokio::time::Instant;

use crate::{
    Log,
    convoy::Ride,
    interlude::{Interlude, Snapshot, alone},
    log::Plan,
    resume,
};

/// How long a client that has had what its plan gives it gets nothing, at least: so that what it is not given is told as
/// one gap a second, and not as one for each event.
const PAUSE: Duration = Duration::from_secs(1);

/// A client of one shard.
///
/// Invariant: everything that matches up to its position was offered to its connection, or told, or will be told as a gap.
pub(crate) struct Client {
    pub(crate) connection: Arc<Connection>,
    /// What it may see. Its subscriptions select nothing else.
    pub(crate) grant: Arc<Grant>,
    /// What its plan gives it.
    pub(crate) terms: Arc<Config>,
    /// Each with its place in the shard's index.
    pub(crate) subscriptions: Subscriptions<Entry>,
    conflation: Conflation,
    pub(crate) on_gap: OnGap,
    pub(crate) mode: Mode,
    /// What it is shown before the main cursor moves on.
    pub(crate) interludes: VecDeque<Interlude>,
    pub(crate) tally: Tally,
    /// What it has had of the events that its plan gives it.
    had: Bucket,
    /// It has had all of them, until then.
    pub(crate) paused_until: Option<Instant>,
    pub(crate) heartbeat_at: Instant,
    /// Something was offered in this turn, and the writer is still to be woken.
    pub(crate) touched: bool,
    /// It stands in the shard's queue of those to be fed from the log.
    pub(crate) scheduled: bool,
}

/// Whether a newer event may take the place of a queued one.
#[derive(Debug, Clone, Copy)]
enum Conflation {
    Never,
    Always,
    /// If no subscription that selects it wants every event.
    BySubscription,
}

/// How a client is fed.
///
/// ```text
/// idle ──subscribe──▶ push ◀──── cursor reaches the shard's ──── pull ◀─▶ ride
///   │                  │ ├── has had its share or does not keep up, `catch_up` ▲
///   └─subscribe after──┼─┼────────────────────────────────────────┤
///                      │ └── does not keep up, `skip` ──▶ skip ───┘ has room: the gap is told
///                      └─ does not keep up, `disconnect` ──▶ ended
/// ```
#[derive(Debug)]
pub(crate) enum Mode {
    /// Nothing was subscribed so far: it has no position.
    Idle,
    /// Its position is the shard's.
    Push,
    /// It reads the log at its own cursor.
    Pull(Reading),
    /// It reads the log together with others.
    Ride(Ride),
    /// What matches is counted, and told as a gap once there is room.
    Skip {
        /// The first place that was skipped.
        from: u64,
        /// How many events matched since, unless the log was quicker than the shard.
        matched: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// Its end has been decided; nothing is evaluated for it any more. It had come to `position`.
    Ended {
        /// The last place evaluated.
        position: u64,
    },
}

/// A cursor of its own on the log.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) cursor: u64,
    /// The topics that the log holds of its selection; made anew when topics appear or the selection changes.
    pub(crate) plan: Option<Plan>,
    /// It has stood still for want of room since something was read: if the log overtakes it, that is the client's doing.
    pub(crate) waits: bool,
}

impl Reading {
    pub(crate) fn behind(cursor: u64) -> Self {
        Self { cursor, plan: None, waits: false }
    }
}

impl Client {
    pub(crate) fn new(connection: Arc<Connection>, grant: Arc<Grant>, on_gap: OnGap, heartbeat_at: Instant) -> Self {
        let terms = connection.terms();
        Self {
            connection,
            grant,
            subscriptions: Subscriptions::new(terms.max_subscriptions),
            terms,
            conflation: Conflation::Never,
            on_gap,
            mode: Mode::Idle,
            interludes: VecDeque::new(),
            tally: Tally::default(),
            had: Bucket::default(),
            paused_until: None,
            heartbeat_at,
            touched: false,
            scheduled: false,
        }
    }

    /// Has it live by the terms of another plan. A pause ends with the next turn that looks; what it has had counts on.
    pub(crate) fn adopt(&mut self, terms: Arc<Config>, now: Instant) {
        if let Some(rate) = terms.event_rate {
            self.had.adopt(rate, now.into_std());
        }
        if terms.event_rate != self.terms.event_rate && self.paused_until.is_some() {
            self.paused_until = Some(now);
        }
        self.subscriptions.bound(terms.max_subscriptions);
        self.terms = terms;
    }

    /// Before which time nothing is for it, of what the log holds.
    pub(crate) fn reach(&self, now: Instant) -> Option<Instant> {
        resume::reach(self.terms.history, now)
    }

    /// Whether its plan gives it no event now.
    pub(crate) fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Takes one event from what its plan gives it. If there is none, it is paused for [`PAUSE`] at least.
    pub(crate) fn may_have(&mut self, now: Instant) -> bool {
        let Some(rate) = self.terms.event_rate else { return true };
        if self.is_paused(now) {
            return false;
        }
        self.paused_until = match self.had.take(1, rate, now.into_std()) {
            Ok(()) => None,
            Err(wait) => Some(now + wait.max(PAUSE)),
        };
        self.paused_until.is_none()
    }

    /// What happens if it does not keep up. What waits for money waits in the log: that is not the client's fault.
    pub(crate) fn policy(&self) -> Overflow {
        match self.connection.opening.overflow {
            Overflow::Disconnect if self.connection.is_unpaid() => Overflow::CatchUp,
            policy => policy,
        }
    }

    /// The last place that was evaluated for it, when its shard stands at `shard`.
    pub(crate) fn position(&self, shard: u64) -> u64 {
        match &self.mode {
            Mode::Idle | Mode::Push => shard,
            Mode::Pull(reading) => reading.cursor,
            // The convoy may have come further.
            Mode::Ride(ride) => ride.from,
            Mode::Skip { from, .. } => from - 1,
            Mode::Ended { position } => *position,
        }
    }

    /// Whether the shard's turns are to read the log for it.
    pub(crate) fn pulls(&self) -> bool {
        matches!(self.mode, Mode::Pull(_)) || (!self.interludes.is_empty() && !matches!(self.mode, Mode::Ended { .. }))
    }
}

impl Client {
    /// Puts it into `queue`, if it is not in it already.
    pub(crate) fn schedule(&mut self, slot: usize, queue: &mut VecDeque<usize>) {
        if !std::mem::replace(&mut self.scheduled, true) {
            queue.push_back(slot);
        }
    }

    /// Whether all of `subscriptions` can be added: a command is followed whole or not at all.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`, telling how many there are and may be.
    pub(crate) fn check_room(&self, subscriptions: &[Subscription]) -> Result<(), Refusal> {
        let added = subscriptions.iter().filter(|s| !self.subscriptions.has(&s.pattern, &s.params)).count();
        let (held, max) = (self.subscriptions.len(), self.terms.max_subscriptions);
        if held + added <= max {
            return Ok(());
        }
        let message =
            format!("a connection has at most {max} subscriptions; this one has {held} and asks for {added} more");
        Err(Refusal::new(ErrorCode::LimitExceeded, message)
            .hint("unsubscribe from some, or select many topics by a pattern such as `trades.*`"))
    }

    /// Whether it may ask for one more interlude: each is held until its turn.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`, telling what to wait for.
    pub(crate) fn check_interludes(&self) -> Result<(), Refusal> {
        let (waiting, max) = (self.interludes.len(), self.terms.max_subscriptions);
        if waiting < max {
            return Ok(());
        }
        let message = format!("{waiting} replays and snapshots wait for their turn, at most {max} may");
        Err(Refusal::new(ErrorCode::LimitExceeded, message).hint("wait for `replayed` or `snapshot_end`"))
    }

    /// Has a snapshot shown as its next interlude but those that wait already.
    pub(crate) fn show(&mut self, snapshot: Snapshot) {
        self.interludes.push_back(Interlude::Snapshot(snapshot));
    }

    /// The client can resume behind `seq`, where it stands, unless it is still owed a snapshot of what was before that.
    pub(crate) fn resumable(&self, seq: u64) -> Option<u64> {
        let is_owed = |interlude: &Interlude| matches!(interlude, Interlude::Snapshot(snapshot) if snapshot.is_owed);
        (!self.interludes.iter().any(is_owed)).then_some(seq)
    }

    /// What a message means that is told where the client stands, at `seq`.
    pub(crate) fn mark(&self, seq: u64) -> Mark {
        self.resumable(seq).map_or(Mark::Control, Mark::Position)
    }

    /// After a gap: those of its subscriptions that asked for a snapshot get one again.
    pub(crate) fn show_again(&mut self, log: &dyn Log, until: Instant) {
        let asked = alone(self.subscriptions.iter().filter(|s| s.options.snapshot).cloned());
        if asked.is_empty() {
            return;
        }
        // One that waits would show the same, and older.
        self.interludes
            .retain(|interlude| !matches!(interlude, Interlude::Snapshot(s) if s.id.is_none() && s.count == 0));
        self.show(Snapshot::new(None, asked, log.state(), until).owed());
    }

    /// Whether all of its subscriptions that select `record` want only the latest of each key.
    pub(crate) fn conflates(&self, record: &Record) -> bool {
        match self.conflation {
            Conflation::Never => false,
            Conflation::Always => true,
            Conflation::BySubscription => !self.subscriptions.matches_one(record.view(), |s| !s.options.conflate),
        }
    }

    /// Whether a newer event may take the place of a queued one at all.
    pub(crate) fn is_conflating(&self) -> bool {
        !matches!(self.conflation, Conflation::Never)
    }

    /// Whether there is room to be fed by push; if not, the shard is signalled once there is.
    pub(crate) fn has_room_for_news(&self) -> bool {
        self.connection.want_room(Way::Live)
    }

    /// Its selection has changed.
    pub(crate) fn selection_changed(&mut self) {
        let conflating = self.subscriptions.iter().filter(|s| s.options.conflate).count();
        self.conflation = match conflating {
            0 => Conflation::Never,
            n if n == self.subscriptions.len() => Conflation::Always,
            _ => Conflation::BySubscription,
        };
        if let Mode::Pull(reading) = &mut self.mode {
            reading.plan = None;
        }
    }

    /// Where it reads, there is no room for what comes next.
    pub(crate) fn wait(&mut self) {
        if let Mode::Pull(reading) = &mut self.mode {
            reading.waits = true;
        }
    }

    /// From `position` on it reads on its own, once its interludes are over. Who reads already, or skips, goes on so.
    pub(crate) fn read_from(&mut self, position: u64) {
        if matches!(self.mode, Mode::Idle | Mode::Push) {
            self.mode = Mode::Pull(Reading::behind(position));
        }
    }
}

impl Mode {
    /// The word for it, for those who look at connections.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Push => "push",
            Self::Pull(_) | Self::Ride(_) => "pull",
            Self::Skip { .. } => "skip",
            Self::Ended { .. } => "ended",
        }
    }
}
