//! How numbers are spread: how many there were of each magnitude.
//!
//! What is measured often must cost next to nothing: one addition at a place that the number's own bits tell. Who shows it
//! decides which magnitudes are worth a line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Magnitudes that are told apart. Of microseconds the last one is half a week and more, of bytes half a terabyte.
const MAGNITUDES: usize = 40;

/// Counts of whole numbers. The magnitude `k` holds those above `2^(k-1)`, up to `2^k`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    counts: [u64; MAGNITUDES],
    sum: u64,
}

/// The same, counted where others look at any time.
#[derive(Debug)]
pub struct SharedSpread {
    counts: [AtomicU64; MAGNITUDES],
    sum: AtomicU64,
}

fn magnitude(number: u64) -> usize {
    let bits = u64::BITS - number.saturating_sub(1).leading_zeros();
    (bits as usize).min(MAGNITUDES - 1)
}

impl Default for Spread {
    fn default() -> Self {
        Self { counts: [0; MAGNITUDES], sum: 0 }
    }
}

impl Spread {
    /// Counts `number`.
    pub fn count(&mut self, number: u64) {
        if let Some(count) = self.counts.get_mut(magnitude(number)) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(number);
    }

    /// Adds what `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many numbers there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many of them were at most 2 to the power of `exponent`.
    pub fn at_most(&self, exponent: usize) -> u64 {
        self.counts.iter().take(exponent + 1).sum()
    }
}

impl Default for SharedSpread {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl SharedSpread {
    /// Counts `number`, whoever else does.
    pub fn count(&self, number: u64) {
        if let Some(count) = self.counts.get(magnitude(number)) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(number, Relaxed);
    }

    /// Counts `number` where nobody else does: that takes no turn on a cache line.
    pub fn count_alone(&self, number: u64) {
        if let Some(count) = self.counts.get(magnitude(number)) {
            count.store(count.load(Relaxed) + 1, Relaxed);
        }
        self.sum.store(self.sum.load(Relaxed).saturating_add(number), Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Spread {
        Spread {
            counts: std::array::from_fn(|k| self.counts.get(k).map_or(0, |n| n.load(Relaxed))),
            sum: self.sum.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_counted_at_its_bound_and_beyond() {
        for (number, exponent) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 20, 20), ((1 << 20) + 1, 21)] {
            let mut spread = Spread::default();
            spread.count(number);
            assert_eq!(spread.at_most(exponent), 1, "{number}");
            assert_eq!(exponent.checked_sub(1).map_or(0, |less| spread.at_most(less)), 0, "{number}");
        }
    }

    #[test]
    fn what_is_beyond_all_magnitudes_is_in_the_total() {
        let (mut spread, shared) = (Spread::default(), SharedSpread::default());
        for number in [7, u64::MAX] {
            spread.count(number);
        }
        shared.count(7);
        shared.count_alone(9);
        assert_eq!((spread.total(), spread.at_most(MAGNITUDES - 2), spread.sum()), (2, 1, u64::MAX));
        spread.merge(&shared.read());
        assert_eq!((spread.total(), spread.at_most(3), spread.at_most(4)), (4, 2, 3));
        assert_eq!(shared.read().sum(), 16);
    }
}
