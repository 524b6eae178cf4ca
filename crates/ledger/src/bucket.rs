//! How often something may be done: so many a second, and so many at once.

use std::time::{Duration, Instant};

/// A bucket that fills by one token every `every` up to `burst`, and is full at first.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    every: Duration,
    burst: u32,
    /// When it would be full, if none is taken.
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(every: Duration, burst: u32, now: Instant) -> Self {
        Self { every, burst, full_at: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now) + self.every;
        let latest = now + self.every * self.burst;
        if full_at > latest {
            return Err(now + (full_at - latest));
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_rate_and_the_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Duration::from_millis(25), 10, start);
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(1) {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(at) => now = at,
            }
        }
        assert_eq!(taken, 10 + 39);
        assert_eq!(bucket.take(now), Ok(()));
        let later = now + Duration::from_secs(60);
        assert_eq!(
            (0..20).filter(|_| bucket.take(later).is_ok()).count(),
            10,
            "waiting saves up no more than the burst"
        );
    }
}
