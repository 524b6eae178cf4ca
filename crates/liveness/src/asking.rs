//! Decides when one peer is asked for a receipt, where receipts are worth more than to know that it lives.
//!
//! A ping that is written behind data, in the same write, costs little; one by itself costs a wake-up and a write. So there is a
//! time from which on one goes along with what is written anyway, and a later one at which it goes by itself.

use std::time::{Duration, Instant};

use crate::jitter;

/// See the file's description.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    interval: Duration,
    along_after: Duration,
    asked: Instant,
}

impl Asking {
    /// Asks every `interval` at least, and after half of it at the earliest. Which part of the second half, `number` says: peers of
    /// different numbers, to which the same was written first, are not all asked at the same time from then on.
    pub fn new(interval: Duration, number: u64, now: Instant) -> Self {
        // Numbers that follow each other become any.
        let random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        Self { interval, along_after: jitter::half(interval, random), asked: now }
    }

    /// Whether it is asked along with what is written at `now`.
    pub fn along(&self, now: Instant) -> bool {
        self.asked + self.along_after <= now
    }

    /// When it is asked whether anything is written or not.
    pub fn at(&self) -> Instant {
        self.asked + self.interval
    }

    /// It was asked.
    pub fn asked(&mut self, now: Instant) {
        self.asked = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    /// After how many ms the peer of this number is asked along with data.
    fn along_after(number: u64) -> usize {
        let begin = Instant::now();
        let asking = Asking::new(INTERVAL, number, begin);
        assert_eq!(asking.at(), begin + INTERVAL);
        (0..=2000).position(|ms| asking.along(begin + Duration::from_millis(ms))).unwrap()
    }

    #[test]
    fn peers_that_were_asked_at_the_same_time_are_asked_again_all_over_the_second_half() {
        let mut tenths = [0; 10];
        for number in 7000..8000 {
            let after = along_after(number);
            assert!((1000..=2000).contains(&after), "{after}");
            tenths[(after - 1000).min(999) / 100] += 1;
        }
        assert!(tenths.iter().all(|peers| (80..=120).contains(peers)), "{tenths:?}");
    }

    #[test]
    fn each_time_counts_from_the_last() {
        let begin = Instant::now();
        let mut asking = Asking::new(INTERVAL, 1, begin);
        asking.asked(begin + INTERVAL);
        assert!(!asking.along(begin + INTERVAL + Duration::from_millis(999)));
        assert_eq!(asking.at(), begin + 2 * INTERVAL);
    }
}
