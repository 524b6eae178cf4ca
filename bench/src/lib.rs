//! The benchmarks of the whole server: what a delivery costs, beside other servers that do the same work.
//!
//! `cargo xtask bench` builds everything and runs the program `bench`, which measures one server after the other on one
//! core, with its clients on the other. How, and what came of it, is in `docs/performance.md`.
//!
//! - What all servers are asked to do: [`dialect`], [`scenario`].
//! - The load: [`load`], with [`frame`], [`http`], [`socket`], [`pace`], [`tally`], [`histogram`]; and [`flood`], which means no good.
//! - The servers: [`server`] starts them on their [`cores`], with a [`quota`] if wanted, and watches them, [`floor`] is one of them.
//! - What comes out: [`sample`], [`report`].

pub mod cores;
pub mod dialect;
pub mod flood;
pub mod floor;
pub mod frame;
pub mod histogram;
pub mod http;
pub mod load;
pub mod pace;
pub mod quota;
pub mod report;
pub mod sample;
pub mod scenario;
pub mod server;
pub mod socket;
pub mod tally;

use std::{net::SocketAddr, time::Duration};

/// All servers ping their clients this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);

/// The line by which a server tells its address.
pub fn announce(address: SocketAddr) -> String {
    format!("listening on http://{address}\n")
}
