//! Who wants which event: topic patterns, filters on fields, a connection's subscriptions, and the index from an event
//! to its audience.
//!
//! This crate decides what a client may ask for, in a message or in a URL, and whether an event is what was asked for.
//! It leaves to others what follows: where delivery starts, whether a snapshot comes first, who writes to which socket.
//! It is pure: no clock, no I/O, no tasks. Everything here returns the same for the same arguments.
//!
//! What a filter means is one table, in `docs/filters.md`; the tests of this crate read that table and execute it.
//!
//! ```text
//! message ─▶ Selection ─┐                          ┌─ Subscriptions: does this one connection want it?
//!                       ├─▶ Pattern, Filter ───────┤
//! URL ─────▶ Query ─────┘                          └─ Index: who, of all, wants it?
//! ```

mod allowed;
#[cfg(test)]
mod arbitrary;
mod arena;
mod bounds;
mod decimal;
mod fields;
mod filter;
mod grant;
mod index;
mod lease;
mod path;
mod pattern;
mod query;
mod scan;
mod selection;
mod subscription;
mod trie;
mod value;
mod wording;

pub use allowed::AllowedParams;
pub use bounds::Bounds;
pub use filter::Filter;
pub use grant::{Grant, Granted, Wider};
pub use index::{Entry, Index};
pub use lease::{Instance, Lease};
pub use path::{MAX_PATH_BYTES, MAX_PATH_STEPS};
pub use pattern::Pattern;
pub use query::{PARAMETERS, Query};
pub use selection::{Selection, patterns};
pub use subscription::{Options, Params, Subscription, Subscriptions};
