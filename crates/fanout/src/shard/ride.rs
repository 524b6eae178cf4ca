//! Convoys: who boards which one, one step for each in a turn, and the end of the ride.

use std::{mem, sync::Arc};

use standpipe_connections::{Mark, Offer, Way};
use standpipe_protocol::Record;
use tokio::time::Instant;

use super::{Shard, feed::LOOKED_AT};
use crate::{
    client::{Client, Mode, Reading},
    convoy::{Convoy, HOP},
    deliver::deliver,
    log::Expired,
    pull::STEP,
};

/// The most convoys at a time. With more, each would read the same events again for fewer riders.
const MAX_CONVOYS: usize = 4;
/// Events that a convoy reads in one step.
const RECORDS: usize = 256;
/// Deliveries after which a step reads no further event.
const DELIVERIES: usize = 1024;

/// How a client that is to read the log does it.
pub(super) enum Boarding {
    /// With others, from now on.
    Aboard,
    /// With others, once a convoy sets out; it stays in the queue.
    Later,
    /// On its own.
    Alone,
}

impl Shard {
    /// Whether those in the queue, and so many `others` who have just left it and come back, are a crowd.
    pub(super) fn is_crowded(&self, others: usize) -> bool {
        self.pulling.len() + others >= self.crowd
    }

    /// Lets a client that was taken from the queue board a convoy, if that is better than to read on its own.
    pub(super) fn board(&mut self, slot: usize, is_crowded: bool, now: Instant) -> Boarding {
        let Some(from) = self.clients.get(slot).and_then(|client| self.rides_from(client)) else {
            return Boarding::Alone;
        };
        let distances = self.convoys.iter().filter_map(|(key, convoy)| Some((convoy.distance(from, now)?, key)));
        let nearest = distances.min();
        let key = match nearest {
            Some((..=HOP, key)) => key,
            _ if is_crowded && self.convoys.len() < MAX_CONVOYS => {
                // The first one sets out where the last of the crowd stands, so that it can take all of them.
                let start = if nearest.is_some() { from } else { self.last_of_the_crowd().unwrap_or(from).min(from) };
                self.convoys.insert(Convoy::new(start, now))
            }
            Some((_, key)) if is_crowded => key,
            // All are ahead of it. The next one to set out takes all who wait along.
            None if is_crowded => return Boarding::Later,
            _ => return Boarding::Alone,
        };
        let (Some(client), Some(convoy)) = (self.clients.get_mut(slot), self.convoys.get_mut(key)) else {
            return Boarding::Alone;
        };
        client.scheduled = false;
        self.counters.rides += 1;
        client.mode = Mode::Ride(convoy.board(key, slot, client, from, now));
        Boarding::Aboard
    }

    /// Where a client stands for which a ride is worth while: it has some way to go, and visits much for what it gets.
    fn rides_from(&self, client: &Client) -> Option<u64> {
        let Mode::Pull(reading) = &client.mode else { return None };
        let is_far = reading.cursor + (STEP as u64) < self.cursor;
        // Who has lost something is told so by a step of its own first.
        let is_held = self.log.bounds().floor <= reading.cursor + 1;
        let is_selective = client.subscriptions.iter().any(|subscription| subscription.filter.is_some());
        // Who is given so many events reads as slowly as that.
        let is_rated = client.terms.event_rate.is_some();
        let may_ride = is_far && is_held && is_selective && !is_rated && client.interludes.is_empty();
        (may_ride && client.connection.want_room(Way::Replay)).then_some(reading.cursor)
    }

    fn last_of_the_crowd(&self) -> Option<u64> {
        let waiting = self.pulling.iter().filter_map(|slot| self.clients.get(*slot));
        waiting.filter_map(|client| self.rides_from(client)).min()
    }

