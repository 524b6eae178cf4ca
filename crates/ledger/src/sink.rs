//! Where charges go: the trait, and what its implementations promise.

use std::{collections::BTreeMap, future::Future, num::NonZeroU32, time::Duration};

use standpipe_liveness::Rate;

use crate::{Answer, Charge, EventName};

/// How often each event was charged to the run, as the sink counts.
pub type Counts = BTreeMap<EventName, u64>;

/// Why the counts could not be read. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read what was charged so far: {0}")]
pub struct CountsError(pub String);

/// Something that takes charges.
///
/// A charge is accepted once for each key, for as long as [`Terms::key_life`]. Each call has a
/// deadline of its own; one that has passed it, or was dropped, may still have its effect, for as long as
/// [`Terms::lateness`] says.
pub trait ChargeSink: Send + Sync + 'static {
    /// The rules to be kept with this sink.
    fn terms(&self) -> Terms;

    /// Charges once.
    fn charge(&self, charge: &Charge) -> impl Future<Output = Answer> + Send;

    /// Reads how often each event was charged in this run, by whichever process.
    fn counts(&self) -> impl Future<Output = Result<Counts, CountsError>> + Send;
}

/// The rules of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long a key is remembered, from its first use.
    pub key_life: Duration,
    /// A call that was not answered has its effect within this time from when it was made, or never.
    pub lateness: Duration,
    /// The most that one charge can count.
    pub max_count: u64,
    /// From one call to the next, on average.
    pub call_every: Duration,
    /// Calls that may follow each other at once after a pause.
    pub burst: u32,
    /// From one charge of a payer for an event to the next.
    pub interval: Duration,
    /// Charges that are under way at the same time.
    pub max_open: usize,
    /// How long the sink is asked what became of charges that it did not answer for; then they are dropped.
    pub doubt: Duration,
}

impl Terms {
    /// How often calls may be made: as many as may follow each other at once, in the time in which as many are earned.
    pub fn rate(&self) -> Rate {
        let count = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        Rate { count, per: self.call_every.saturating_mul(count.get()) }
    }

    /// For how long after its first attempt a charge is attempted again: the last attempt must have its effect before the
    /// key is forgotten, or it would be charged twice.
    pub fn retry_for(&self) -> Duration {
        self.key_life.saturating_sub(self.lateness)
    }
}
