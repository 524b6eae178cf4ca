//! One client, as its shard knows it.

use std::{collections::VecDeque, sync::Arc};

use standpipe_connections::Connection;
use standpipe_ledger::Tally;
use standpipe_protocol::{ErrorCode, OnGap, Refusal};
use standpipe_selection::{Entry, Subscription, Subscriptions};
use tokio::time::Instant;

use crate::log::Plan;

/// A client of one shard.
///
/// Invariant: everything that matches up to its position was offered to its connection, or told, or will be told as a gap.
pub(crate) struct Client {
    pub(crate) connection: Arc<Connection>,
    /// Each with its place in the shard's index.
    pub(crate) subscriptions: Subscriptions<Entry>,
    pub(crate) on_gap: OnGap,
    pub(crate) mode: Mode,
    /// Replays of later subscriptions that stand before the main cursor moves on.
    pub(crate) brackets: VecDeque<Bracket>,
    pub(crate) tally: Tally,
    pub(crate) heartbeat_at: Instant,
    /// Something was offered in this turn, and the writer is still to be woken.
    pub(crate) touched: bool,
    /// It stands in the shard's queue of those to be fed from the log.
    pub(crate) scheduled: bool,
}

/// How a client is fed.
///
/// ```text
/// idle ──subscribe──▶ push ◀──── cursor reaches the shard's ──── pull
///   │                  │ ├── does not keep up, `catch_up` ────────▲
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
    /// What matches is counted, and told as a gap once there is room.
    Skip {
        /// The first place that was skipped.
        from: u64,
        /// How many events matched since.
        matched: u64,
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
}

impl Reading {
    pub(crate) fn behind(cursor: u64) -> Self {
        Self { cursor, plan: None }
    }
}

/// The replay of one later subscription, between `replay` and `replayed`.
#[derive(Debug)]
pub(crate) struct Bracket {
    pub(crate) id: Option<String>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) reading: Reading,
    pub(crate) to: u64,
    pub(crate) begun: bool,
}

impl Client {
    pub(crate) fn new(
        connection: Arc<Connection>,
        max_subscriptions: usize,
        on_gap: OnGap,
        heartbeat_at: Instant,
    ) -> Self {
        Self {
            connection,
            subscriptions: Subscriptions::new(max_subscriptions),
            on_gap,
            mode: Mode::Idle,
            brackets: VecDeque::new(),
            tally: Tally::default(),
            heartbeat_at,
            touched: false,
            scheduled: false,
        }
    }

    /// The last place that was evaluated for it, when its shard stands at `shard`.
    pub(crate) fn position(&self, shard: u64) -> u64 {
        match &self.mode {
            Mode::Idle | Mode::Push => shard,
            Mode::Pull(reading) => reading.cursor,
            Mode::Skip { from, .. } => from - 1,
            Mode::Ended { position } => *position,
        }
    }

    /// Whether the shard's turns are to read the log for it.
    pub(crate) fn pulls(&self) -> bool {
        matches!(self.mode, Mode::Pull(_)) || (!self.brackets.is_empty() && !matches!(self.mode, Mode::Ended { .. }))
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
        let (held, max) = (self.subscriptions.len(), self.connection.config().max_subscriptions);
        if held + added <= max {
            return Ok(());
        }
        let message =
            format!("a connection has at most {max} subscriptions; this one has {held} and asks for {added} more");
        Err(Refusal::new(ErrorCode::LimitExceeded, message)
            .hint("unsubscribe from some, or select many topics by a pattern such as `trades.*`"))
    }

    /// Its selection has changed.
    pub(crate) fn forget_plan(&mut self) {
        if let Mode::Pull(reading) = &mut self.mode {
            reading.plan = None;
        }
    }

    /// The main cursor stays at `position` until all brackets are replayed.
    pub(crate) fn stand_still(&mut self, position: u64) {
        if matches!(self.mode, Mode::Push) {
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
            Self::Pull(_) => "pull",
            Self::Skip { .. } => "skip",
            Self::Ended { .. } => "ended",
        }
    }
}
