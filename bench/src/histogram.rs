//! Latencies, counted in buckets of a constant relative width.

use std::time::Duration;

/// Buckets between a power of two and the next: what is read is at most 1/32 too large.
const STEPS: u32 = 32;

/// How often which latency was seen. What takes longer than nine minutes counts as nine minutes.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        // Up to 2^39 ns, which are nine minutes.
        let buckets = bucket((1 << 39) - 1) + 1;
        Self { counts: vec![0; buckets], total: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let last = self.counts.len() - 1;
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds).min(last)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latency that so many in a thousand did not exceed; zero if none was counted.
    pub fn per_mille(&self, share: u64) -> Duration {
        let wanted = (self.total * share).div_ceil(1000);
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= wanted && *count > 0 {
                return Duration::from_nanos(highest(bucket));
            }
        }
        Duration::ZERO
    }
}

/// Values below [`STEPS`] have a bucket each; from there on, each power of two has [`STEPS`] of them.
fn bucket(nanoseconds: u64) -> usize {
    let shift = nanoseconds.checked_ilog2().unwrap_or(0).saturating_sub(STEPS.ilog2());
    let within = usize::try_from(nanoseconds >> shift).unwrap_or(usize::MAX);
    shift as usize * STEPS as usize + within
}

/// The highest value that falls into a bucket.
fn highest(bucket: usize) -> u64 {
    let steps = STEPS as usize;
    let shift = (bucket / steps).saturating_sub(1);
    let within = (bucket - shift * steps) as u64;
    ((within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_the_bucket_that_ends_at_or_little_above_it() {
        for value in (0..2_000).chain((11..39).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 777])) {
            let top = highest(bucket(value));
            assert!(top >= value && top - value <= value / 32, "{value} is counted as {top}");
            assert_eq!(bucket(top), bucket(value));
            assert_eq!(bucket(top + 1), bucket(value) + 1, "there is no hole behind {value}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.per_mille(500), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        assert_eq!(histogram.total(), 1000);
        for (share, microseconds) in [(500, 500.0), (990, 990.0), (1000, 1000.0)] {
            let found = histogram.per_mille(share).as_secs_f64() * 1e6;
            assert!(found >= microseconds && found <= microseconds * 1.04, "{share}: {found}");
        }
    }

    #[test]
    fn what_takes_too_long_is_counted_all_the_same() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(3600));
        assert_eq!(histogram.total(), 1);
        assert!(histogram.per_mille(500) > Duration::from_secs(540));
    }
}
