//! What waits to be written to one client, and how much that may be.

mod conflation;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use standpipe_protocol::Record;
use tokio::{sync::oneshot, time::Instant};

use self::conflation::Conflation;
use crate::{
    Closing, Config, Mark, Signal,
    queued::{Body, Held, Queued},
    signal::UNREPORTED,
};

/// How a data frame comes to a client, which decides how much may wait and whether it may stand for an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As it happens: up to `max_queue_bytes` wait.
    Live,
    /// As it happens, to a client that wants only the latest of each key: it takes the place of a queued event of its
    /// topic and key that came this way too, unless a boundary stands between them.
    Conflated,
    /// Read from the log for this client: an eighth of `max_queue_bytes` waits. The log holds the rest, there is no
    /// hurry, and after a restart everybody reads at once.
    Replay,
}

/// What became of a frame that was offered. The caller decides what follows.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It will be written, in its turn.
    Queued,
    /// It will be written, in the place of an older event of its key, which will not be. As many frames wait as before.
    Superseded,
    /// The queue holds as much as it may. The frame was not taken; the shard is signalled once there is room for it.
    Full,
    /// The connection is ending. The frame was not taken.
    Closed,
}

/// Events that were queued for a client and are not any more: it gets them, or is told of them, another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack {
    /// The place of the first of them. What is queued still, or being written, comes before it.
    pub from: u64,
    /// How many there are, less those that others stand for.
    pub events: u64,
}

/// The queue of one connection, between its shard and its writer.
///
/// Invariant: `held` counts what is queued and what the writer has taken but not fully written, so that the bound holds
/// wherever the bytes are.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Queued>,
    /// How many entries the writer has taken so far: the running number of the first one that is still queued.
    taken: u64,
    /// The first event in the writer's hand.
    in_hand: Option<u64>,
    held: Held,
    /// What the shard has been told of `held.own_bytes`.
    reported: usize,
    data_queued: u64,
    /// Only of a connection that conflates.
    conflation: Option<Box<Conflation>>,
    /// In a box, because a connection needs it only at its end.
    pub(crate) closing: Option<Box<Closing>>,
    /// Its client has come back elsewhere. In a box for the same reason.
    pub(crate) successor: Option<Box<Successor>>,
    sealed: bool,
    /// The shard waits until no more bytes than this are queued.
    room_wanted: Option<usize>,
    /// Some of what is held was read from the log for this client.
    replays: bool,
    /// The writer need not be woken while fewer bytes than this wait: it looks again by itself.
    wake_at: usize,
}

/// A client that goes on elsewhere from a connection that is still open.
#[derive(Debug)]
pub(crate) struct Successor {
    /// Where it goes on from, if it says.
    pub(crate) cursor: Option<u64>,
    /// Dropped once what the connection leaves is known.
    pub(crate) _ended: oneshot::Sender<()>,
}

/// What the writer saw when it last looked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    /// Since when the first frame of the queue waits; `None` if it is empty.
    pub(crate) oldest: Option<Instant>,
    /// Bytes that are queued or in the writer's hand.
    pub(crate) bytes: usize,
    /// Some of it was read from the log for this client.
    pub(crate) replays: bool,
    /// How many frames were ever queued.
    queued: u64,
}

impl Outbox {
    /// Takes an event if there is room for it. An empty queue has room for a frame of any size.
    pub(crate) fn offer(&mut self, record: &Arc<Record>, mark: Mark, way: Way, now: Instant, config: &Config) -> Offer {
        if self.is_ending() {
            return Offer::Closed;
        }
        let hash = self.hash(record, way);
        if way == Way::Conflated
            && let Some(older) = hash.and_then(|hash| self.older(hash, record))
        {
            return self.supersede(older, record, config);
        }
        if !fits(self.held.frame_bytes, record.frame().len(), config.bound(way)) {
            return self.full(record.frame().len(), way, config);
        }
        if let (Some(hash), Some(conflation)) = (hash, &mut self.conflation) {
            match way {
                Way::Conflated => conflation.put(hash, self.taken + self.queue.len() as u64, self.taken),
                Way::Live | Way::Replay => conflation.forget(hash),
            }
        }
        self.replays |= way == Way::Replay;
        self.push(Queued { body: Body::Record(Arc::clone(record)), mark, at: now });
        Offer::Queued
    }

