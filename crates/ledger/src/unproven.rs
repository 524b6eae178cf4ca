//! Where in the log the data frames stand that a client has not proven to have.

use std::collections::VecDeque;

/// The place of one data frame, and whether a client that names it as its cursor proves to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

/// Beyond what a `seq` can be.
const BESIDE: u64 = 1 << 63;

impl Place {
    /// An event of the main line: whoever resumes behind it has all that was sent up to it.
    pub fn event(seq: u64) -> Self {
        Self(seq)
    }

    /// An event inside a bracket: it moves no cursor, so none proves it.
    pub fn beside(seq: u64) -> Self {
        Self(seq | BESIDE)
    }

    /// No event of the log: part of a snapshot.
    pub fn nowhere() -> Self {
        Self(BESIDE)
    }

    /// The event's place in the log, if it is one.
    pub fn seq(self) -> Option<u64> {
        Some(self.0 & !BESIDE).filter(|seq| *seq > 0)
    }

    /// Whether a client whose cursor is `cursor` has it, and all that was sent before it.
    pub fn is_proven_by(self, cursor: u64) -> bool {
        self.0 <= cursor
    }
}

/// The data frames of a connection that are not proven, in the order in which they were taken to be written. As many as
/// may be unproven, and as the writer has in hand.
#[derive(Debug, Default)]
pub struct Unproven {
    places: VecDeque<Place>,
    /// How many were proven before them.
    proven: u64,
}

impl Unproven {
    /// One more is taken.
    pub fn took(&mut self, place: Place) {
        self.places.push_back(place);
    }

    /// Those behind the `frames`th were not written and never will be.
    pub fn untake(&mut self, frames: u64) {
        self.places.truncate(usize::try_from(frames.saturating_sub(self.proven)).unwrap_or(usize::MAX));
    }

    /// How many data frames, counted from the first of the connection, a client has whose cursor is `cursor`.
    pub fn up_to(&self, cursor: u64) -> u64 {
        let last = self.places.iter().rposition(|place| place.is_proven_by(cursor));
        self.proven + last.map_or(0, |last| last as u64 + 1)
    }

    /// All up to the `frames`th are proven. Returns the places of those that were not before.
    pub fn prove(&mut self, frames: u64) -> impl Iterator<Item = Place> + '_ {
        let newly = usize::try_from(frames.saturating_sub(self.proven)).unwrap_or(usize::MAX).min(self.places.len());
        self.proven += newly as u64;
        self.places.drain(..newly)
    }

    /// What was never proven.
    pub fn take(&mut self) -> VecDeque<Place> {
        std::mem::take(&mut self.places)
    }

    /// A quiet connection holds no memory.
    pub fn give_back(&mut self) {
        if self.places.is_empty() {
            self.places = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_proves_what_was_sent_up_to_its_event_and_nothing_behind_it() {
        let mut unproven = Unproven::default();
        let places = [Place::nowhere(), Place::event(5), Place::beside(2), Place::event(8), Place::beside(6)];
        for place in places {
            unproven.took(place);
        }
        let frames = [0, 4, 5, 7, 8, 100].map(|cursor| unproven.up_to(cursor));
        assert_eq!(frames, [0, 0, 2, 2, 4, 4], "a snapshot and a bracket are proven by an event behind them alone");
        let proven: Vec<_> = unproven.prove(2).map(Place::seq).collect();
        assert_eq!((proven, unproven.up_to(5), unproven.up_to(8)), (vec![None, Some(5)], 2, 4));
        unproven.untake(4);
        assert_eq!(unproven.prove(9).map(Place::seq).collect::<Vec<_>>(), [Some(2), Some(8)]);
        assert_eq!((unproven.prove(9).count(), unproven.up_to(9)), (0, 4));
    }
}
