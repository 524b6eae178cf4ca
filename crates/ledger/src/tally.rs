//! The invariant: `matched = confirmed + conflated + skipped + returned + unconfirmed + in flight`.

use serde::Serialize;

/// How far a connection's frames have come, as its reader and writer report it. No number falls, but `queued` by what is
/// taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Progress {
    /// Events handed to the connection's outbox.
    pub queued: u64,
    /// Of these, fully written to the socket.
    pub written: u64,
    /// Of these, proven to have been received.
    pub confirmed: u64,
}

/// What became of the events of one connection. Owned by its shard, which counts; reader and writer only report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Events evaluated true at this connection's cursor.
    pub matched: u64,
    /// Proven to have been received.
    pub confirmed: u64,
    /// Replaced in the queue by a newer event of their key.
    pub conflated: u64,
    /// Told as a gap.
    pub skipped: u64,
    /// Taken back from the queue, to be read from the log again. There they match again, or are told as a gap.
    pub returned: u64,
    /// Not proven when the connection closed.
    pub unconfirmed: u64,
    /// Queued or written, not yet proven.
    pub in_flight: u64,
}

/// The sums over many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// The events.
    pub tally: Tally,
    /// Events fully written to a socket.
    pub written: u64,
    /// Events for which [`Tally::balance`] did not hold. Always 0, or there is a bug.
    pub difference: u64,
}

impl Tally {
    /// Takes over what reader and writer report of an open connection.
    pub fn report(&mut self, progress: Progress) {
        self.confirmed = progress.confirmed;
        self.in_flight = progress.queued.saturating_sub(progress.confirmed);
    }

    /// The last report: what is not proven now never will be.
    pub fn close(&mut self, progress: Progress) {
        self.report(progress);
        self.unconfirmed = std::mem::take(&mut self.in_flight);
    }

    /// `matched` less everything that became of it: 0, unless something was lost or counted twice.
    ///
    /// The two sides come from different counters: the shard's for `matched`, `conflated`, `skipped` and `returned`, the
    /// connection's own for the rest.
    pub fn balance(&self) -> i128 {
        let not_sent = self.conflated + self.skipped + self.returned;
        let after = not_sent + self.confirmed + self.unconfirmed + self.in_flight;
        i128::from(self.matched) - i128::from(after)
    }
}

impl Totals {
    /// Adds a connection.
    pub fn add(&mut self, tally: &Tally, progress: Progress) {
        let sum = &mut self.tally;
        sum.matched += tally.matched;
        sum.confirmed += tally.confirmed;
        sum.conflated += tally.conflated;
        sum.skipped += tally.skipped;
        sum.returned += tally.returned;
        sum.unconfirmed += tally.unconfirmed;
        sum.in_flight += tally.in_flight;
        self.written += progress.written;
        self.difference += u64::try_from(tally.balance().unsigned_abs()).unwrap_or(u64::MAX);
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Totals) {
        let difference = self.difference + other.difference;
        self.add(&other.tally, Progress { written: other.written, ..Progress::default() });
        self.difference = difference;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_that_vanished_shows_as_a_difference() {
        let mut tally = Tally { matched: 10, skipped: 2, ..Tally::default() };
        let progress = Progress { queued: 7, written: 6, confirmed: 5 };
        tally.close(progress);
        assert_eq!((tally.confirmed, tally.unconfirmed, tally.balance()), (5, 2, 1));
        let mut totals = Totals::default();
        totals.add(&tally, progress);
        assert_eq!(totals.difference, 1);
    }

    proptest! {
        #[test]
        fn what_is_counted_on_both_sides_balances(
            events in prop::collection::vec(0u8..4, 0..100), written in 0u64..100, confirmed in 0u64..100, closes: bool
        ) {
            let (mut tally, mut progress) = (Tally::default(), Progress::default());
            for fate in events {
                tally.matched += 1;
                match fate {
                    0 => tally.skipped += 1,
                    1 => tally.conflated += 1,
                    2 => tally.returned += 1,
                    _ => progress.queued += 1,
                }
            }
            progress.written = written.min(progress.queued);
            progress.confirmed = confirmed.min(progress.written);
            if closes { tally.close(progress) } else { tally.report(progress) }
            prop_assert_eq!(tally.balance(), 0);
            let mut totals = Totals::default();
            totals.add(&tally, progress);
            let mut twice = totals;
            twice.merge(&totals);
            prop_assert_eq!((twice.difference, twice.tally.matched), (0, 2 * tally.matched));
        }
    }
}
