//! Bounds how often a source's bad frames are logged: one in [`PERIOD`], with the number of those that were not.
//!
//! A feed that changes its shape makes every frame bad; the log has to say so without becoming the problem.

use std::time::{Duration, Instant};

/// At most one log line in this time.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// Decides which of many like log lines is written.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    next: Option<Instant>,
    suppressed: u64,
}

impl Sample {
    /// If a line may be written at `now`: how many were not since the last one.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.suppressed += 1;
            return None;
        }
        self.next = Some(now + PERIOD);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_says_how_many_it_stands_for() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sample = Sample::default();
        assert_eq!(sample.admit(at(0)), Some(0));
        for second in 1..10 {
            assert_eq!(sample.admit(at(second)), None);
        }
        assert_eq!(sample.admit(at(10)), Some(9));
        assert_eq!(sample.admit(at(30)), Some(0));
    }
}
