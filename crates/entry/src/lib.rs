//! The way in: HTTP, the WebSocket handshake, and the begin of an event stream.
//!
//! This crate decides who is let in, what a path leads to, and how a request that cannot be followed is answered. It
//! leaves to others what happens on a socket ([`Service::serve`]) and what the routes show: [`Service`] is the seam, and
//! the server implements it.
//!
//! ```text
//! Listener ─accept─▶ connection (one task) ─request─▶ exchange ─▶ routes ─▶ Service
//!                        │                                └ 101 ─▶ slot
//!                        └──────────── Upgrade ──────────────────────────▶ Service::serve
//! ```
//! **Invariant:** every wait for a peer has a deadline, and everything a peer sends has a bound.
//! **Invariant:** of a request's headers and query nothing is logged, and nothing but names is repeated in an answer.
//! **Invariant:** a peer's mistake is never a 500.

pub mod address;
mod admission;
mod answer;
pub mod auth;
mod authority;
mod body;
pub mod config;
mod connection;
mod console;
#[cfg(test)]
mod contract;
pub mod counts;
pub mod credential;
mod exchange;
pub mod guests;
mod head;
mod idempotency;
mod listener;
pub mod operations;
pub mod origin;
mod patience;
mod rejection;
mod routes;
pub mod service;
mod stream;
mod upgrade;

pub use address::{ForwardedBy, Network, Proxies};
pub use admission::Pass;
pub use auth::Auth;
pub use config::{Config, Deadlines, Limits};
pub use connection::{MAX_EARLY_BYTES, MAX_HEAD_BYTES};
pub use counts::Counts;
pub use credential::AuthorizationHeader;
pub use guests::{Guests, Place, no_such_plan};
pub use listener::{Error, Listener};
pub use operations::Operations;
pub use origin::{Origin, Origins};
pub use rejection::Fault;
pub use routes::ROUTES;
pub use service::{Published, Readiness, Service};
pub use upgrade::{Admitted, Upgrade};
