//! How long the door waits after it could not accept, and how often it says so.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Waits that double with each failure in a row, and one line in [`BETWEEN_LINES`] about all of them.
#[derive(Debug, Default)]
pub(super) struct Pause {
    in_a_row: u32,
    told_at: Option<Instant>,
    /// There was a line since something was last accepted.
    is_told: bool,
    untold: u64,
}

/// What is done after a success that follows failures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Whether to say so: a line has told of failures since something was last accepted.
    pub(super) tell: bool,
}

/// What is done about one failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// How long nothing is accepted.
    pub(super) length: Duration,
    /// If it is time for a line: how many failures it stands for.
    pub(super) tell: Option<u64>,
}

impl Pause {
    /// Something was accepted. Nothing is to be done unless it failed before.
    pub(super) fn end(&mut self) -> Option<End> {
        let failures = std::mem::take(&mut self.in_a_row);
        (failures > 0).then(|| End { tell: std::mem::take(&mut self.is_told) })
    }

    /// It failed again.
    pub(super) fn next(&mut self, now: Instant) -> Wait {
        let length = FIRST.saturating_mul(1 << self.in_a_row.min(16)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.untold += 1;
        let is_time = self.told_at.is_none_or(|at| now.duration_since(at) >= BETWEEN_LINES);
        let tell = is_time.then(|| {
            self.told_at = Some(now);
            self.is_told = true;
            std::mem::take(&mut self.untold)
        });
        Wait { length, tell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_start_over_after_success() {
        let now = Instant::now();
        let mut pause = Pause::default();
        let lengths: Vec<u128> = (0..9).map(|_| pause.next(now).length.as_millis()).collect();
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        pause.end();
        assert_eq!(pause.next(now).length, FIRST);
    }

    #[test]
    fn one_line_stands_for_all_failures_since_the_last() {
        let begun = Instant::now();
        let mut pause = Pause::default();
        let tell = |pause: &mut Pause, at: u64| pause.next(begun + Duration::from_secs(at)).tell;
        assert_eq!(tell(&mut pause, 0), Some(1));
        for at in 1..10 {
            assert_eq!(tell(&mut pause, at), None);
        }
        assert_eq!(pause.end(), Some(End { tell: true }), "that it works again is told");
        assert_eq!(pause.end(), None, "once");
        assert_eq!(tell(&mut pause, 9), None);
        assert_eq!(pause.end(), Some(End { tell: false }), "failures without a line end without one, but they end");
        assert_eq!(tell(&mut pause, 10), Some(11), "success in between does not bring a line for each failure");
    }
}
