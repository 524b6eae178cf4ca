//! When a client comes back: at once, or after a random time that grows with each failure. Pure: the caller waits.

use std::time::Duration;

use standpipe_protocol::Verdict;

use crate::Retry;

/// The longest that a server's `retry_after` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Counts the failures in a row, and says how long to wait after the next one.
///
/// A failure is a connection that did not come about, or that brought no progress: no event, no snapshot, no heartbeat.
/// So a server that says "now" on every `welcome` is not asked in a tight loop, and one whose proxy cuts sockets every
/// second under traffic is back each time at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    retry: Retry,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(retry: Retry) -> Self {
        Self { retry, failures: 0 }
    }

    /// A connection brought something: the next failure is the first one again.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    /// How long to wait until the next attempt, after a connection ended. `random` is any number, new for each call.
    ///
    /// `retry_after` is the least, up to ten minutes: the server spreads its clients by it. `None` if there is no next attempt.
    pub fn wait(&mut self, verdict: Verdict, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
        let first = self.failures == 0;
        let jitter = match verdict {
            Verdict::Never => return None,
            Verdict::Now | Verdict::Renew if first => Duration::ZERO,
            Verdict::Now | Verdict::Renew | Verdict::Backoff => self.jitter(random),
        };
        self.failures = self.failures.saturating_add(1);
        Some(jitter.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)))
    }

    /// A random part of the longest time after this many failures.
    fn jitter(&self, random: u64) -> Duration {
        let most =
            self.retry.base.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.retry.cap);
        // A part in 2^32 is fine enough; the upper half of the random bits makes it.
        let part = random >> 32;
        let nanos = most.as_nanos().saturating_mul(u128::from(part)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Config;

    const MOST: u64 = u64::MAX;

    fn millis(wait: Option<Duration>) -> u128 {
        wait.unwrap().as_millis()
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let mut backoff = Backoff::new(Config::RECOMMENDED.retry);
        let longest: Vec<u128> = (0..8).map(|_| millis(backoff.wait(Verdict::Backoff, None, MOST))).collect();
        assert_eq!(longest, [499, 999, 1999, 3999, 7999, 15999, 19999, 19999]);
        backoff.progressed();
        assert_eq!(millis(backoff.wait(Verdict::Backoff, None, MOST)), 499);
        assert_eq!(millis(backoff.wait(Verdict::Backoff, None, 0)), 0, "full jitter begins at nothing");
    }

    #[test]
    fn now_is_now_once() {
        let mut backoff = Backoff::new(Config::RECOMMENDED.retry);
        assert_eq!(millis(backoff.wait(Verdict::Now, None, MOST)), 0);
        assert_eq!(millis(backoff.wait(Verdict::Now, None, MOST)), 999);
        assert_eq!(millis(backoff.wait(Verdict::Renew, None, MOST)), 1999);
        backoff.progressed();
        assert_eq!(millis(backoff.wait(Verdict::Renew, None, MOST)), 0);
    }

    #[test]
    fn the_server_may_ask_for_more_patience() {
        let mut backoff = Backoff::new(Config::RECOMMENDED.retry);
        assert_eq!(millis(backoff.wait(Verdict::Now, Some(Duration::from_millis(850)), MOST)), 850);
        assert_eq!(millis(backoff.wait(Verdict::Backoff, Some(Duration::from_secs(60)), MOST)), 60_000);
        assert_eq!(millis(backoff.wait(Verdict::Backoff, Some(Duration::from_millis(1)), MOST)), 1999);
        assert_eq!(millis(backoff.wait(Verdict::Now, Some(Duration::MAX), MOST)), 600_000);
    }

    #[test]
    fn never_is_never() {
        assert_eq!(Backoff::new(Config::RECOMMENDED.retry).wait(Verdict::Never, Some(Duration::ZERO), 0), None);
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_cap(failures in 0_u32..200, random in any::<u64>()) {
            let retry = Config::RECOMMENDED.retry;
            let mut backoff = Backoff { retry, failures };
            prop_assert!(backoff.wait(Verdict::Backoff, None, random).unwrap() < retry.cap);
        }
    }
}
