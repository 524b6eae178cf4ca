//! What follows when too much waits for all clients together: those for whom most does give it up.
//!
//! Nobody who has less than a fair share is touched. What is given up is told as when one queue is too long by itself: who
//! skips is told a gap, who catches up reads the log from there, and who does neither is closed and knows where to resume.

use std::{cmp::Reverse, time::Duration};

use standpipe_connections::{Closing, TakenBack};
use standpipe_protocol::{GapReason, Overflow};
use tokio::time::Instant;

use super::Shard;
use crate::{
    client::{Client, Mode, Reading},
    interlude::Interlude,
    report::Relief,
};

/// From one relief to the next at least: clients are looked at one by one, and what a writer has in hand it drops in its
/// own time.
const PAUSE: Duration = Duration::from_millis(20);

impl Shard {
    /// Looks at all clients if too much is kept, and has some give up what waits for them.
    pub(super) fn relieve(&mut self, now: Instant) {
        if now < self.relieve_at {
            return;
        }
        let Some(mut excess) = self.budget.excess() else { return };
        self.relieve_at = now + PAUSE;
        let floor = self.log.bounds().floor;
        let kept = self.clients.iter().map(|(slot, client)| (kept(client, floor), slot));
        let mut keepers: Vec<_> = kept.filter(|(bytes, _)| *bytes > 0).collect();
        let fair_share = self.budget.fair_share(keepers.len());
        keepers.retain(|(bytes, _)| *bytes > fair_share);
        keepers.sort_unstable_by_key(|keeper| Reverse(*keeper));
        for (bytes, slot) in keepers {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(bytes);
            self.give_up(slot);
        }
    }

    fn give_up(&mut self, slot: usize) {
        self.alight(slot);
        let Some(client) = self.clients.get_mut(slot) else { return };
        let relief = if let Some(taken_back) = take_back(client) {
            put_back(client, taken_back)
        } else {
            client.connection.cut(Closing::slow_consumer(
                "more than `client.max_queue_bytes_total` wait for all clients, and much of it for this one",
            ));
            client.mode = Mode::Ended { position: client.position(self.cursor) };
            client.interludes.clear();
            Relief::Closed
        };
        self.counters.reliefs.count(&relief);
        if client.pulls() || (relief == Relief::Skipped && client.has_room_for_news()) {
            client.schedule(slot, &mut self.pulling);
        }
    }
}

/// How much memory is in use for one client, at most: because of its queue, and of a state that it is shown.
fn kept(client: &Client, floor: u64) -> usize {
    if matches!(client.mode, Mode::Ended { .. }) {
        return 0;
    }
    let shown = client.interludes.iter().map(|interlude| match interlude {
        Interlude::Snapshot(snapshot) if snapshot.state.seq + 1 < floor => snapshot.state.bytes,
        Interlude::Snapshot(_) | Interlude::Replay(_) => 0,
    });
    client.connection.kept(floor) + shown.sum::<usize>()
}

/// The events that were queued last, if the client's policy has another way for them.
fn take_back(client: &Client) -> Option<TakenBack> {
    let has_other_way = match client.policy() {
        Overflow::Disconnect => false,
        // What it has may be newer than what it would read then.
        Overflow::CatchUp => !client.is_conflating(),
        Overflow::Skip => !client.is_conflating() || matches!(client.mode, Mode::Push | Mode::Skip { .. }),
    };
    has_other_way.then(|| client.connection.take_back()).flatten()
}

/// Puts the client's cursor before what was taken back, or counts that as skipped.
fn put_back(client: &mut Client, taken_back: TakenBack) -> Relief {
    let TakenBack { from, events } = taken_back;
    // What one event stands for is not known any more.
    let told = (!client.is_conflating()).then_some(events);
    let skipped = match client.mode {
        Mode::Skip { matched, .. } => Some(matched.zip(told).map(|(matched, told)| matched + told)),
        Mode::Push if client.connection.opening.overflow == Overflow::Skip => Some(told),
        _ => None,
    };
    if let Some(matched) = skipped {
        client.tally.skipped += events;
        client.mode = Mode::Skip { from, matched, reason: GapReason::SlowConsumer };
        Relief::Skipped
    } else {
        client.tally.returned += events;
        client.mode = Mode::Pull(Reading::behind(from - 1));
        Relief::Returned
    }
}
