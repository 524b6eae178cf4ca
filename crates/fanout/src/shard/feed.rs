//! New events for those that keep up, and steps of those that read the log on their own.

use std::sync::Arc;

use standpipe_connections::{Mark, Offer, Way};
use standpipe_protocol::Record;
use tokio::time::Instant;

use super::{Shard, ride::Boarding};
use crate::{
    client::{Client, Mode, Reading},
    deliver::deliver,
    log::Expired,
    overflow::{end_skip, overflow, skip, throttle},
    pull::{self, Desk, Pulled},
};

/// Events pushed in one turn.
pub(super) const EVENTS: usize = 128;
/// Deliveries after which a turn pushes no further event: a hot topic does not hold up what waits behind the turn.
pub(super) const DELIVERIES: usize = 8192;
/// Clients that get one step of pulling in one turn.
pub(super) const PULLS: usize = 16;
/// Clients that are looked at for it: most may board a convoy, which is quickly done.
pub(super) const LOOKED_AT: usize = 256;

impl Shard {
    /// Reads the log once for all who keep up.
    pub(super) fn push(&mut self, now: Instant) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        match self.log.read(None, self.cursor, u64::MAX, EVENTS, &mut batch) {
            Ok(_) => {}
            Err(Expired { floor }) => self.fall_behind(floor),
        }
        let mut audience = std::mem::take(&mut self.audience);
        let mut deliveries = 0;
        for record in batch.drain(..) {
            // Looking at an event takes longer than finding that nobody is there.
            audience.clear();
            if !self.index.is_empty() {
                self.index.audience(record.view(), &mut audience);
            }
            self.counters.dispatched += 1;
            self.counters.audiences.count(audience.len() as u64);
            for slot in &audience {
                self.push_to(*slot as usize, &record, now);
            }
            self.cursor = record.seq;
            deliveries += audience.len();
            if deliveries >= DELIVERIES {
                break;
            }
        }
        self.audience = audience;
        self.batch = batch;
    }

    fn push_to(&mut self, slot: usize, record: &Arc<Record>, now: Instant) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        match client.mode {
            Mode::Push => {}
            Mode::Skip { .. } => return skip(client),
            // It reads this event itself, when it comes to it; or nothing is meant for it any more.
            Mode::Pull(_) | Mode::Ride(_) | Mode::Idle | Mode::Ended { .. } => return,
        }
        if !client.may_have(now) {
            return throttle(client, record.seq, &mut self.counters);
        }
        let way = if client.conflates(record) { Way::Conflated } else { Way::Live };
        let was_touched = client.touched;
        match deliver(client, record, Mark::Event(record.seq), way, now) {
            Offer::Queued | Offer::Superseded if !was_touched => self.touched.push(slot),
            Offer::Queued | Offer::Superseded => {}
            Offer::Closed => client.mode = Mode::Ended { position: record.seq - 1 },
            // Once there is room again, its signal will say so.
            Offer::Full => overflow(client, record.seq, &mut self.counters),
        }
    }

    /// The log let go of what this shard was to read next: whoever was fed by push is told, at its own cursor.
    fn fall_behind(&mut self, floor: u64) {
        for (slot, client) in &mut self.clients {
            match &mut client.mode {
                Mode::Push => {
                    client.mode = Mode::Pull(Reading::behind(self.cursor));
                    client.schedule(slot, &mut self.pulling);
                }
                // How many of the events that nobody has read would have matched, nobody knows.
                Mode::Skip { matched, .. } => *matched = None,
                Mode::Idle | Mode::Pull(_) | Mode::Ride(_) | Mode::Ended { .. } => {}
            }
        }
        self.cursor = floor - 1;
    }

    /// One step for each of some of the clients that read the log on their own.
    pub(super) fn pull(&mut self, now: Instant) {
        let (mut pulls, mut again) = (0, Vec::new());
        for _ in 0..LOOKED_AT.min(self.pulling.len()) {
            let is_crowded = self.is_crowded(again.len());
            let Some(slot) = self.pulling.pop_front() else { break };
            match self.board(slot, is_crowded, now) {
                Boarding::Aboard => {}
                Boarding::Alone if pulls < PULLS => {
                    pulls += 1;
                    if self.step(slot, now) == Pulled::More {
                        again.push(slot);
                    }
                }
                Boarding::Alone | Boarding::Later => self.pulling.push_back(slot),
            }
        }
        // Behind those who were looked at and had no step: they are the next.
        for slot in again {
            if let Some(client) = self.clients.get_mut(slot) {
                client.schedule(slot, &mut self.pulling);
            }
        }
    }

    fn step(&mut self, slot: usize, now: Instant) -> Pulled {
        let Some((client, mut desk)) = self.at_desk(slot, now) else { return Pulled::Done };
        client.scheduled = false;
        if client.is_paused(now) {
            return Pulled::Waits;
        }
        end_skip(client, &mut desk);
        let was_touched = client.touched;
        let pulled = pull::step(client, &mut desk);
        let is_touched = client.touched && !was_touched;
        if is_touched {
            self.touched.push(slot);
        }
        pulled
    }

    /// A client, and what is lent to a step of it.
    pub(super) fn at_desk(&mut self, slot: usize, now: Instant) -> Option<(&mut Client, Desk<'_>)> {
        let desk = Desk {
            log: &*self.log,
            shard: self.cursor,
            now,
            snapshot_until: now + self.snapshot_patience,
            counters: &mut self.counters,
            batch: &mut self.batch,
        };
        Some((self.clients.get_mut(slot)?, desk))
    }
}
