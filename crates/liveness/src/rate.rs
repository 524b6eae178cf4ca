//! How often something may happen: so many times in a time, all of them at once for whoever has waited.

use std::{
    fmt,
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// So many in so long. What was not used is saved up, to as many as come in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// What one party has used of its rate. Costs as much as a point in time, because it is one: that at which all that was
/// taken will have been earned again (the generic cell rate algorithm of ITU-T I.371).
///
/// ```text
///      now            now + per
///  ─────┼────────────────┼──────▶
///       ├── taken ──▶│           one more fits
///       ├── taken ────────▶│     it does not, until the end of `taken` has come nearer
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    earned_at: Option<Instant>,
}

impl Rate {
    /// What one costs, in time.
    fn each(self) -> Duration {
        self.per / self.count.get()
    }
}

impl Bucket {
    /// Takes `n`, if they are there.
    ///
    /// # Errors
    /// How long until they are. More than [`Rate::count`] are never there at once.
    pub fn take(&mut self, n: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        let earned_at = self.after(n, rate, now);
        let wait = earned_at.duration_since(now).saturating_sub(rate.per);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.earned_at = Some(earned_at);
        Ok(())
    }

    /// Takes `n` if one is there: what comes as a whole may be more than there is, and is owed then.
    ///
    /// # Errors
    /// How long until one is there.
    pub fn owe(&mut self, n: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(rate, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.earned_at = Some(self.after(n, rate, now));
        Ok(())
    }

    /// Takes `n`, whether they are there or not: what has happened is owed. Never more than takes [`Rate::per`] to earn again.
    pub fn charge(&mut self, n: u32, rate: Rate, now: Instant) {
        let most = now.checked_add(rate.per.saturating_mul(2)).unwrap_or(now);
        self.earned_at = Some(self.after(n, rate, now).min(most));
    }

    /// Gives back `n` that were taken.
    pub fn give_back(&mut self, n: u32, rate: Rate) {
        self.earned_at = self.earned_at.and_then(|at| at.checked_sub(rate.each().saturating_mul(n)));
    }

    /// Another rate holds from now on: of what was taken by the old one, no more is owed than by this one can be.
    pub fn adopt(&mut self, rate: Rate, now: Instant) {
        let latest = now.checked_add(rate.per);
        self.earned_at = self.earned_at.map(|at| latest.map_or(at, |latest| at.min(latest)));
    }

    /// How long until one is there; nothing if it is.
    pub fn wait(&self, rate: Rate, now: Instant) -> Duration {
        self.after(1, rate, now).duration_since(now).saturating_sub(rate.per)
    }

    /// Whether all that was ever taken has been earned again: nothing is lost if this bucket is forgotten.
    pub fn is_full(&self, now: Instant) -> bool {
        self.earned_at.is_none_or(|at| at <= now)
    }

    fn after(&self, n: u32, rate: Rate, now: Instant) -> Instant {
        let from = self.earned_at.map_or(now, |at| at.max(now));
        // Past what an Instant can say, nobody will be there to see it.
        from.checked_add(rate.each().saturating_mul(n)).unwrap_or(from)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_secs() {
            1 => write!(f, "{}/s", self.count),
            60 => write!(f, "{}/m", self.count),
            3600 => write!(f, "{}/h", self.count),
            _ => write!(f, "{} in {:?}", self.count, self.per),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) }
    }

    #[test]
    fn all_of_it_may_be_used_at_once_and_comes_back_one_by_one() {
        let (rate, begun) = (rate(10, 1), Instant::now());
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            assert_eq!(bucket.take(1, rate, begun), Ok(()));
        }
        assert_eq!(bucket.take(1, rate, begun), Err(Duration::from_millis(100)));
        let later = begun + Duration::from_millis(100);
        assert_eq!(bucket.take(1, rate, later), Ok(()));
        assert_eq!(bucket.take(1, rate, later), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(10, rate, begun + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn another_rate_owes_no_more_than_it_could_have_given() {
        let (slow, fast, begun) = (rate(2, 3600), rate(10, 1), Instant::now());
        let mut bucket = Bucket::default();
        bucket.take(2, slow, begun).unwrap();
        bucket.adopt(fast, begun);
        assert_eq!(bucket.take(1, fast, begun), Err(Duration::from_millis(100)), "a change gives nothing at once");
        assert_eq!(bucket.take(10, fast, begun + Duration::from_secs(1)), Ok(()));
        bucket.adopt(slow, begun + Duration::from_secs(1));
        assert_eq!(bucket.take(1, slow, begun + Duration::from_secs(1)), Ok(()), "nor does it take");
        let mut unused = Bucket::default();
        unused.adopt(fast, begun);
        assert_eq!(unused, Bucket::default());
    }

    #[test]
    fn more_than_there_ever_is_can_be_owed_and_not_taken() {
        let (rate, begun) = (rate(10, 1), Instant::now());
        let mut bucket = Bucket::default();
        assert!(bucket.take(11, rate, begun + Duration::from_secs(1000)).is_err());
        assert_eq!(bucket.owe(100, rate, begun), Ok(()));
        assert_eq!(bucket.owe(1, rate, begun), Err(Duration::from_millis(9100)));
        assert!(!bucket.is_full(begun + Duration::from_millis(9999)));
        assert!(bucket.is_full(begun + Duration::from_secs(10)));
    }

    #[test]
    fn what_has_happened_is_owed_but_not_for_ever_and_can_be_given_back() {
        let (rate, begun) = (rate(10, 1), Instant::now());
        let mut bucket = Bucket::default();
        bucket.charge(10, rate, begun);
        assert_eq!(bucket.wait(rate, begun), Duration::from_millis(100));
        bucket.give_back(3, rate);
        assert_eq!(bucket.wait(rate, begun), Duration::ZERO);
        bucket.charge(1_000_000, rate, begun);
        assert_eq!(bucket.wait(rate, begun), Duration::from_millis(1100));
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_is_more_taken_than_was_saved_and_earned(
            count in 1_u32..50,
            steps in prop::collection::vec((0_u64..400, 1_u32..5), 1..200),
        ) {
            let (rate, begun) = (rate(count, 1), Instant::now());
            let mut bucket = Bucket::default();
            let mut at = Duration::ZERO;
            let mut taken: Vec<(Duration, u32)> = Vec::new();
            for (pause, n) in steps {
                at += Duration::from_millis(pause);
                match bucket.take(n, rate, begun + at) {
                    Ok(()) => taken.push((at, n)),
                    Err(wait) => prop_assert!(n > count || bucket.clone().take(n, rate, begun + at + wait).is_ok()),
                }
            }
            for (i, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (to, n) in taken.iter().skip(i) {
                    sum += n;
                    let earned = to.saturating_sub(*from).as_secs_f64() * f64::from(count);
                    prop_assert!(f64::from(sum) <= f64::from(count) + earned + 0.01, "{sum} from {from:?} to {to:?}");
                }
            }
        }
    }
}
