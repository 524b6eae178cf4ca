//! Things with small numbers for names: a slab whose keys take four bytes.

use slab::Slab;

/// Holds things and gives each a number, which is given again once its thing is removed.
#[derive(Debug)]
pub(crate) struct Arena<T>(Slab<T>);

/// Up to so many, room is doubled.
const MAX_DOUBLED: usize = 4_096;

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self(Slab::new())
    }

    #[expect(clippy::cast_possible_truncation, reason = "four billion things do not fit into memory")]
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        // By an eighth, where doubling would hold half of much memory in reserve. Large blocks grow without a copy.
        if self.0.len() == self.0.capacity() && self.0.len() > MAX_DOUBLED {
            self.0.reserve_exact(self.0.len() / 8);
        }
        self.0.insert(thing) as u32
    }

    /// The number that the next thing gets.
    #[expect(clippy::cast_possible_truncation, reason = "four billion things do not fit into memory")]
    pub(crate) fn next(&self) -> u32 {
        self.0.vacant_key() as u32
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.0.get(number as usize)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut(number as usize)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        self.0.try_remove(number as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
