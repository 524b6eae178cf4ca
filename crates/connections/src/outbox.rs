//! What waits to be written to one client.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{Closing, Config};

/// What has come about once a frame is fully written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing that is counted.
    Control,
    /// The client can resume behind this `seq`.
    Position(u64),
    /// An event was delivered, and the client can resume behind its `seq`.
    Event(u64),
    /// An event was delivered inside a replay bracket, where the place to resume from stands still.
    Replayed,
    /// The connection's own ping is on its way.
    Ping,
    /// The connection's own answer to a ping of the client.
    Pong,
    /// The connection's own last words.
    Farewell,
}

impl Mark {
    /// Whether the frame counts as delivered data.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Event(_) | Self::Replayed)
    }

    /// Whether the frame has waited in the outbox, rather than being made by the connection itself.
    pub(crate) fn was_queued(self) -> bool {
        !matches!(self, Self::Ping | Self::Pong | Self::Farewell)
    }
}

/// What became of a frame that was offered. The caller decides what follows.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It will be written, in its turn.
    Queued,
    /// The queue holds as much as it may. The frame was not taken.
    Full,
    /// The connection is ending. The frame was not taken.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) frame: Bytes,
    pub(crate) mark: Mark,
    pub(crate) at: Instant,
}

/// The queue of one connection, between its shard and its writer.
///
/// Invariant: `bytes` counts what is queued and what the writer has taken but not fully written, so that the bound holds
/// wherever the bytes are.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Queued>,
    bytes: usize,
    data_queued: u64,
    pub(crate) closing: Option<Closing>,
    sealed: bool,
    room_wanted: bool,
}

impl Outbox {
    /// Takes a data frame if there is room for it. An empty queue has room for a frame of any size.
    pub(crate) fn offer(&mut self, frame: &Bytes, mark: Mark, now: Instant, config: &Config) -> Offer {
        if self.is_ending() {
            return Offer::Closed;
        }
        if self.bytes > 0 && self.bytes + frame.len() > config.max_queue_bytes {
            return Offer::Full;
        }
        self.push(frame.clone(), mark, now);
        Offer::Queued
    }

    /// Takes an answer or a notice, for which there is a reserve beyond the bound.
    pub(crate) fn tell(&mut self, frame: Bytes, mark: Mark, now: Instant, config: &Config) -> Offer {
        if self.is_ending() {
            return Offer::Closed;
        }
        if self.bytes > 0 && self.bytes + frame.len() > config.max_queue_bytes + config.reserve() {
            return Offer::Full;
        }
        self.push(frame, mark, now);
        Offer::Queued
    }

    fn push(&mut self, frame: Bytes, mark: Mark, now: Instant) {
        self.bytes += frame.len();
        self.data_queued += u64::from(mark.is_data());
        self.queue.push_back(Queued { frame, mark, at: now });
    }

    fn is_ending(&self) -> bool {
        self.closing.is_some() || self.sealed
    }

    /// Nothing is taken any more.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.room_wanted = false;
    }

    /// Whether the writer may take `next`; see [`crate::writer`].
    pub(crate) fn take_while(&mut self, mut wanted: impl FnMut(&Queued) -> bool, mut take: impl FnMut(Queued)) {
        while self.queue.front().is_some_and(&mut wanted) {
            if let Some(next) = self.queue.pop_front() {
                take(next);
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
    }

    /// `bytes` that were queued once are fully written, or dropped. Returns whether the shard is to be told of the room.
    pub(crate) fn release(&mut self, bytes: usize, low_water: usize) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes);
        let tell = self.room_wanted && self.bytes <= low_water;
        self.room_wanted &= !tell;
        tell
    }

    /// Whether there is room now; if not, [`Outbox::release`] will say when there is.
    pub(crate) fn want_room(&mut self, low_water: usize) -> bool {
        let room = self.bytes <= low_water || self.is_ending();
        self.room_wanted = !room;
        room
    }

    /// Drops what is still queued, and returns how many bytes that was.
    pub(crate) fn clear(&mut self) -> usize {
        let dropped = std::mem::take(&mut self.queue);
        dropped.iter().map(|queued| queued.frame.len()).sum()
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|queued| queued.at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn data_queued(&self) -> u64 {
        self.data_queued
    }
}

/// A queue that grew beyond this gives its memory back when it is empty.
const KEPT_CAPACITY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::tests::config;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn the_bound_holds_and_an_empty_queue_takes_a_frame_of_any_size() {
        let (config, now) = (Config { max_queue_bytes: 100, ..config() }, Instant::now());
        let mut outbox = Outbox::default();
        assert_eq!(outbox.offer(&frame(500), Mark::Event(1), now, &config), Offer::Queued);
        assert_eq!(outbox.offer(&frame(1), Mark::Event(2), now, &config), Offer::Full);
        outbox.take_while(|_| true, drop);
        assert_eq!(outbox.offer(&frame(1), Mark::Event(2), now, &config), Offer::Full, "in the writer's hand");
        assert!(!outbox.release(500, 25));
        assert_eq!(outbox.offer(&frame(60), Mark::Event(2), now, &config), Offer::Queued);
        assert_eq!(outbox.offer(&frame(40), Mark::Event(3), now, &config), Offer::Queued);
        assert_eq!(outbox.offer(&frame(1), Mark::Event(4), now, &config), Offer::Full);
        assert_eq!(outbox.tell(frame(50), Mark::Control, now, &config), Offer::Queued, "notices have a reserve");
        assert_eq!(outbox.tell(frame(1 << 20), Mark::Control, now, &config), Offer::Full, "which is bounded too");
        assert_eq!(outbox.data_queued(), 3);
    }

    #[test]
    fn room_is_told_once_for_each_time_it_was_wanted() {
        let (config, now) = (Config { max_queue_bytes: 100, ..config() }, Instant::now());
        let mut outbox = Outbox::default();
        assert!(outbox.want_room(25));
        assert_eq!(outbox.offer(&frame(80), Mark::Event(1), now, &config), Offer::Queued);
        assert!(!outbox.want_room(25));
        assert!(!outbox.release(40, 25));
        assert!(outbox.release(40, 25));
        assert!(!outbox.release(0, 25));
    }

    #[test]
    fn an_ending_connection_takes_nothing() {
        let (config, now) = (config(), Instant::now());
        let closing = Some(Closing::now(standpipe_protocol::CloseReason::Restart));
        let mut outbox = Outbox { closing, ..Outbox::default() };
        assert_eq!(outbox.offer(&frame(1), Mark::Event(1), now, &config), Offer::Closed);
        assert_eq!(outbox.tell(frame(1), Mark::Control, now, &config), Offer::Closed);
        assert_eq!(outbox.data_queued(), 0);
    }
}
