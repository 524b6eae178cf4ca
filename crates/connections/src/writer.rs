//! What is being written to one socket: whole frames, in order, one `write` for all that is at hand. What a frame is on
//! this socket is left to [`crate::framing`].
//!
//! Small frames are gathered by copy into a buffer of the thread (cheaper than `writev` for the sizes that events have);
//! a large one is written from where it lies. Nothing is copied into a buffer of the connection.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use standpipe_liveness::Ordinal;
use tokio::{io::AsyncWrite, time::Instant};

use crate::{
    Config, Mark,
    framing::Framing,
    outbox::KEPT_CAPACITY,
    queued::{Held, Queued},
};

/// What is gathered for one `write`; also how much the writer takes into its hand.
const GATHER: usize = 64 * 1024;

/// A frame of at least this size is written by reference.
const LARGE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER));
}

/// The frames in hand, and how much data has been placed before them and with them.
#[derive(Debug)]
pub(crate) struct Writer {
    framing: Framing,
    hand: VecDeque<Queued>,
    hand_bytes: usize,
    /// How much of the first frame is already written.
    offset: usize,
    placed: Ordinal,
}

impl Writer {
    /// Nothing in hand.
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, hand: VecDeque::new(), hand_bytes: 0, offset: 0, placed: Ordinal::default() }
    }

    /// All data that has been taken in hand so far, written or not.
    pub(crate) fn placed(&self) -> Ordinal {
        self.placed
    }

    /// Whether `next` may be taken in hand: there is room for it, and the client has proven to have read enough of what
    /// came before. With nothing unproven, one frame of any size may go.
    pub(crate) fn may_take(&self, next: &Queued, confirmed: Ordinal, config: &Config) -> bool {
        if self.is_full() {
            return false;
        }
        let frames = self.placed.frames - confirmed.frames.min(self.placed.frames);
        let bytes = self.placed.bytes - confirmed.bytes.min(self.placed.bytes);
        let fits = frames < config.max_unconfirmed_frames
            && bytes.saturating_add(next.len() as u64) <= config.max_unconfirmed_bytes as u64;
        fits || frames == 0 || !next.mark.is_data()
    }

    /// Puts a frame behind all that is in hand.
    pub(crate) fn take(&mut self, queued: Queued) {
        if queued.mark.is_data() {
            self.placed.frames += 1;
            self.placed.bytes += queued.len() as u64;
        }
        self.hand_bytes += queued.len();
        self.hand.push_back(queued);
    }

    /// Puts a control frame of our own behind all that is in hand.
    pub(crate) fn place(&mut self, frame: Bytes, mark: Mark, now: Instant) {
        self.take(Queued::own(frame, mark, now));
    }

    /// Puts a pong before all that has not been begun. It takes the place of one that still waits: only the latest ping
    /// has to be answered (RFC 6455 §5.5.3), so a flood of pings takes no room.
    pub(crate) fn place_pong(&mut self, frame: Bytes, now: Instant) {
        let behind_the_begun = usize::from(self.offset > 0);
        let pong = Queued::own(frame, Mark::Pong, now);
        self.hand_bytes += pong.len();
        match self.hand.get_mut(behind_the_begun) {
            Some(waiting) if waiting.mark == Mark::Pong => {
                self.hand_bytes -= waiting.len();
                *waiting = pong;
            }
            _ => self.hand.insert(behind_the_begun, pong),
        }
    }

    /// What is partly written, if anything is.
    pub(crate) fn begun(&self) -> Option<Mark> {
        self.hand.front().filter(|_| self.offset > 0).map(|queued| queued.mark)
    }

    /// Drops what has not been begun, and returns what of it came from the outbox. What is placed is then what was written,
    /// and the frame that was begun.
    pub(crate) fn drop_unbegun(&mut self) -> Held {
        let begun = (self.offset > 0).then(|| self.hand.pop_front()).flatten();
        let mut dropped = Held::default();
        for queued in std::mem::take(&mut self.hand) {
            self.hand_bytes -= queued.len();
            if queued.mark.was_queued() {
                dropped.add(queued.held());
            }
            if queued.mark.is_data() {
                self.placed.frames -= 1;
                self.placed.bytes -= queued.len() as u64;
            }
        }
        self.hand.extend(begun);
        dropped
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hand.is_empty()
    }

    /// Whether there is enough in hand for a write.
    pub(crate) fn is_full(&self) -> bool {
        self.hand_bytes >= GATHER
    }

    /// The place in the log of the first event in hand.
    pub(crate) fn first_event(&self) -> Option<u64> {
        self.hand.iter().find_map(Queued::seq)
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.hand.front().map(|queued| queued.at)
    }

    /// Writes once, and says how many bytes. Each frame that is fully written is told to `done`.
    pub(crate) fn poll_write<IO: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut IO,
        mut done: impl FnMut(&Queued),
    ) -> Poll<io::Result<usize>> {
        let Some(first) = self.hand.front() else { return Poll::Ready(Ok(0)) };
        let io = Pin::new(io);
        let (framing, offset) = (self.framing, self.offset);
        let lies_together = self.hand.len() == 1 && matches!(framing, Framing::WebSocket);
        let written = if lies_together || framing.len(first) - offset >= LARGE {
            ready!(framing.refer(first, offset, |bytes| io.poll_write(cx, bytes)))?
        } else {
            ready!(SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                framing.put(first, offset, scratch);
                for queued in self.hand.iter().skip(1) {
                    if scratch.len() + queued.len() > GATHER {
                        break;
                    }
                    framing.put(queued, 0, scratch);
                }
                io.poll_write(cx, scratch)
            }))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written, &mut done);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, written: usize, done: &mut impl FnMut(&Queued)) {
        self.offset += written;
        while let Some(first) = self.hand.front()
            && let len = self.framing.len(first)
            && self.offset >= len
        {
            self.offset -= len;
            self.hand_bytes -= first.len();
            done(first);
            self.hand.pop_front();
        }
        if self.hand.capacity() > KEPT_CAPACITY {
            self.give_back();
        }
    }

    /// An empty hand gives its memory back.
    pub(crate) fn give_back(&mut self) {
        if self.hand.is_empty() {
            self.hand = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::tests::config;
    use std::task::Waker;

    /// Takes a few bytes at a time.
    struct Dribble(Vec<u8>, usize);

    impl AsyncWrite for Dribble {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let n = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..n]);
            Poll::Ready(Ok(n))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn queued(text: &str, mark: Mark) -> Queued {
        Queued::own(Bytes::copy_from_slice(text.as_bytes()), mark, Instant::now())
    }

    #[test]
    fn partial_writes_keep_the_order_and_mark_only_whole_frames() {
        let (mut writer, mut io, mut done) = (Writer::new(Framing::WebSocket), Dribble(Vec::new(), 3), Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        writer.take(queued("aaaa", Mark::Event(1)));
        writer.take(queued("bb", Mark::Event(2)));
        let _ = writer.poll_write(&mut cx, &mut io, |queued| done.push(queued.mark));
        assert_eq!((io.0.as_slice(), done.len()), (&b"aaa"[..], 0));
        writer.place_pong(Bytes::from_static(b"Q"), Instant::now());
        writer.place_pong(Bytes::from_static(b"P"), Instant::now());
        while !writer.is_empty() {
            let _ = writer.poll_write(&mut cx, &mut io, |queued| done.push(queued.mark));
        }
        assert_eq!(io.0, b"aaaaPbb", "a pong goes between frames, never into one, and only the latest goes");
        assert_eq!(done, [Mark::Event(1), Mark::Pong, Mark::Event(2)]);
        assert_eq!(writer.placed(), Ordinal { frames: 2, bytes: 6 });
    }

    #[test]
    fn what_was_begun_is_finished_and_what_was_not_is_dropped() {
        let (mut writer, mut io) = (Writer::new(Framing::WebSocket), Dribble(Vec::new(), 1));
        let mut cx = Context::from_waker(Waker::noop());
        writer.take(queued("aaaa", Mark::Event(1)));
        writer.take(queued("bb", Mark::Event(2)));
        let _ = writer.poll_write(&mut cx, &mut io, |_| ());
        assert_eq!(writer.drop_unbegun().frame_bytes, 2);
        assert_eq!(writer.placed().frames, 1, "a ping that follows does not vouch for what was dropped");
        while !writer.is_empty() {
            let _ = writer.poll_write(&mut cx, &mut io, |_| ());
        }
        assert_eq!(io.0, b"aaaa");
    }

    #[test]
    fn no_more_is_taken_than_may_be_unconfirmed() {
        let config = Config { max_unconfirmed_bytes: 10, max_unconfirmed_frames: 2, ..config() };
        let mut writer = Writer::new(Framing::WebSocket);
        let large = queued("012345678901234", Mark::Event(1));
        assert!(
            writer.may_take(&large, Ordinal::default(), &config),
            "with nothing unproven, a frame of any size goes"
        );
        writer.take(large);
        assert!(!writer.may_take(&queued("a", Mark::Event(2)), Ordinal::default(), &config));
        assert!(writer.may_take(&queued("a", Mark::Control), Ordinal::default(), &config));
        let all = writer.placed();
        assert!(writer.may_take(&queued("a", Mark::Event(2)), all, &config));
    }
}
