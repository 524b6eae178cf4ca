//! The harness of the end-to-end tests: the real binary, what it talks to, and the faults between.
//!
//! This crate decides how the server is started, stopped and asked, what an upstream looks like ([`fake_upstream`], which
//! replays recorded feeds), who its clients are ([`socket`], [`load`] and [`peer`] in Rust, [`foreign`] ones in Python and Node,
//! pages in a [`browser`]), and what goes wrong on the way ([`proxy`]). What has to be true is told in `tests/it/`, one file a theme.
//!
//! What the harness cannot do fails the test that asked for it: its functions panic with what was attempted.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a harness: its failure is the test's failure")]

pub mod browser;
pub mod dice;
pub mod event_stream;
pub mod fake_upstream;
pub mod feeds;
pub mod follower;
pub mod foreign;
pub mod http;
pub mod instances;
pub mod issuer;
pub mod load;
pub mod metrics;
pub mod nginx;
pub mod pace;
pub mod paths;
pub mod peer;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod secrets;
pub mod server;
pub mod site;
pub mod skip;
pub mod socket;
pub mod usage;
pub mod wait;
pub mod wall_clock;
pub mod wild;

pub use browser::Browser;
pub use dice::Dice;
pub use event_stream::EventStream;
pub use fake_upstream::FakeUpstream;
pub use follower::{Follower, Ours};
pub use pace::{Pace, Peak};
pub use peer::Peer;
pub use proxy::Proxy;
pub use server::Server;
pub use site::{Page, Site};
pub use socket::Socket;
pub use usage::Usage;
pub use wait::{PATIENCE, eventually, within};
pub use wall_clock::WallClock;
pub use wild::Wild;