    /// Takes a data frame that is this client's alone, if there is room for it. It neither replaces nor is replaced.
    pub(crate) fn offer_frame(&mut self, frame: Bytes, mark: Mark, way: Way, now: Instant, config: &Config) -> Offer {
        if self.is_ending() {
            return Offer::Closed;
        }
        if !fits(self.held.frame_bytes, frame.len(), config.bound(way)) {
            return self.full(frame.len(), way, config);
        }
        self.replays |= way == Way::Replay;
        self.push(Queued::own(frame, mark, now));
        Offer::Queued
    }

    /// Takes an answer or a notice, for which there is a reserve beyond the bound.
    pub(crate) fn tell(&mut self, frame: Bytes, mark: Mark, now: Instant, config: &Config) -> Offer {
        if self.is_ending() {
            return Offer::Closed;
        }
        if !fits(self.held.frame_bytes, frame.len(), config.max_queue_bytes + config.reserve()) {
            return Offer::Full;
        }
        self.push(Queued::own(frame, mark, now));
        Offer::Queued
    }

    /// No event that is offered from now on takes the place of one that is queued.
    pub(crate) fn separate(&mut self) {
        self.conflation = None;
    }

    /// A frame of `len` bytes was not taken: the signal comes once there is room for it.
    fn full(&mut self, len: usize, way: Way, config: &Config) -> Offer {
        // Invariant: more is queued now, so that the signal does come.
        self.room_wanted = Some(config.low_water(way).min(config.bound(way).saturating_sub(len)));
        Offer::Full
    }

    /// What stands for the record's topic and key, where that matters.
    fn hash(&mut self, record: &Record, way: Way) -> Option<u64> {
        match way {
            Way::Conflated => self.conflation.get_or_insert_default().hash(record),
            Way::Live | Way::Replay => self.conflation.as_ref().filter(|c| c.len() > 0)?.hash(record),
        }
    }

    /// Where the event is queued that `record` may replace.
    fn older(&self, hash: u64, record: &Record) -> Option<usize> {
        let place = self.conflation.as_ref()?.place(hash)?.checked_sub(self.taken)?;
        let place = usize::try_from(place).ok()?;
        let Body::Record(older) = &self.queue.get(place)?.body else { return None };
        (older.topic == record.topic && older.key == record.key).then_some(place)
    }

    /// Puts `record` in the place of an older event. The place keeps its mark, so that once it is written, all up to there
    /// is written or stood for by what is newer; and it keeps its age.
    fn supersede(&mut self, place: usize, record: &Arc<Record>, config: &Config) -> Offer {
        let Some(queued) = self.queue.get_mut(place) else { return Offer::Closed };
        let (others, len) = (self.held.frame_bytes - queued.len(), record.frame().len());
        if !fits(others, len, config.bound(Way::Conflated)) {
            return self.full(len, Way::Conflated, config);
        }
        queued.body = Body::Record(Arc::clone(record));
        self.held.frame_bytes = others + len;
        Offer::Superseded
    }

    fn push(&mut self, queued: Queued) {
        self.held.add(queued.held());
        self.data_queued += u64::from(queued.mark.is_data());
        self.queue.push_back(queued);
    }

    fn is_ending(&self) -> bool {
        self.closing.is_some() || self.sealed
    }

