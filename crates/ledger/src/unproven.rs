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
///
/// Every connection that is written to has some thousands of them, so they are packed: each as its distance from the one
/// before, which takes a byte or two.
#[derive(Debug, Default)]
pub struct Unproven {
    /// None while there are none: a quiet connection holds no memory.
    packed: Option<Box<Packed>>,
    /// How many were proven before them.
    proven: u64,
}

#[derive(Debug, Default)]
struct Packed {
    /// The distances, each in groups of 7 bits, the lowest first; all bytes of one but the last have the highest bit set.
    bytes: VecDeque<u8>,
    count: usize,
    /// The place before the first, and the last one.
    before: u64,
    last: u64,
}

impl Place {
    /// A number that is near those of the places around it: the mark of what is beside is its lowest bit.
    fn number(self) -> u64 {
        self.0.rotate_left(1)
    }

    fn of_number(number: u64) -> Self {
        Self(number.rotate_right(1))
    }
}

impl Packed {
    fn push(&mut self, place: Place) {
        let number = place.number();
        let distance = number.wrapping_sub(self.last).cast_signed();
        // Small whether it goes forwards or back.
        let mut rest = ((distance << 1) ^ (distance >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.bytes.push_back(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.bytes.push_back(rest.to_le_bytes()[0]);
        self.last = number;
        self.count += 1;
    }

    /// Takes the first one off.
    fn pop(&mut self) -> Option<Place> {
        let (number, bytes) = next(&self.bytes, self.before)?;
        self.bytes.drain(..bytes);
        self.before = number;
        self.count -= 1;
        Some(Place::of_number(number))
    }

    /// Each in order, with how many bytes it and all before it take.
    fn iter(&self) -> impl Iterator<Item = (Place, usize)> {
        let (mut before, mut at) = (self.before, 0);
        std::iter::from_fn(move || {
            let (number, bytes) = next(self.bytes.range(at..), before)?;
            (before, at) = (number, at + bytes);
            Some((Place::of_number(number), at))
        })
    }
}

/// Reads one distance: the number that is so far from `before`, and how many bytes that took.
fn next<'a>(bytes: impl IntoIterator<Item = &'a u8>, before: u64) -> Option<(u64, usize)> {
    let mut rest = 0_u64;
    for (place, byte) in (0_u32..).zip(bytes) {
        rest |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte & 0x80 == 0 {
            let distance = (rest >> 1) ^ (rest & 1).wrapping_neg();
            return Some((before.wrapping_add(distance), place as usize + 1));
        }
    }
    None
}

impl Unproven {
    /// One more is taken.
    pub fn took(&mut self, place: Place) {
        self.packed.get_or_insert_default().push(place);
    }

    /// Those behind the `frames`th were not written and never will be.
    pub fn untake(&mut self, frames: u64) {
        let Some(packed) = &mut self.packed else { return };
        let keep = usize::try_from(frames.saturating_sub(self.proven)).unwrap_or(usize::MAX);
        if keep >= packed.count {
            return;
        }
        let last = keep.checked_sub(1).and_then(|place| packed.iter().nth(place));
        let (number, bytes) = last.map_or((packed.before, 0), |(place, bytes)| (place.number(), bytes));
        packed.bytes.truncate(bytes);
        (packed.count, packed.last) = (keep, number);
    }

    /// How many data frames, counted from the first of the connection, a client has whose cursor is `cursor`.
    pub fn up_to(&self, cursor: u64) -> u64 {
        let places = self.packed.iter().flat_map(|packed| packed.iter());
        let proven = (1..).zip(places).filter(|(_, (place, _))| place.is_proven_by(cursor));
        self.proven + proven.last().map_or(0, |(count, _)| count)
    }

    /// All up to the `frames`th are proven, whether or not the places of those that were not before are looked at.
    pub fn prove(&mut self, frames: u64) -> impl Iterator<Item = Place> + '_ {
        let left = frames.saturating_sub(self.proven);
        Proving { unproven: self, left }
    }

    /// What was never proven.
    pub fn take(&mut self) -> Vec<Place> {
        self.packed.take().iter().flat_map(|packed| packed.iter()).map(|(place, _)| place).collect()
    }

    /// A quiet connection holds no memory.
    pub fn give_back(&mut self) {
        if self.packed.as_ref().is_some_and(|packed| packed.count == 0) {
            self.packed = None;
        }
    }

    fn prove_next(&mut self) -> Option<Place> {
        let place = self.packed.as_mut()?.pop()?;
        self.proven += 1;
        Some(place)
    }
}

/// Takes off what is proven, to the end even if nobody looks.
struct Proving<'a> {
    unproven: &'a mut Unproven,
    left: u64,
}

impl Iterator for Proving<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        self.left = self.left.checked_sub(1)?;
        self.unproven.prove_next()
    }
}

impl Drop for Proving<'_> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> impl Strategy<Value = Place> {
        let seq = prop_oneof![0..300_u64, 0..1_u64 << 53];
        prop_oneof![seq.clone().prop_map(Place::event), seq.prop_map(Place::beside), Just(Place::nowhere()),]
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_was_taken(
            steps in prop::collection::vec((prop::collection::vec(place(), 0..40), 0..50_u64, 0..4_u8), 0..12),
        ) {
            let (mut unproven, mut model, mut proven) = (Unproven::default(), Vec::new(), 0_u64);
            for (places, frames, what) in steps {
                for place in places {
                    unproven.took(place);
                    model.push(place);
                }
                match what {
                    0 => {
                        unproven.untake(proven + frames);
                        model.truncate(usize::try_from(frames).unwrap());
                    }
                    1 => {
                        let newly = model.len().min(usize::try_from(frames).unwrap());
                        let wanted: Vec<_> = model.drain(..newly).collect();
                        prop_assert_eq!(unproven.prove(proven + frames).collect::<Vec<_>>(), wanted);
                        proven += newly as u64;
                    }
                    2 => {
                        let newly = model.len().min(usize::try_from(frames).unwrap());
                        drop(unproven.prove(proven + frames));
                        model.drain(..newly);
                        proven += newly as u64;
                    }
                    _ => unproven.give_back(),
                }
                let last = model.iter().rposition(|place| place.is_proven_by(frames * 7));
                prop_assert_eq!(unproven.up_to(frames * 7), proven + last.map_or(0, |last| last as u64 + 1));
            }
            prop_assert_eq!(unproven.take(), model);
        }
    }

    #[test]
    fn one_behind_the_other_takes_a_byte_each() {
        let mut unproven = Unproven::default();
        (1..=1000).for_each(|seq| unproven.took(Place::event(seq)));
        assert_eq!(unproven.packed.as_ref().map(|packed| packed.bytes.len()), Some(1000));
    }

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
