//! Two clocks. The wall clock is for what people read: somebody may set it at any time, so nothing is decided by it. What is
//! decided is by a clock that only goes forward; where eight bytes have to do for a moment of it, it is here.

use std::{
    num::NonZeroU64,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// Milliseconds since 1970-01-01 UTC.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A moment of the clock that only goes forward, to the millisecond.
#[derive(Debug, Clone, Copy)]
pub struct Tick(NonZeroU64);

impl Tick {
    /// That moment. What is before the first one that was asked for counts as that one.
    pub(crate) fn of(moment: Instant) -> Self {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        let since = moment.saturating_duration_since(*FIRST);
        Self(NonZeroU64::MIN.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long before `now` it was.
    pub fn age(self, now: Instant) -> Duration {
        Duration::from_millis(Self::of(now).0.get().saturating_sub(self.0.get()))
    }

    /// As a number that is not 0.
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    /// The moment of a number that was made of one; of 0, none.
    pub(crate) fn of_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }
}
