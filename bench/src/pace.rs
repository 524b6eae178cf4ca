//! When the next event is to be published.
//!
//! Pure: `now` is an argument. How many may be under way at the same time is decided by the number of publishers.

use std::time::{Duration, Instant};

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Publish one, which was due then.
    Publish {
        /// When.
        due: Instant,
    },
    /// Publish none before then.
    Wait(Instant),
    /// All are published.
    Done,
}

/// A plan of publishing.
#[derive(Debug, Clone)]
pub enum Pace {
    /// So many, each at its time. What is late is not given up: it follows at once.
    Steady {
        /// When the first is due.
        begin: Instant,
        /// From one to the next.
        interval: Duration,
        /// How many.
        count: u32,
        /// How many were published.
        published: u32,
    },
    /// As fast as publishers become free, until then.
    Saturated {
        /// The end.
        end: Instant,
    },
}

impl Pace {
    /// So many events a second for so long.
    pub fn steady(begin: Instant, per_second: u32, lasting: Duration) -> Self {
        let count = (lasting.as_secs_f64() * f64::from(per_second)).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of events, clamped")]
        let count = count.clamp(1.0, f64::from(u32::MAX)) as u32;
        Self::Steady { begin, interval: Duration::from_secs(1) / per_second.max(1), count, published: 0 }
    }

    /// What to do at `now`.
    pub fn step(&self, now: Instant) -> Step {
        match self {
            Self::Steady { count, published, .. } if published >= count => Step::Done,
            Self::Steady { begin, interval, published, .. } => {
                let due = *begin + *interval * *published;
                if now < due { Step::Wait(due) } else { Step::Publish { due } }
            }
            Self::Saturated { end } if now >= *end => Step::Done,
            Self::Saturated { .. } => Step::Publish { due: now },
        }
    }

    /// One was published.
    pub fn published(&mut self) {
        if let Self::Steady { published, .. } = self {
            *published += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_waits_for_each_and_makes_up_for_what_is_late() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut pace = Pace::steady(begin, 10, Duration::from_millis(400));
        for (now, step) in [
            (0, Step::Publish { due: at(0) }),
            (0, Step::Wait(at(100))),
            (99, Step::Wait(at(100))),
            (350, Step::Publish { due: at(100) }),
            (350, Step::Publish { due: at(200) }),
            (350, Step::Publish { due: at(300) }),
            (350, Step::Done),
        ] {
            assert_eq!(pace.step(at(now)), step, "after {now} ms");
            if matches!(step, Step::Publish { .. }) {
                pace.published();
            }
        }
    }

    #[test]
    fn a_saturated_pace_publishes_until_its_end() {
        let now = Instant::now();
        let mut pace = Pace::Saturated { end: now + Duration::from_secs(1) };
        for _ in 0..3 {
            assert_eq!(pace.step(now), Step::Publish { due: now });
            pace.published();
        }
        assert_eq!(pace.step(now + Duration::from_secs(1)), Step::Done);
    }
}
