//! How much memory what waits for all clients may take, beside the log and the keys.
//!
//! A frame that waits costs a reference as long as the log holds it. What counts is what would be free if nobody waited:
//! frames that the log has let go of, once each, however many wait for them, and what is there for one client alone.
//! Nothing is added up for it when an event is delivered: the log knows what it let go of, the connections tell their
//! shards what is theirs once it is much.

use std::sync::Arc;

use standpipe_connections::Signal;

use crate::Log;

/// See the file's description.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    max: usize,
    log: Arc<dyn Log>,
    /// Of all shards.
    signals: Arc<[Arc<Signal>]>,
}

/// What waits for all clients, and what may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// The memory that it takes beside the log and the keys, in bytes.
    pub bytes: usize,
    /// The most that it may take. Past it, those give up what waits for them for whom most does.
    pub max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize, log: Arc<dyn Log>, signals: impl Iterator<Item = Arc<Signal>>) -> Self {
        Self { max, log, signals: signals.collect() }
    }

    pub(crate) fn kept(&self) -> Kept {
        let own: usize = self.signals.iter().map(|signal| signal.own_bytes()).sum();
        Kept { bytes: self.log.pinned() + own, max: self.max }
    }

    /// If too much is kept: how much of it one shard is to have given up. That is more than what is too much, so that it
    /// does not come to this again with the next event.
    pub(crate) fn excess(&self) -> Option<usize> {
        let bytes = self.kept().bytes;
        (bytes > self.max).then(|| (bytes - self.low_water()).div_ceil(self.signals.len()))
    }

    /// What is left to each of `keepers` clients of one shard: if none has more, all shards together are below the bound.
    pub(crate) fn fair_share(&self, keepers: usize) -> usize {
        self.low_water() / self.signals.len() / keepers.max(1)
    }

    fn low_water(&self) -> usize {
        self.max / 8 * 7
    }
}
