//! What is written, and when: the window, the turn of what is replayed, and the pings that ask for receipts.

use std::{
    cell::RefCell,
    task::{Context, Poll},
};

use standpipe_protocol::{CloseReason, frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life, Phase, Watched};
use crate::{Mark, clock::unix_ms, measured, queued::Held};

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// Takes what may be written in hand, and writes. `Pending` if nothing more can be done now.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), CloseReason>> {
        if !self.may_pass(now) {
            return Poll::Pending;
        }
        self.take(cx, now);
        if self.writer.is_empty() {
            return Poll::Pending;
        }
        let oldest = self.writer.oldest().unwrap_or(now);
        let had_to_wait = oldest < self.flush_time();
        let (connection, receipts) = (&self.connection, &mut self.receipts);
        let mut released = Held::default();
        let written = self.writer.poll_write(cx, &mut self.io, |queued| {
            if queued.mark == Mark::Ping {
                receipts.written(now.into_std());
            }
            connection.wrote(queued.mark);
            if queued.mark.was_queued() {
                released.add(queued.held());
            }
        });
        if released != Held::default() {
            self.connection.release(released, self.writer.first_event());
            self.waiting.bytes = self.waiting.bytes.saturating_sub(released.frame_bytes);
            if !self.is_answered() {
                self.prove(self.connection.written());
            }
        }
        match written {
            Poll::Pending => {
                self.stalled.get_or_insert(now);
                Poll::Pending
            }
            Poll::Ready(Ok(bytes)) => {
                measured::wrote(bytes, now.saturating_duration_since(oldest));
                self.stalled = None;
                self.flushed = now;
                self.is_busy = had_to_wait;
                // Once the last words are written, the next round sees that it is over.
                let is_done = self.writer.is_empty() && self.waiting.oldest.is_none();
                if is_done && matches!(self.phase, Phase::Open) { Poll::Pending } else { Poll::Ready(Ok(())) }
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(self.reason().unwrap_or(CloseReason::ClientGone))),
        }
    }

    /// What was read from the log for this client waits for its turn to be written.
    fn may_pass(&self, now: Instant) -> bool {
        let must_pass = self.waiting.replays && matches!(self.phase, Phase::Open) && self.flush_at(now).is_none();
        !must_pass || self.connection.pass()
    }

    fn take(&mut self, cx: &Context<'_>, now: Instant) {
        let flushing = match &self.phase {
            // While the socket takes nothing, what is queued may still be conflated.
            Phase::Open => self.stalled.is_none() && self.flush_at(now).is_none(),
            Phase::Closing { flush_until, goodbye, .. } => !goodbye && now < *flush_until,
            Phase::Settling { .. } | Phase::Echoing { .. } => false,
        };
        let mut window_closed = false;
        if flushing {
            self.begin_paying();
            // Nothing is awaited of who cannot answer: there it is the socket alone that holds back.
            let confirmed = if self.is_answered() { self.receipts.confirmed() } else { self.writer.placed() };
            let config = self.connection.config();
            let (writer, paying) = (RefCell::new(&mut self.writer), RefCell::new(self.paying.as_deref_mut()));
            let unproven = &mut self.unproven;
            let frame = writer.borrow().placed().frames + 1;
            let mut since = None;
            let mut outbox = self.connection.outbox();
            outbox.take_while(
                |next| {
                    let fits = writer.borrow().may_take(next, confirmed, config);
                    fits && paying.borrow_mut().as_mut().is_none_or(|paying| paying.admit(next))
                },
                |next| {
                    if next.mark.is_data() {
                        unproven.took(next.place());
                        since.get_or_insert(next.at);
                    }
                    if let Some(paying) = paying.borrow_mut().as_mut() {
                        paying.took(&next);
                    }
                    writer.borrow_mut().take(next);
                },
            );
            outbox.set_in_hand(writer.borrow().first_event());
            window_closed = !outbox.is_empty() && !writer.borrow().is_full();
            self.waiting = outbox.waiting();
            drop(outbox);
            if self.watched.is_none() {
                self.watched = since.map(|since| Watched { frame, since });
            }
            self.end_paying(cx);
        }
        if matches!(self.phase, Phase::Open) || window_closed {
            self.place_ping(window_closed, now);
        }
        self.place_goodbye(now);
    }

    /// Places a ping if one is due, or if its answer will be needed to go on writing.
    fn place_ping(&mut self, window_closed: bool, now: Instant) {
        if !self.is_answered() {
            return;
        }
        let config = self.connection.config();
        let (placed, stamped) = (self.writer.placed(), self.receipts.last_stamp());
        let unstamped_frames = placed.frames.saturating_sub(stamped.frames);
        let unstamped_bytes = placed.bytes.saturating_sub(stamped.bytes);
        let much = unstamped_frames >= config.max_unconfirmed_frames.div_ceil(4)
            || unstamped_bytes >= (config.max_unconfirmed_bytes as u64).div_ceil(4);
        let first = stamped.frames == 0 && placed.frames > 0;
        let awaited = window_closed && unstamped_frames > 0;
        if !(self.ping_wanted || much || first || awaited) {
            return;
        }
        if let Some(paying) = &mut self.paying {
            paying.stamped(now);
        }
        if let Some(payload) = self.receipts.stamp(random(), placed) {
            self.writer.place(frame::ping(&payload), Mark::Ping, now);
        }
        self.ping_wanted = false;
    }
}

/// A nonce that a peer cannot guess.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| unix_ms().wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
