//! What was published and what has come of it: deliveries, losses, latencies.

use std::time::{Duration, Instant};

use crate::{dialect::FIRST_NUMBER, histogram::Histogram};

/// The events of one stretch of time. Others are not counted.
#[derive(Debug)]
pub struct Tally {
    first: u32,
    published: Vec<Published>,
    expected: u64,
    delivered: u64,
    surplus: u64,
    earlier: u64,
    bytes: u64,
    latency: Histogram,
}

/// One event, and how many clients have yet to get it.
#[derive(Debug)]
struct Published {
    at: Instant,
    owed: u32,
}

/// The sums.
#[derive(Debug, Clone)]
pub struct Deliveries {
    /// Events that were published.
    pub events: u64,
    /// Deliveries that they should have become.
    pub expected: u64,
    /// Deliveries that came.
    pub delivered: u64,
    /// Deliveries that nobody was waiting for.
    pub surplus: u64,
    /// Bytes that came with them, heartbeats and pings included.
    pub bytes: u64,
    /// From publishing to receiving.
    pub latency: Histogram,
}

impl Tally {
    /// One that counts the events from the number `first` on.
    pub fn new(first: u32) -> Self {
        Self {
            first,
            published: Vec::new(),
            expected: 0,
            delivered: 0,
            surplus: 0,
            earlier: 0,
            bytes: 0,
            latency: Histogram::default(),
        }
    }

    /// The number of the next event.
    pub fn next(&self) -> u32 {
        self.first + u32::try_from(self.published.len()).unwrap_or(u32::MAX - FIRST_NUMBER)
    }

    /// The next event was published to so many clients.
    pub fn published(&mut self, at: Instant, audience: u32) {
        self.published.push(Published { at, owed: audience });
        self.expected += u64::from(audience);
    }

    /// An event has come to a client.
    pub fn delivered(&mut self, number: u32, now: Instant) {
        let Some(place) = number.checked_sub(self.first) else {
            self.earlier += 1;
            return;
        };
        match self.published.get_mut(place as usize) {
            Some(published @ Published { owed: 1.., .. }) => {
                published.owed -= 1;
                self.delivered += 1;
                self.latency.record(now.saturating_duration_since(published.at));
            }
            _ => self.surplus += 1,
        }
    }

    /// How many deliveries of events from before have come.
    pub fn earlier(&self) -> u64 {
        self.earlier
    }

    /// So many bytes have come.
    pub fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether every delivery has come.
    pub fn is_complete(&self) -> bool {
        self.delivered == self.expected
    }

    /// How many deliveries have come so far.
    pub fn so_far(&self) -> u64 {
        self.delivered
    }

    /// The sums.
    pub fn sums(self) -> Deliveries {
        Deliveries {
            events: self.published.len() as u64,
            expected: self.expected,
            delivered: self.delivered,
            surplus: self.surplus,
            bytes: self.bytes,
            latency: self.latency,
        }
    }
}

impl Deliveries {
    /// Whether each event came to each of its clients once.
    pub fn is_exact(&self) -> bool {
        self.delivered == self.expected && self.surplus == 0
    }

    /// Bytes for one delivery.
    pub fn bytes_each(&self) -> f64 {
        self.each(self.bytes)
    }

    /// Time for one delivery, in microseconds.
    pub fn microseconds_each(&self, time: Duration) -> f64 {
        self.each(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)) / 1000.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio of two measured sums, far below 2^53")]
    fn each(&self, of: u64) -> f64 {
        of as f64 / self.delivered.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_owed_to_its_audience_and_to_nobody_else() {
        let at = Instant::now();
        let mut tally = Tally::new(10);
        for audience in [2, 1] {
            tally.published(at, audience);
        }
        assert_eq!(tally.next(), 12);
        for (number, complete) in [(10, false), (11, false), (9, false), (10, true), (11, true), (12, true)] {
            tally.delivered(number, at + Duration::from_millis(1));
            assert_eq!(tally.is_complete(), complete, "{number}");
        }
        assert_eq!(tally.earlier(), 1);
        let sums = tally.sums();
        assert_eq!((sums.events, sums.expected, sums.delivered, sums.surplus), (2, 3, 3, 2));
        assert!(!sums.is_exact());
        assert_eq!(sums.latency.total(), 3);
    }
}