    /// Nothing is taken any more.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.room_wanted = None;
    }

    /// Moves frames into the writer's hand, in order, for as long as it wants the next one.
    pub(crate) fn take_while(&mut self, mut wanted: impl FnMut(&Queued) -> bool, mut take: impl FnMut(Queued)) {
        while self.queue.front().is_some_and(&mut wanted) {
            if let Some(next) = self.queue.pop_front() {
                self.taken += 1;
                take(next);
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.give_back();
        }
        if self.queue.is_empty() {
            self.forget_places();
        }
    }

    /// An empty queue gives its memory back. It keeps a little otherwise, because a client that gets one event gets more.
    pub(crate) fn give_back(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// The queue is empty: there is nothing to replace.
    fn forget_places(&mut self) {
        match &mut self.conflation {
            Some(conflation) if !conflation.is_large() => conflation.forget_all(),
            conflation => *conflation = None,
        }
    }

    /// Frames that were queued once are fully written, or dropped. Returns whether the shard is to be told of the room.
    pub(crate) fn release(&mut self, released: Held) -> bool {
        self.held.remove(released);
        self.replays &= self.held.frame_bytes > 0;
        self.room_wanted.take_if(|low_water| self.held.frame_bytes <= *low_water).is_some()
    }

    /// Whether there is room now; if not, [`Outbox::release`] will say when there is.
    pub(crate) fn want_room(&mut self, low_water: usize) -> bool {
        let room = self.held.frame_bytes <= low_water || self.is_ending();
        self.room_wanted = (!room).then_some(low_water);
        room
    }

    /// Drops what is still queued, and returns what that was, to be released.
    pub(crate) fn clear(&mut self) -> Held {
        let dropped = std::mem::take(&mut self.queue);
        self.taken += dropped.len() as u64;
        self.conflation = None;
        let mut held = Held::default();
        for queued in &dropped {
            held.add(queued.held());
        }
        held
    }

    /// Takes back the events at the end of the queue, down to the last frame that is not one: what was answered or told
    /// stays, and with it what it was told behind. Returns what was taken, and what that held, to be released.
    ///
    /// Nothing that is offered from now on takes the place of what is queued still.
    pub(crate) fn take_back(&mut self) -> Option<(TakenBack, Held)> {
        let kept = self.queue.iter().rposition(|queued| !queued.is_of_the_log()).map_or(0, |last| last + 1);
        let from = self.queue.range(kept..).find_map(Queued::seq)?;
        let (mut taken_back, mut held) = (TakenBack { from, events: 0 }, Held::default());
        for queued in self.queue.drain(kept..) {
            held.add(queued.held());
            taken_back.events += u64::from(queued.mark.is_data());
            // As if the writer had taken it, so that it sees that the queue is another.
            self.taken += 1;
        }
        self.data_queued -= taken_back.events;
        self.separate();
        Some((taken_back, held))
    }

    /// How much memory is in use because of this queue, at most, if the log holds what is not below `floor`: what is there
    /// for it alone, and all of its frames if the log has let go of the first.
    ///
    /// Of a connection that is ending nothing is kept for long.
    pub(crate) fn kept(&self, floor: u64) -> usize {
        if self.is_ending() {
            return 0;
        }
        let is_pinned = self.oldest_event().is_some_and(|seq| seq < floor);
        self.held.own_bytes + if is_pinned { self.held.frame_bytes } else { 0 }
    }

    /// The first event in the writer's hand is the one at `seq`.
    pub(crate) fn set_in_hand(&mut self, seq: Option<u64>) {
        self.in_hand = seq;
    }

    /// The place in the log of the first event that waits, in the writer's hand or here.
    fn oldest_event(&self) -> Option<u64> {
        self.in_hand.or_else(|| self.queue.iter().find_map(Queued::seq))
    }

    /// Tells the shard what is there for this client alone, if that has changed by much, or is nothing again.
    pub(crate) fn report(&mut self, signal: &Signal) {
        let (before, now) = (self.reported, self.held.own_bytes);
        let is_empty_again = now == 0 && before > 0;
        if is_empty_again || now.abs_diff(before) >= UNREPORTED {
            signal.report(before, now);
            self.reported = now;
        }
    }

    /// Takes back what the shard was told: nothing of this outbox is left, or little.
    pub(crate) fn retract(&mut self, signal: &Signal) {
        signal.report(std::mem::take(&mut self.reported), 0);
    }

    /// The writer looks. From now on it is not woken: what is queued meanwhile it is told by [`Outbox::rest`].
    pub(crate) fn look(&mut self) -> Waiting {
        self.wake_at = usize::MAX;
        self.waiting()
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let oldest = self.queue.front().map(|queued| queued.at);
        let queued = self.taken + self.queue.len() as u64;
        Waiting { oldest, bytes: self.held.frame_bytes, replays: self.replays, queued }
    }

    /// The writer, which saw `seen`, rests until it is woken because `wake_at` bytes wait, or for a reason of its own.
    /// Returns whether it may: not if something was queued that it has not seen.
    pub(crate) fn rest(&mut self, seen: Waiting, wake_at: usize) -> bool {
        let has_seen_all = self.taken + self.queue.len() as u64 == seen.queued;
        if has_seen_all {
            self.wake_at = wake_at;
        }
        has_seen_all
    }

    /// Whether the writer is to be woken for what is queued.
    pub(crate) fn needs_writer(&self) -> bool {
        self.held.frame_bytes >= self.wake_at
    }

    /// Whether some of what is held was read from the log for this client, and so waits its turn.
    pub(crate) fn replays(&self) -> bool {
        self.replays
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.held.frame_bytes
    }

    pub(crate) fn data_queued(&self) -> u64 {
        self.data_queued
    }
}

/// Whether a frame of `len` bytes has room beside `queued` bytes. An empty queue has room for a frame of any size.
fn fits(queued: usize, len: usize, bound: usize) -> bool {
    queued == 0 || queued + len <= bound
}

/// A queue that grew beyond this gives its memory back as soon as it is empty.
pub(crate) const KEPT_CAPACITY: usize = 8;

#[cfg(test)]
pub(crate) mod tests;
