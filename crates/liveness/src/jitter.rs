//! Spreads what many would otherwise do at the same time.

use std::time::Duration;

/// `base` ± 10 %, by `random`: the same random number gives the same result.
pub fn tenth(base: Duration, random: u64) -> Duration {
    /// Steps of a hundredth of a per cent.
    const STEPS: u64 = 2001;
    let step = u32::try_from(random % STEPS).unwrap_or(0);
    base.mul_f64(0.9 + f64::from(step) / 10_000.0)
}

/// Between half of `base` and all of it, by `random`.
pub fn half(base: Duration, random: u64) -> Duration {
    // 16 random bits are fine enough for waits of seconds.
    let share = u32::try_from(random & 0xFFFF).unwrap_or(0);
    base / 2 + (base / 2).saturating_mul(share) / 0xFFFF
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_half_is_the_least_that_stays(millis in 0u64..100_000, random: u64) {
            let base = Duration::from_millis(millis);
            prop_assert!((base / 2..=base).contains(&half(base, random)));
        }

        #[test]
        fn a_tenth_is_the_most_that_it_moves(seconds in 1u64..100_000, random: u64) {
            let spread = tenth(Duration::from_secs(seconds), random);
            prop_assert!(spread >= Duration::from_secs(seconds).mul_f64(0.8999));
            prop_assert!(spread <= Duration::from_secs(seconds).mul_f64(1.1001));
        }
    }
}
