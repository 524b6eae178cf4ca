//! Tells when a server has been silent for too long. Pure: time comes as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The longest heartbeat interval that is believed.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// How long an application that was away gets to read what waits for it.
const GRACE: Duration = Duration::from_secs(1);

/// Watches one connection for frames of any kind.
///
/// ```text
/// heard ──two intervals and `slack`──▶ due ──application was away: GRACE, once──▶ over
///   ▲                                   │
///   └──────────── any frame ────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Silence {
    patience: Duration,
    due: Instant,
    extended: bool,
}

impl Silence {
    /// From now on, for a server that announced a heartbeat every `interval`.
    pub(crate) fn new(interval: Duration, slack: Duration, now: Instant) -> Self {
        let patience = interval.min(MAX_INTERVAL) * 2 + slack;
        Self { patience, due: now + patience, extended: false }
    }

    /// A frame came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.due = now + self.patience;
        self.extended = false;
    }

    /// Until when to wait for the next frame, for an application that begins to wait now.
    ///
    /// One that was busy for longer than the server may be silent has not looked: what waits in the socket may not
    /// have been noticed yet. It gets one grace, so that beginning to wait again and again does not put the end off.
    pub(crate) fn until(&mut self, now: Instant) -> Instant {
        if now >= self.due && !self.extended {
            self.extended = true;
            self.due = now + GRACE;
        }
        self.due
    }

    /// How long the server may be silent.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn silence() -> (Silence, Instant) {
        let now = Instant::now();
        (Silence::new(15 * SECOND, 5 * SECOND, now), now)
    }

    #[test]
    fn two_intervals_and_the_slack_may_be_silent() {
        let (mut silence, start) = silence();
        assert_eq!(silence.until(start) - start, 35 * SECOND);
        silence.heard(start + 10 * SECOND);
        assert_eq!(silence.until(start + 30 * SECOND) - start, 45 * SECOND);
    }

    #[test]
    fn an_application_that_was_away_gets_one_grace() {
        let (mut silence, start) = silence();
        let back = start + 100 * SECOND;
        assert_eq!(silence.until(back), back + GRACE);
        assert_eq!(silence.until(back + 5 * SECOND), back + GRACE, "no second one");
        silence.heard(back + 5 * SECOND);
        assert_eq!(silence.until(back + 50 * SECOND), back + 50 * SECOND + GRACE, "but a new one after a frame");
    }

    #[test]
    fn absurd_intervals_are_bounded() {
        let silence = Silence::new(Duration::MAX, SECOND, Instant::now());
        assert_eq!(silence.patience(), 2 * MAX_INTERVAL + SECOND);
    }
}
