//! Decides when one peer is pinged, and when it is given up.
//!
//! Which ping proves what is [`crate::receipt`]'s; this file sees only how long the oldest one has gone unanswered.

use std::time::{Duration, Instant};

/// The two times of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From one ping to the next, whatever else is sent or received.
    pub interval: Duration,
    /// How long a ping that was fully written may go unanswered.
    pub patience: Duration,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time.
    Wait(Instant),
    /// Write a ping.
    Ping,
    /// The peer has not answered in time.
    Expire,
}

/// Tells whether one peer still proves that it is there.
///
/// ```text
///            every `interval`, or asked         no receipt for `patience`
/// quiet ────────────────────────────▶ awaiting ───────────────────────▶ Step::Expire
///   ▲──── receipt of the last ping ───────┘     since the oldest unanswered ping was fully written
/// ```
/// Nothing but a receipt ends the waiting: a peer that chatters but never answers is given up (RFC 6455 §5.5.2 obliges
/// it to answer).
#[derive(Debug)]
pub struct Heartbeat {
    timing: Timing,
    ping_at: Instant,
}

impl Heartbeat {
    /// The first ping is due one interval from `now`.
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, ping_at: now + timing.interval }
    }

    /// When [`Heartbeat::step`] has something to say, if nothing changes.
    pub fn next(&self, unanswered_since: Option<Instant>) -> Instant {
        unanswered_since.map_or(self.ping_at, |written| self.ping_at.min(written + self.timing.patience))
    }

    /// What to do at `now`, when the oldest unanswered ping was fully written at `unanswered_since`.
    ///
    /// Invariant: `Ping` is answered by writing one, so that the next call can wait for the next interval.
    pub fn step(&mut self, now: Instant, unanswered_since: Option<Instant>) -> Step {
        let expire_at = unanswered_since.map(|written| written + self.timing.patience);
        if expire_at.is_some_and(|at| at <= now) {
            return Step::Expire;
        }
        if self.ping_at <= now {
            // A late step (a suspended machine) makes one ping, not as many as were missed.
            self.ping_at = now + self.timing.interval;
            return Step::Ping;
        }
        Step::Wait(self.next(unanswered_since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { interval: Duration::from_secs(25), patience: Duration::from_secs(20) };

    #[test]
    fn a_ping_is_due_every_interval() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(TIMING, start);
        assert_eq!(heartbeat.step(at(0), None), Step::Wait(at(25)));
        assert_eq!(heartbeat.step(at(25), None), Step::Ping);
        assert_eq!(heartbeat.step(at(26), None), Step::Wait(at(50)));
        assert_eq!(heartbeat.step(at(500), None), Step::Ping);
        assert_eq!(heartbeat.step(at(500), None), Step::Wait(at(525)));
    }

    #[test]
    fn silent_peer_is_given_up_after_its_patience() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(TIMING, start);
        assert_eq!(heartbeat.step(at(25), None), Step::Ping);
        assert_eq!(heartbeat.step(at(26), Some(at(26))), Step::Wait(at(46)));
        assert_eq!(heartbeat.step(at(45), Some(at(26))), Step::Wait(at(46)));
        assert_eq!(heartbeat.step(at(46), Some(at(26))), Step::Expire);
    }

    #[test]
    fn a_ping_that_could_not_be_written_expires_nobody() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(TIMING, start);
        let later = start + Duration::from_secs(25);
        assert_eq!(heartbeat.step(later, None), Step::Ping);
        assert!(matches!(heartbeat.step(later + TIMING.patience, None), Step::Wait(_)));
    }

    #[test]
    fn pings_go_on_while_one_is_unanswered() {
        let patient = Timing { patience: Duration::from_secs(60), ..TIMING };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(patient, start);
        assert_eq!(heartbeat.step(at(25), None), Step::Ping);
        assert_eq!(heartbeat.step(at(50), Some(at(25))), Step::Ping);
        assert_eq!(heartbeat.step(at(84), Some(at(25))), Step::Ping);
        assert_eq!(heartbeat.step(at(85), Some(at(25))), Step::Expire);
    }
}
