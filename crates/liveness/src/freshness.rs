//! Decides whether one source still delivers: judged on its data, not on its connection.

use std::time::{Duration, Instant};

use standpipe_protocol::SourceState;

/// The state of one source.
///
/// ```text
///              ┌─────────── nothing for `stale_after` ───────────┐
///              │                                                 ▼
/// connecting ──┴─ data ─▶ live ── nothing for `stale_after` ─▶ stale
///   ▲  │                   │ ▲────────────── data ───────────────┘ │
///   │  └──── lost ───┐     │ lost                                  │ lost
///   └── attempt ─── down ◀─┴───────────────────────────────────────┘
/// ```
/// Quiet is not dead: how long a source may be silent is its own measure, and the clock runs only while it is
/// connected. What counts as data is for the caller to say; heartbeats of the feed do not.
#[derive(Debug)]
pub struct Freshness {
    state: SourceState,
    stale_after: Option<Duration>,
    /// Since when nothing came. None while there is no connection over which it could.
    silent_since: Option<Instant>,
    last_data: Option<Instant>,
}

impl Freshness {
    /// A source whose first attempt is being made. Without `stale_after` it may be silent for ever.
    pub fn new(stale_after: Option<Duration>) -> Self {
        Self { state: SourceState::Connecting, stale_after, silent_since: None, last_data: None }
    }

    /// What it is.
    pub fn state(&self) -> SourceState {
        self.state
    }

    /// Another attempt is made. True if that changes the state.
    pub fn attempt(&mut self) -> bool {
        self.silent_since = None;
        self.enter(SourceState::Connecting)
    }

    /// It is connected: silence counts from `now`.
    pub fn connected(&mut self, now: Instant) {
        self.silent_since = Some(now);
    }

    /// Data came, at `at`. True if that changes the state.
    pub fn data(&mut self, at: Instant) -> bool {
        if self.state == SourceState::Down {
            // What was on its way when the connection was lost does not bring it back.
            return false;
        }
        // Told again of the same data, it is not fresher for it.
        if self.last_data.is_some_and(|known| at <= known) {
            return false;
        }
        self.last_data = Some(at);
        self.silent_since = self.silent_since.max(Some(at));
        self.enter(SourceState::Live)
    }

    /// The connection is lost, or could not be made. True if that changes the state.
    pub fn lost(&mut self) -> bool {
        self.silent_since = None;
        self.enter(SourceState::Down)
    }

    /// It has given all that it has, and stays what it is.
    pub fn finished(&mut self) {
        self.silent_since = None;
    }

    /// When [`Freshness::step`] has something to say, if no data comes.
    pub fn next(&self) -> Option<Instant> {
        let silent = matches!(self.state, SourceState::Connecting | SourceState::Live);
        self.silent_since.zip(self.stale_after).filter(|_| silent).map(|(since, patience)| since + patience)
    }

    /// Looks at the clock. True if the silence has become too long.
    pub fn step(&mut self, now: Instant) -> bool {
        self.next().is_some_and(|at| at <= now) && self.enter(SourceState::Stale)
    }

    fn enter(&mut self, state: SourceState) -> bool {
        let changed = self.state != state;
        self.state = state;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn data_that_is_known_does_not_wake_a_stale_source() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        source.connected(start);
        assert!(source.data(at(start, 1)));
        assert!(source.step(at(start, 31)));
        assert!(!source.data(at(start, 1)) && !source.step(at(start, 31)), "it is told once");
        assert!(source.data(at(start, 40)));
        assert_eq!(source.state(), SourceState::Live);
    }

    #[test]
    fn a_source_is_live_from_its_first_data_and_stale_after_its_own_measure_of_silence() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        assert_eq!((source.state(), source.next()), (SourceState::Connecting, None));
        source.connected(start);
        assert!(source.data(at(start, 5)));
        assert!(!source.data(at(start, 10)));
        assert_eq!((source.state(), source.next()), (SourceState::Live, Some(at(start, 40))));
        assert!(!source.step(at(start, 39)));
        assert!(source.step(at(start, 40)));
        assert_eq!((source.state(), source.next()), (SourceState::Stale, None));
        assert!(source.data(at(start, 100)));
        assert_eq!((source.state(), source.next()), (SourceState::Live, Some(at(start, 130))));
    }

    #[test]
    fn a_connection_that_never_gives_data_is_stale_and_not_connecting_for_ever() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        assert!(!source.step(at(start, 1000)), "while there is no connection, its attempts have their own deadlines");
        source.connected(at(start, 1000));
        assert!(source.step(at(start, 1030)));
        assert_eq!(source.state(), SourceState::Stale);
    }

    #[test]
    fn a_quiet_source_without_a_measure_stays_live() {
        let start = Instant::now();
        let mut source = Freshness::new(None);
        source.connected(start);
        source.data(start);
        assert_eq!(source.next(), None);
        assert!(!source.step(at(start, 1_000_000)));
    }

    #[test]
    fn a_lost_source_is_down_until_the_next_attempt() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        source.connected(start);
        source.data(start);
        assert!(source.lost());
        assert!(!source.lost());
        assert!(!source.data(start), "a frame that was still on its way");
        assert_eq!((source.state(), source.next()), (SourceState::Down, None));
        assert!(source.attempt());
        assert_eq!((source.state(), source.next()), (SourceState::Connecting, None));
    }

    #[test]
    fn a_finished_source_stays_what_it_is() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        source.connected(start);
        source.data(start);
        source.finished();
        assert!(!source.step(at(start, 1_000_000)));
        assert_eq!(source.state(), SourceState::Live);
    }

    #[test]
    fn data_that_is_reported_late_does_not_turn_the_clock_back() {
        let start = Instant::now();
        let mut source = Freshness::new(Some(PATIENCE));
        source.connected(at(start, 10));
        source.data(at(start, 5));
        assert_eq!(source.next(), Some(at(start, 40)));
    }
}
