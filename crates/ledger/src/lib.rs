//! What became of every event that was meant for somebody.
//!
//! Each connection has one [`Tally`], owned by its shard; closed ones are added up in [`Totals`]. The rule that holds them
//! together is [`Tally::balance`]: every event that matched is in the end confirmed, conflated, skipped or unconfirmed.

pub mod tally;

pub use tally::{Progress, Tally, Totals};
