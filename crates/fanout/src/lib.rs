//! From the log to the outboxes: who gets which event, in which order, and what happens if it does not fit.
//!
//! Events are appended to one [`Log`] and get their place there. Each shard reads the log at its own cursor and feeds
//! those of its clients that keep up ("push"); a client that resumes, or fell behind, reads the log at a cursor of its own
//! ("pull") through the same [`deliver`], until it stands where its shard stands and is fed with the others again.
//!
//! **Invariant:** one owner. A client's subscriptions, cursor and tally belong to one shard, one task; everybody else sends
//! a message to it. So the boundary of a change of subscriptions is exact: it takes place between two events.
//! **Invariant:** this crate never imports upstream. They meet at [`standpipe_protocol::Item`].

mod ages;
mod appender;
mod budget;
mod client;
mod config;
mod convoy;
mod deliver;
mod demand;
mod fanout;
mod interlude;
mod log;
mod mailbox;
mod overflow;
mod pull;
mod report;
mod resume;
mod ring;
mod shard;
mod snapshot;
mod state;

pub use budget::Kept;
pub use config::Config;
pub use demand::Demand;
pub use fanout::{Fanout, Mailbox};
pub use log::{Bounds, Expired, Log, Plan};
pub use mailbox::{Open, Request, ToShard, Which};
pub use report::{Counters, DescribedSubscription, DescribedTopic, Description, Report};
pub use ring::{Listing, ListingOrder, Ring};
pub use state::{KeysReport, State};

#[cfg(test)]
mod tests;
