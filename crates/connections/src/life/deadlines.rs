//! What ends a connection because of the time: each deadline, and what is said when it has passed.

use std::time::Duration;

use standpipe_liveness::Step;
use standpipe_protocol::{CloseReason, Confirm, ErrorCode, Overflow, Refusal};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life, Phase};
use crate::{Closing, Config, Connection, clock::unix_ms};

/// Whether the client wants anything. Who does not is not kept for ever.
///
/// ```text
/// NotYet ──subscribed──▶ Something ◀──▶ NoLonger
///   │ └──────────publishes──────────────────▲ └─ `idle` ─▶ closed
///   └─ `first_step` ─▶ closed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selecting {
    NotYet,
    Something,
    NoLonger,
}

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// Deadlines that have passed at `now`. Returns the reason if the connection ends here.
    pub(super) fn keep_time(&mut self, now: Instant) -> Option<CloseReason> {
        match &self.phase {
            Phase::Settling { code, until } => {
                let (code, is_over) = (*code, *until <= now);
                if is_over || self.is_settled() {
                    self.echo(code, now);
                }
                return None;
            }
            Phase::Closing { until, closing, goodbye, .. } => {
                let nobody_answers = closing.patience.is_zero() || !self.is_answered();
                let said = *goodbye && self.writer.is_empty() && nobody_answers;
                return (*until <= now || said).then_some(closing.reason);
            }
            Phase::Echoing { until } => {
                return (*until <= now || self.writer.is_empty()).then_some(CloseReason::ClientGone);
            }
            Phase::Open => {}
        }
        if self.receipt_at().is_some_and(|at| at <= now) {
            self.want_receipt(now);
        }
        let config = self.connection.config();
        if self.stalled.is_some_and(|since| since + config.write_timeout <= now) {
            return Some(CloseReason::WriteStalled);
        }
        match (self.connection.is_subscribed(), self.selecting) {
            (true, _) => self.selecting = Selecting::Something,
            (false, Selecting::Something) => (self.selecting, self.selecting_since) = (Selecting::NoLonger, now),
            (false, Selecting::NotYet | Selecting::NoLonger) => {}
        }
        let is_over = self.selects_until(config).is_some_and(|until| until <= now);
        let closing = if is_over {
            if self.selecting == Selecting::NotYet { Closing::no_first_step() } else { Closing::idle() }
        } else if self.expires_at.is_some_and(|at| at <= now) {
            let refusal = Refusal::new(ErrorCode::TokenExpired, "the credential has expired");
            let hint =
                "connect with a new one; before the end, {\"op\":\"refresh\",\"access_token\":…} renews in place";
            Closing::refused(CloseReason::TokenExpired, refusal.hint(hint))
        } else if self.oldest_waiting().is_some_and(|at| at + config.max_queue_age <= now) {
            Closing::slow_consumer("an event waits longer than `client.max_queue_age`")
        } else {
            match self.heartbeat.step(now.into_std(), self.receipts.unanswered_since()) {
                Step::Wait(_) => return None,
                Step::Ping => {
                    self.ping_wanted = self.is_answered();
                    self.give_back();
                    return None;
                }
                Step::Expire => self.expired(),
            }
        };
        self.connection.close(closing);
        self.look(now);
        None
    }

    /// The client publishes. Who selects nothing is here for that, for as long as it goes on.
    pub(super) fn publishes(&mut self, now: Instant) {
        if self.selecting != Selecting::Something {
            (self.selecting, self.selecting_since) = (Selecting::NoLonger, now);
        }
    }

    /// When it is closed if it goes on wanting nothing.
    pub(super) fn selects_until(&self, config: &Config) -> Option<Instant> {
        let patience = match self.selecting {
            Selecting::NotYet => config.first_step,
            Selecting::Something => return None,
            Selecting::NoLonger => config.idle,
        };
        Some(self.selecting_since + patience)
    }

    /// A queue keeps a little memory from one event to the next. From one ping to the next, a quiet connection does not.
    fn give_back(&mut self) {
        self.connection.outbox().give_back();
        self.writer.give_back();
        self.unproven.give_back();
        if let Some(paying) = &mut self.paying {
            paying.give_back();
        }
        self.tell_billed();
    }

    /// A peer that does not answer while data is outstanding is slow; else it is gone.
    fn expired(&self) -> Closing {
        let outstanding = self.connection.opening.confirm() == Some(Confirm::Pong)
            && self.connection.written() > self.receipts.confirmed().frames;
        if outstanding {
            Closing::slow_consumer("no receipt for `client.pong_timeout` with events outstanding").unanswered()
        } else {
            Closing::now(CloseReason::PongTimeout).unanswered()
        }
    }

    /// Since when the oldest frame waits, if waiting too long has consequences.
    pub(super) fn oldest_waiting(&self) -> Option<Instant> {
        let ages = matches!(self.phase, Phase::Open) && self.connection.opening.overflow == Overflow::Disconnect;
        let in_outbox = self.waiting.oldest.filter(|_| !self.is_unpaid());
        ages.then(|| self.writer.oldest().or(in_outbox)).flatten()
    }
}

/// When the client's credential ends. The wall clock is looked at here alone: from then on time is counted.
pub(super) fn expires_at(connection: &Connection, now: Instant) -> Option<Instant> {
    let expires = connection.identity().expires?;
    now.checked_add(Duration::from_millis(expires.saturating_sub(unix_ms())))
}
