//! The last words of a connection.

use std::time::Duration;

use standpipe_liveness::Begun;
use standpipe_protocol::{CloseReason, Goodbye, Message, codec, frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life, Phase, stream, writing::random};
use crate::{Closing, Mark};

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// Once nothing more is flushed: a last ping, the error, `goodbye` and the Close frame.
    pub(super) fn place_goodbye(&mut self, now: Instant) {
        let Phase::Closing { closing, flush_until, until, goodbye } = &mut self.phase else { return };
        if *goodbye {
            return;
        }
        let flushed = self.writer.is_empty() && self.connection.outbox().is_empty();
        if !flushed && now < *flush_until {
            return;
        }
        *goodbye = true;
        // A slow client reads what the kernel still holds for it before it comes to these words. Were the socket closed by
        // then, its next pong would be answered by a reset, and the kernel would throw all of that away.
        let reads_slowly = closing.reason == CloseReason::SlowConsumer && !closing.patience.is_zero();
        let patience = if reads_slowly { self.connection.config().write_timeout } else { Duration::ZERO };
        *until = now + patience.max(closing.patience);
        let closing = closing.clone();
        self.drop_queued();
        let is_answered = self.is_answered();
        if is_answered
            && self.writer.placed().frames > self.receipts.last_stamp().frames
            && let Some(payload) = self.receipts.stamp(random(), self.writer.placed())
        {
            self.writer.place(frame::ping(&payload), Mark::Ping, now);
        }
        if let Some(refusal) = &closing.refusal {
            self.connection.count_error(refusal.code);
            self.writer.place(codec::message_frame(&Message::Error(refusal)), Mark::Farewell, now);
        }
        let message = Message::Goodbye(self.goodbye(&closing));
        self.writer.place(codec::message_frame(&message), Mark::Farewell, now);
        if is_answered {
            self.writer.place(frame::close(closing.reason), Mark::Farewell, now);
        } else if let Some(wait) = closing.retry_after {
            self.writer.place(stream::retry(wait), Mark::Plain, now);
        }
    }

    fn goodbye(&mut self, closing: &Closing) -> Goodbye {
        let mut cursor = self.connection.position();
        // The frame that was begun is finished before this message is read.
        if let (Some(seq), Some(cursor)) = (self.writer.begun().and_then(Mark::position), &mut cursor) {
            cursor.seq = seq;
        }
        let billed = self.paying.as_mut().map(|paying| paying.billed());
        let reason = closing.reason;
        Goodbye {
            code: reason.code(),
            reason: reason.name(),
            verdict: reason.verdict(),
            retry_after_ms: closing.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            cursor,
            delivered: self.writer.placed().frames,
            confirmed: self.receipts.confirmed().frames,
            billed: billed.map(|(billed, _)| billed),
            unsettled: billed.map(|(_, unsettled)| unsettled),
        }
    }

    /// Drops everything that is not partly written already.
    pub(super) fn drop_queued(&mut self) {
        let mut dropped = self.connection.outbox().clear();
        dropped.add(self.writer.drop_unbegun());
        let begun = if self.writer.begun() == Some(Mark::Ping) { Begun::Yes } else { Begun::No };
        self.receipts.forget_unwritten(begun);
        self.unproven.untake(self.writer.placed().frames);
        if let Some(paying) = &mut self.paying {
            paying.untake(self.writer.placed().frames);
        }
        self.connection.release(dropped, self.writer.first_event());
    }
}
