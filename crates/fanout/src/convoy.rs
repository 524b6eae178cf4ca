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
    /// Clients in the shard's queue that are still to be looked at before it sets out: those who can come, do.
    pub(crate) waits_for: usize,
}

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
    /// One that has read up to `cursor`, and waits for the crowd of this size.
    pub(crate) fn new(cursor: u64, crowd: usize) -> Self {
        Self { cursor, index: Index::new(), riders: HashSet::new(), waits_for: crowd }
    }

    /// Takes `client` along, which stands at `from`: here or ahead.
    pub(crate) fn board(&mut self, convoy: usize, slot: usize, client: &Client, from: u64, now: Instant) -> Ride {
        let subscriber = u32::try_from(slot).unwrap_or(u32::MAX);
        let wanted = client.subscriptions.iter();
        let entries = wanted.map(|s| self.index.insert(subscriber, &s.pattern, s.filter.clone())).collect();
        self.riders.insert(slot);
        Ride { convoy, from, entries, unwoken: 0, woken: now }
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
