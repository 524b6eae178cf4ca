//! Decides how long to wait before a connection is tried again.

use std::time::Duration;

/// The ceiling of the wait after the first failure.
pub const FIRST_CEILING: Duration = Duration::from_secs(1);

/// The ceiling of the wait after many failures.
pub const LAST_CEILING: Duration = Duration::from_secs(32);

/// The wait when the other side says "not now" without saying for how long: at least this, at most twice as long.
pub const UNTOLD_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that the other side can impose.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The waits between attempts that fail.
///
/// Full jitter: each wait is a random time between nothing and a ceiling that doubles from [`FIRST_CEILING`] to
/// [`LAST_CEILING`], so that those who lost the same server do not all return to it at once. A connection alone does
/// not reset it: a server that accepts and then drops everyone would be hammered. Good data does.
///
/// A server that answers 429 or 503 is alive and says that it is asked too often: it gets the pause that it names
/// ([`Backoff::refused`]), not the one that its faults would get.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// No failures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many attempts have failed since good data last came.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Good data came.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after an attempt, or a connection, that failed.
    pub fn failed(&mut self, random: u64) -> Duration {
        let ceiling = FIRST_CEILING.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        share(ceiling.min(LAST_CEILING), random)
    }

    /// How long to wait after the other side refused for now (HTTP 429, 503), with the pause that it asked for.
    ///
    /// At least that pause and at most a tenth more, so that those who were told the same do not return at once.
    pub fn refused(&mut self, retry_after: Option<Duration>, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        match retry_after {
            Some(pause) => {
                let pause = pause.min(LONGEST_PAUSE);
                pause + share((pause / 10).max(FIRST_CEILING), random)
            }
            None => UNTOLD_PAUSE + share(UNTOLD_PAUSE, random),
        }
    }
}

/// A random share of `whole`, between nothing and all of it.
fn share(whole: Duration, random: u64) -> Duration {
    // 16 random bits are fine enough for waits of seconds.
    let numerator = u32::try_from(random & 0xFFFF).unwrap_or(0);
    whole.saturating_mul(numerator) / 0xFFFF
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_from_one_second_to_thirty_two() {
        let mut backoff = Backoff::new();
        let ceilings: Vec<u64> = (0..8).map(|_| backoff.failed(u64::MAX).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn only_good_data_starts_it_anew() {
        let mut backoff = Backoff::new();
        for _ in 0..100 {
            backoff.failed(u64::MAX);
        }
        assert_eq!(backoff.failed(u64::MAX), LAST_CEILING);
        assert_eq!(backoff.failures(), 101);
        backoff.reset();
        assert_eq!(backoff.failed(u64::MAX), FIRST_CEILING);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_and_not_much_exceeded() {
        let mut backoff = Backoff::new();
        let asked = Duration::from_secs(60);
        assert_eq!(backoff.refused(Some(asked), 0), asked);
        assert_eq!(backoff.refused(Some(asked), u64::MAX), asked + Duration::from_secs(6));
        assert_eq!(backoff.refused(Some(Duration::MAX), 0), LONGEST_PAUSE);
        assert_eq!(backoff.refused(None, 0), UNTOLD_PAUSE);
        assert_eq!(backoff.refused(None, u64::MAX), UNTOLD_PAUSE * 2);
    }

    proptest! {
        #[test]
        fn no_wait_is_above_its_ceiling(failures in 0_u32..200, random: u64) {
            let mut backoff = Backoff { failures };
            let ceiling = Duration::from_secs(1 << failures.min(5));
            prop_assert!(backoff.failed(random) <= ceiling);
        }
    }
}