    /// Takes a client out of its convoy, if it is in one. It is to read on its own from where it stands.
    pub(super) fn alight(&mut self, slot: usize) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        match mem::replace(&mut client.mode, Mode::Idle) {
            Mode::Ride(ride) => {
                if ride.unwoken > 0 {
                    client.connection.wake();
                }
                let from = ride.from;
                let convoy = self.convoys.get_mut(ride.convoy);
                let cursor = convoy.map_or(from, |convoy| convoy.let_go(slot, ride));
                client.mode = Mode::Pull(Reading::behind(cursor));
            }
            mode => client.mode = mode,
        }
    }

    /// When the first of those that gather sets out.
    pub(super) fn next_to_set_out(&self) -> Option<Instant> {
        self.convoys.iter().map(|(_, convoy)| convoy.sets_out).min()
    }

    /// One step of one convoy: of each in its turn.
    pub(super) fn ride(&mut self, now: Instant) {
        // Numbers that were freed are given again first, so that there is none beyond.
        for _ in 0..MAX_CONVOYS {
            self.moved = (self.moved + 1) % MAX_CONVOYS;
            if self.convoys.get(self.moved).is_some_and(|convoy| !convoy.gathers(now)) {
                return self.move_on(self.moved, now);
            }
        }
    }

    fn move_on(&mut self, key: usize, now: Instant) {
        let Some(cursor) = self.convoys.get(key).map(|convoy| convoy.cursor) else { return };
        let mut batch = mem::take(&mut self.batch);
        batch.clear();
        if let Err(Expired { .. }) = self.log.read(None, cursor, self.cursor, RECORDS, &mut batch) {
            self.dissolve(key);
            return;
        }
        let (mut audience, mut deliveries) = (mem::take(&mut self.audience), 0);
        for record in batch.drain(..) {
            let Some(convoy) = self.convoys.get_mut(key) else { break };
            convoy.index.audience(record.view(), &mut audience);
            deliveries += audience.len();
            let mut full = Vec::new();
            for slot in audience.iter().map(|slot| *slot as usize) {
                let Some(client) = self.clients.get_mut(slot) else { continue };
                match offer(client, &record, now) {
                    Fed::Had => {}
                    Fed::Left => full.push(slot),
                    Fed::Taken { is_due } => {
                        self.counters.pulled += 1;
                        if is_due && !mem::replace(&mut client.touched, true) {
                            self.touched.push(slot);
                        }
                    }
                }
            }
            // They have not had this event. Their signals come once they have room.
            for slot in full {
                self.alight(slot);
                if let Some(client) = self.clients.get_mut(slot) {
                    client.wait();
                }
            }
            if let Some(convoy) = self.convoys.get_mut(key) {
                convoy.cursor = record.seq;
            }
            if deliveries >= DELIVERIES {
                break;
            }
        }
        self.batch = batch;
        self.audience = audience;
        self.arrive(key);
    }

    /// Where the shard stands, riders are fed by push from now on; some in each turn, so that their writers do not all
    /// stand in the way of others at once.
    fn arrive(&mut self, key: usize) {
        let Some(convoy) = self.convoys.get(key) else { return };
        if convoy.cursor < self.cursor && !convoy.riders.is_empty() {
            return;
        }
        let some: Vec<_> = convoy.riders.iter().take(LOOKED_AT).copied().collect();
        for slot in some {
            self.alight(slot);
            let Some(client) = self.clients.get_mut(slot) else { continue };
            match &client.mode {
                Mode::Pull(reading) if reading.cursor == self.cursor => client.mode = Mode::Push,
                _ => client.schedule(slot, &mut self.pulling),
            }
        }
        if self.convoys.get(key).is_some_and(|convoy| convoy.riders.is_empty()) {
            self.convoys.remove(key);
        }
    }

    /// The log has overtaken a convoy: all of them read on by themselves, and are told their gap.
    fn dissolve(&mut self, key: usize) {
        let Some(convoy) = self.convoys.try_remove(key) else { return };
        for slot in convoy.riders {
            let Some(client) = self.clients.get_mut(slot) else { continue };
            let Mode::Ride(ride) = &client.mode else { continue };
            let cursor = convoy.cursor.max(ride.from);
            client.connection.wake();
            client.mode = Mode::Pull(Reading::behind(cursor));
            client.schedule(slot, &mut self.pulling);
        }
    }
}

/// What came of an event that a rider selects.
enum Fed {
    /// It has had it before it boarded.
    Had,
    /// It is queued. The writer is to be woken once enough is.
    Taken { is_due: bool },
    /// It was not taken: the rider has no room, or is ending.
    Left,
}

fn offer(client: &mut Client, record: &Arc<Record>, now: Instant) -> Fed {
    let was_touched = client.touched;
    match &client.mode {
        Mode::Ride(ride) if ride.from < record.seq => {}
        _ => return Fed::Had,
    }
    if !matches!(deliver(client, record, Mark::Event(record.seq), Way::Replay, now), Offer::Queued | Offer::Superseded)
    {
        return Fed::Left;
    }
    client.touched = was_touched;
    let Mode::Ride(ride) = &mut client.mode else { return Fed::Had };
    ride.unwoken += record.frame().len();
    Fed::Taken { is_due: ride.take_due(now) }
}
