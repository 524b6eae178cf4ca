//! What the parts of a source tell its supervisor: that it is connected, and that data came.
//!
//! Data comes up to many thousand times a second, on the mapping's thread; the supervisor wants to know at once only
//! when that changes something. So a [`Pulse`] keeps the time of the latest data, and wakes the supervisor for the
//! first after it asked to be woken. Times are arguments: the clock is read by those who report.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Which attempt of a source something belongs to. What comes late from an earlier one does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt(pub u64);

/// The latest news of one source.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Times are kept as µs since this one, plus 1; 0 is none.
    origin: Instant,
    attempt: AtomicU64,
    connected: AtomicU64,
    data: AtomicU64,
    asked: AtomicBool,
    news: Notify,
}

impl Pulse {
    /// No attempt yet. No time before `origin` will be reported.
    pub(crate) fn new(origin: Instant) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            origin,
            attempt: none(),
            connected: none(),
            data: none(),
            asked: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// Begins an attempt: all news so far is old.
    pub(crate) fn begin(&self) -> Attempt {
        let attempt = Attempt(self.attempt.fetch_add(1, SeqCst) + 1);
        self.connected.store(0, SeqCst);
        self.data.store(0, SeqCst);
        self.asked.store(true, SeqCst);
        attempt
    }

    /// The attempt under way.
    pub(crate) fn attempt(&self) -> Attempt {
        Attempt(self.attempt.load(SeqCst))
    }

    /// Tells that `attempt` has led to a connection.
    pub(crate) fn connect(&self, attempt: Attempt, now: Instant) {
        self.tell(&self.connected, attempt, now);
        self.news.notify_one();
    }

    /// Tells that data came over the connection of `attempt`.
    pub(crate) fn beat(&self, attempt: Attempt, now: Instant) {
        self.tell(&self.data, attempt, now);
        if self.asked.load(SeqCst) && self.asked.swap(false, SeqCst) {
            self.news.notify_one();
        }
    }

    fn tell(&self, cell: &AtomicU64, attempt: Attempt, now: Instant) {
        if self.attempt.load(SeqCst) == attempt.0 {
            let micros = now.saturating_duration_since(self.origin).as_micros();
            cell.store(u64::try_from(micros).unwrap_or(u64::MAX - 1) + 1, SeqCst);
        }
    }

    /// Since when there is a connection.
    pub(crate) fn connected(&self) -> Option<Instant> {
        self.time(&self.connected)
    }

    /// When data last came.
    pub(crate) fn data(&self) -> Option<Instant> {
        self.time(&self.data)
    }

    fn time(&self, cell: &AtomicU64) -> Option<Instant> {
        let micros = cell.load(SeqCst).checked_sub(1)?;
        Some(self.origin + Duration::from_micros(micros))
    }

    /// Wakes whoever waits for news: something else than data has happened.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// Asks to be woken by the next data.
    pub(crate) fn ask(&self) {
        self.asked.store(true, SeqCst);
    }

    /// Waits for news. There may be none in the end.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn the_next_data_wakes_once_when_asked() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let attempt = pulse.begin();
        assert!(pulse.news().now_or_never().is_none());
        pulse.beat(attempt, start);
        assert_eq!(pulse.data(), Some(start));
        assert!(pulse.news().now_or_never().is_some());
        let later = start + Duration::from_secs(1);
        pulse.beat(attempt, later);
        assert!(pulse.news().now_or_never().is_none(), "nobody asked");
        assert_eq!(pulse.data(), Some(later));
        pulse.ask();
        pulse.beat(attempt, later);
        assert!(pulse.news().now_or_never().is_some());
    }

    #[test]
    fn news_of_an_earlier_attempt_is_no_news() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let first = pulse.begin();
        let second = pulse.begin();
        pulse.beat(first, start);
        pulse.connect(first, start);
        assert_eq!((pulse.data(), pulse.connected()), (None, None));
        pulse.connect(second, start);
        assert_eq!(pulse.connected(), Some(start));
    }
}
