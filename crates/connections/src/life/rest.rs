//! When a connection does nothing, and until when.
//!
//! A quiet client is written to at once. One that gets much is written to once every `flush_interval`, so that what comes
//! meanwhile goes out in one write; its task sleeps in between and is not woken for each event.

use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_protocol::CloseReason;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life, Phase};

/// How much queued data is written although the last write was less than `flush_interval` ago.
const FLUSH_BYTES: usize = 32 * 1024;

/// While a client that has closed waits for its charges, it is looked whether they are made this often: it is once in its
/// life, and for [`super::incoming::SETTLING`] at most.
const LOOK: Duration = Duration::from_millis(50);

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// When what is queued may be written, if that is not now.
    pub(super) fn flush_at(&self, now: Instant) -> Option<Instant> {
        let at = self.flush_time();
        let waits = at > now && self.writer.is_empty() && self.waiting.bytes < FLUSH_BYTES;
        waits.then_some(at)
    }

    /// Until when little is kept waiting.
    pub(super) fn flush_time(&self) -> Instant {
        self.flushed + self.connection.config().flush_interval
    }

    /// The time to look for what is to be flushed, whether something waits already or is about to.
    fn flush_alarm(&self, now: Instant) -> Option<Instant> {
        self.flush_at(now).filter(|_| self.is_busy || self.waiting.oldest.is_some())
    }

    /// Whether nothing was queued that was not seen. Then the task is woken for as much as changes something: not while
    /// the socket takes nothing or the window is closed, and for little only if it does not look soon anyway.
    pub(super) fn may_rest(&mut self, now: Instant) -> bool {
        let cannot_write = !self.writer.is_empty() || (self.waiting.oldest.is_some() && self.flush_at(now).is_none());
        let wake_at = match &self.phase {
            Phase::Open if cannot_write => usize::MAX,
            Phase::Open if self.flush_alarm(now).is_some() => FLUSH_BYTES,
            _ => 0,
        };
        self.connection.outbox().rest(self.waiting, wake_at)
    }

    /// Sleeps until the next deadline. Ready at once if that has passed.
    pub(super) fn sleep_until_next(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<CloseReason> {
        let at = self.next_deadline(now);
        // An alarm that rings too early costs one look; moving it for each frame would cost more.
        if at < self.sleep.deadline() || self.sleep.is_elapsed() || self.sleep.deadline() <= now {
            self.sleep.as_mut().reset(at);
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let config = self.connection.config();
        let deadlines = match &self.phase {
            Phase::Closing { flush_until, until, goodbye, .. } => {
                [Some(if *goodbye { *until } else { *flush_until }), None, None, None, None, None, None]
            }
            Phase::Settling { until, .. } => [Some((*until).min(now + LOOK)), None, None, None, None, None, None],
            Phase::Echoing { until } => [Some(*until), None, None, None, None, None, None],
            Phase::Open => [
                Some(Instant::from_std(self.heartbeat.next(self.receipts.unanswered_since()))),
                self.selects_until(config),
                self.stalled.map(|since| since + config.write_timeout),
                self.oldest_waiting().map(|at| at + config.max_queue_age),
                self.flush_alarm(now),
                self.expires_at,
                self.receipt_at(),
            ],
        };
        deadlines.into_iter().flatten().min().unwrap_or(now + config.ping_interval)
    }
}
