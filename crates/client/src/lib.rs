//! A client for Standpipe that stays connected: it reconnects by the server's verdict, resumes where it was, removes
//! repeats, and says what was missed.
//!
//! ```no_run
//! # async fn follow() -> Result<(), standpipe_client::Error> {
//! use standpipe_client::{Client, Config, Request, Selection, Update};
//!
//! let mut request = Request::new("ws://127.0.0.1:8080".parse()?);
//! request.selection = Selection::topics(["trades.>"]);
//! let mut client = Client::new(request, Config::RECOMMENDED)?;
//! while let Some(update) = client.next().await {
//!     match update? {
//!         Update::Event(event) => println!("{} {}", event.topic, event.data()),
//!         Update::Gap(gap) => println!("missed {:?} events", gap.matched),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! From the socket up, each file using only those before it:
//! - [`address`], [`request`] – what is asked for, as a URL; [`command`], [`message`] – the JSON of both directions;
//! - [`error`] – why a connection is not there, and what the client does about it; [`retry`] – when;
//! - [`dial`] – TCP and TLS; `handshake` – the HTTP upgrade; [`session`] – one connection; [`connect`] – the three in a row;
//! - [`resume`] – the cursor rule, pure; `wanted` and `seen` belong to it;
//! - [`renew`] – new credentials, before the old ones end;
//! - [`client`] – the loop over connections, with [`Update`]s for the application.
//!
//! No task is spawned and no queue is kept between the socket and the application: the client reads when
//! [`Client::next`] is awaited, so an application that is slow is slow for the server too, which sees it and follows
//! the connection's overflow policy.

pub mod address;
pub mod client;
pub mod command;
pub mod config;
pub mod connect;
pub mod dial;
pub mod error;
mod handshake;
pub mod message;
pub mod renew;
pub mod request;
pub mod resume;
pub mod retry;
mod seen;
pub mod session;
mod silence;
pub mod update;
mod wanted;

pub use address::{Address, AddressError};
pub use client::Client;
pub use config::{Config, Reconnect, Retry, Timing};
pub use dial::{Connector, Dial};
pub use error::{Closed, Error, Refused};
pub use message::{Event, Gap, Goodbye, Incoming, Refusal, Source, Welcome};
pub use renew::{Renew, RenewError};
pub use request::{Condition, Request, Selection};
pub use session::Session;
pub use update::Update;
