//! Who is there, what they have proven to have received, and when to give up: as decisions without I/O.
//!
//! Everything here takes `now` (and randomness) as an argument and returns what to do. No clock, no sockets, no tasks:
//! so every rule is tested with explicit times, and cannot differ between tests and production.

pub mod backoff;
pub mod drain;
pub mod freshness;
pub mod heartbeat;
pub mod jitter;
pub mod rate;
pub mod receipt;

pub use backoff::Backoff;
pub use drain::DrainPlan;
pub use freshness::Freshness;
pub use heartbeat::{Heartbeat, Step, Timing};
pub use rate::{Bucket, Rate};
pub use receipt::{Begun, Ordinal, Receipts, Unproven};
