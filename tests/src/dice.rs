//! Chance that can be repeated: the same seed gives the same throws.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    io::Write,
};

/// `SplitMix64` (Steele, Lea, Flood 2014): the same choices everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// A seed that `STANDPIPE_SEED` gives, or a new one. It is told on standard error, so that a failure can be repeated.
pub fn seed() -> u64 {
    let given = env::var("STANDPIPE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one("a seed"));
    // Nobody is left to be told that it cannot be written.
    let _ = writeln!(std::io::stderr(), "STANDPIPE_SEED={seed}");
    seed
}

impl Dice {
    /// Dice of one owner: `number` tells those of one seed apart.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.next() ^ number.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    /// Any number below `sides`, which is positive.
    pub fn throw(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    /// True once in so many throws.
    pub fn once_in(&mut self, throws: u64) -> bool {
        self.throw(throws) == 0
    }

    /// One of these, which are some.
    pub fn choose<T: Copy>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.throw(of.len() as u64)).unwrap_or_default();
        *of.get(at).expect("something to choose from")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_throws_and_owners_differ() {
        let throws = |number| {
            let mut dice = Dice::new(7, number);
            (0..5).map(|_| dice.throw(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(1), throws(1));
        assert_ne!(throws(1), throws(2));
        assert!(Dice::new(1, 1).once_in(1));
        assert!([3, 4].contains(&Dice::new(1, 1).choose(&[3, 4])));
    }
}
