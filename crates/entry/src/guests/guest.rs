//! One address, or one credential: what it has open, what it has used of its rates, how often it was refused.

use std::time::{Duration, Instant};

use standpipe_liveness::{Bucket, Rate, jitter};

/// Refusals in a row that are answered at once: people try, and programs restart.
const FREE_REFUSALS: u32 = 8;
/// What the next one waits, at most; each further one twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// After so long without a refusal, those before are forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// See the module. Whoever was never seen is the default.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// Open sockets.
    pub(super) open: usize,
    /// Connections that speak HTTP.
    pub(super) http: usize,
    connects: Bucket,
    publishes: Bucket,
    unproven: Bucket,
    refusals: u32,
    refused_at: Option<Instant>,
}

impl Guest {
    /// Whether something of it is here, so that it has to be counted exactly.
    pub(super) fn is_here(&self) -> bool {
        self.open > 0 || self.http > 0
    }

    /// One more socket, if it has fewer than `max`.
    pub(super) fn sit_down(&mut self, max: usize) -> bool {
        let may = self.open < max;
        self.open += usize::from(may);
        may
    }

    /// One more attempt to connect.
    ///
    /// # Errors
    /// When the next one may be made.
    pub(super) fn connect(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.connects.take(1, rate, now)
    }

    /// So many inputs at once: as many as come together are taken together, and waited for afterwards.
    ///
    /// # Errors
    /// When the next ones may come.
    pub(super) fn publish(&mut self, inputs: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.publishes.owe(inputs, rate, now)
    }

    /// So many events were sent to it that it has not proven to have.
    pub(super) fn leave_unproven(&mut self, events: u32, rate: Rate, now: Instant) {
        self.unproven.charge(events, rate, now);
    }

    /// So many of them it has proven later.
    pub(super) fn prove_late(&mut self, events: u32, rate: Rate) {
        self.unproven.give_back(events, rate);
    }

    /// How long it gets nothing more, because it has left too much unproven.
    pub(super) fn owes_proof(&self, rate: Rate, now: Instant) -> Duration {
        self.unproven.wait(rate, now)
    }

    /// One more refusal: how long its answer is held back, at most `longest`.
    pub(super) fn refuse(&mut self, longest: Duration, now: Instant, random: u64) -> Duration {
        if self.refused_at.is_none_or(|at| now.duration_since(at) >= FORGIVEN_AFTER) {
            self.refusals = 0;
        }
        self.refused_at = Some(now);
        self.refusals = self.refusals.saturating_add(1);
        let Some(beyond) = self.refusals.checked_sub(FREE_REFUSALS + 1) else { return Duration::ZERO };
        let whole = FIRST_DELAY.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(longest);
        jitter::half(whole, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_a_row_are_answered_later_and_later_until_they_are_forgiven() {
        let (begun, longest) = (Instant::now(), Duration::from_secs(2));
        let mut guest = Guest::default();
        let mut refuse = |after: u64, random| guest.refuse(longest, begun + Duration::from_secs(after), random);
        for _ in 0..FREE_REFUSALS {
            assert_eq!(refuse(0, u64::MAX), Duration::ZERO);
        }
        let waits: Vec<_> = (0..6).map(|_| refuse(1, u64::MAX).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 2000, 2000]);
        assert_eq!(refuse(2, 0), Duration::from_secs(1), "spread over the second half");
        assert_eq!(refuse(61, u64::MAX), longest, "59 s later it is not forgotten");
        assert_eq!(refuse(121, u64::MAX), Duration::ZERO);
        for _ in 0..100 {
            refuse(122, u64::MAX);
        }
        assert_eq!(refuse(122, u64::MAX), longest);
    }
}
