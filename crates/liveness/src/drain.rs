//! Decides when each client is told goodbye while the server drains, so that they do not all come back at once.

use std::time::Duration;

/// When the clients of a draining server are told, and when each should return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPlan {
    /// The goodbyes are spread over this time.
    pub window: Duration,
    /// After this time the process ends, whoever is left.
    pub deadline: Duration,
}

impl DrainPlan {
    /// How long after the start of the drain the client `index` of `total` is told.
    pub fn goodbye_at(&self, index: usize, total: usize) -> Duration {
        let share = u32::try_from(index).unwrap_or(u32::MAX);
        let total = u32::try_from(total.max(1)).unwrap_or(u32::MAX);
        // Few clients need no spreading: at most 100 in a second would be told anyway.
        let window = self.window.min(Duration::from_millis(10) * total);
        window.mul_f64(f64::from(share) / f64::from(total))
    }

    /// How long a client is asked to wait before it returns; `random` spreads them over a second.
    pub fn retry_after(random: u64) -> Duration {
        Duration::from_millis(100 + random % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: DrainPlan = DrainPlan { window: Duration::from_secs(8), deadline: Duration::from_secs(14) };

    #[test]
    fn many_goodbyes_are_spread_evenly_over_the_window() {
        assert_eq!(PLAN.goodbye_at(0, 2000), Duration::ZERO);
        assert_eq!(PLAN.goodbye_at(1000, 2000), Duration::from_secs(4));
        assert!(PLAN.goodbye_at(1999, 2000) < PLAN.window);
    }

    #[test]
    fn a_handful_is_told_at_once() {
        assert!(PLAN.goodbye_at(4, 5) < Duration::from_millis(50));
        assert_eq!(PLAN.goodbye_at(0, 0), Duration::ZERO);
    }
}
