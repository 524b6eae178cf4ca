//! Clients that read the same stretch of the log together, each for what it selects.
//!
//! After a restart everybody comes back at once. One client that reads the log for a filter visits every event of its
//! topics; a thousand would visit each a thousand times. In a convoy each event is read once, and an index finds who wants
//! it, as it does for those that are fed by push.
//!
//! ```text
//!  log  ──────────┬───────────────┬──────────────────────────┬──▶ shard
//!              convoy          it begins here,            they are fed by push
//!              stands here     and boards all the same    from here on
//! ```

use std::{collections::HashSet, time::Duration};

use standpipe_selection::{Entry, Index};
use tokio::time::Instant;

use crate::client::Client;

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Convoy {
    /// Up to here every rider was offered what it selects.
    pub(crate) cursor: u64,
    pub(crate) index: Index,
    /// By the shard's number of the client.
    pub(crate) riders: HashSet<usize>,
    /// When it sets out, unless others come.
    pub(crate) sets_out: Instant,
    /// When it sets out whoever comes.
    latest: Instant,
}

/// How long a convoy waits for the next one to board.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long it waits in all. Those who come back after a restart come one after the other; each convoy that sets out without them
/// reads the same events once more, and takes from them the time to come.
const GATHERING: Duration = Duration::from_secs(1);

/// What a client in a convoy holds.
#[derive(Debug)]
pub(crate) struct Ride {
    /// The shard's number of the convoy.
    pub(crate) convoy: usize,
    /// What is not behind this place the client has had before.
    pub(crate) from: u64,
    /// Its places in the convoy's index.
    pub(crate) entries: Vec<Entry>,
    /// Bytes queued since its writer was woken.
    pub(crate) unwoken: usize,
    /// When it was woken, or boarded.
    pub(crate) woken: Instant,
}

/// How far a client and the convoy that it boards may be apart while another could set out where the client stands.
pub(crate) const HOP: u64 = 16 * 1024;
/// What is queued for a rider before its writer is woken: one write for many events of long ago.
const WOKEN_FOR: usize = 16 * 1024;
/// How long less than that is kept.
const WOKEN_AFTER: Duration = Duration::from_secs(1);

impl Ride {
    /// Whether its writer is to be woken now. If so, it counts as woken.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.unwoken >= WOKEN_FOR || (self.unwoken > 0 && now >= self.woken + WOKEN_AFTER);
        if is_due {
            (self.unwoken, self.woken) = (0, now);
        }
        is_due
    }
}

impl Convoy {
    /// One that has read up to `cursor`, and waits for riders.
    pub(crate) fn new(cursor: u64, now: Instant) -> Self {
        let (sets_out, latest) = (now + PATIENCE, now + GATHERING);
        Self { cursor, index: Index::new(), riders: HashSet::new(), sets_out, latest }
    }

    /// Whether it waits for others.
    pub(crate) fn gathers(&self, now: Instant) -> bool {
        now < self.sets_out
    }

    /// How far apart it and a client that stands at `from` are, if it can take that client along: one that has not set out yet, also
    /// one that stands a little before it.
    pub(crate) fn distance(&self, from: u64, now: Instant) -> Option<u64> {
        let is_behind = self.cursor <= from;
        (is_behind || self.gathers(now) && self.cursor - from <= HOP).then(|| self.cursor.abs_diff(from))
    }

    /// Takes `client` along, which stands at `from`.
    pub(crate) fn board(&mut self, convoy: usize, slot: usize, client: &Client, from: u64, now: Instant) -> Ride {
        let subscriber = u32::try_from(slot).unwrap_or(u32::MAX);
        let wanted = client.subscriptions.iter();
        let entries = wanted.map(|s| self.index.insert(subscriber, &s.pattern, s.filter.clone())).collect();
        self.riders.insert(slot);
        if self.gathers(now) {
            self.gather(from, now);
        }
        Ride { convoy, from, entries, unwoken: 0, woken: now }
    }

    /// One that stands at `from` has come: others may.
    fn gather(&mut self, from: u64, now: Instant) {
        self.cursor = self.cursor.min(from);
        self.sets_out = (now + PATIENCE).min(self.latest);
    }

    /// Lets go of a rider, and returns where it stands.
    pub(crate) fn let_go(&mut self, slot: usize, ride: Ride) -> u64 {
        for entry in ride.entries {
            self.index.remove(entry);
        }
        self.riders.remove(&slot);
        self.cursor.max(ride.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_come_one_after_the_other_are_waited_for_but_not_for_ever() {
        let begin = Instant::now();
        let mut convoy = Convoy::new(100_000, begin);
        let mut now = begin;
        while convoy.gathers(now) {
            convoy.gather(100_000, now);
            now += PATIENCE / 2;
        }
        assert_eq!(now, begin + GATHERING);
        let alone = Convoy::new(100_000, begin);
        assert!(!alone.gathers(begin + PATIENCE), "nobody comes");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_before_it_is_taken_along_only_while_nothing_is_read() {
        let begin = Instant::now();
        let mut convoy = Convoy::new(100_000, begin);
        let later = begin + PATIENCE;
        assert_eq!((convoy.distance(150_000, begin), convoy.distance(150_000, later)), (Some(50_000), Some(50_000)));
        assert_eq!((convoy.distance(99_000, begin), convoy.distance(99_000, later)), (Some(1000), None));
        assert_eq!(convoy.distance(100_000 - HOP - 1, begin), None, "the others would wait for too long");
        convoy.gather(99_000, begin);
        assert_eq!(convoy.cursor, 99_000);
    }
}
