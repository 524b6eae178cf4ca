//! One client's life: from the handshake to the last byte.
//!
//! This crate decides what is written to a socket and when, what is read from it, when the peer is given up, and how a
//! connection ends. It leaves to the fan-out which events a client gets, and to liveness what a ping and a pong mean.
//!
//! A client is connected by a WebSocket, or it gets an event stream and sends nothing: the difference is how frames are
//! written ([`framing`]), and that of the second nothing is ever proven.
//!
//! A connection has two halves. [`Connection`] is shared: a shard puts frames into its outbox, the registry lists it.
//! [`Life`] is the one task that owns the socket.
//!
//! **Invariant:** one writer per socket. Only [`Life`] writes, and it never splits a frame with another.
//! **Invariant:** nothing here waits for a peer: not to read while it writes, not to write while it reads, and never
//! without a deadline.

pub mod clock;
pub mod closing;
pub mod config;
pub mod connection;
pub mod drain;
mod framing;
pub mod life;
mod measured;
mod outbox;
mod queued;
mod reader;
pub mod registry;
mod signal;
mod turnstile;
mod writer;

pub use closing::Closing;
pub use config::Config;
pub use connection::{Connection, Opening, Proof, Subscribed};
pub use life::{Commands, Ended, Life, Paying, Preparation, Prepared};
pub use measured::{Measured, measured};
pub use outbox::{Offer, TakenBack, Way};
pub use queued::Mark;
pub use registry::Registry;
pub use signal::Signal;
