//! The nouns that two layers share, and the wire (version 1).
//!
//! This crate decides what an [`Event`], a [`Topic`], a [`Cursor`], a command and a message *are* and how they look as
//! bytes. It leaves to others when they are made and what follows from them: no tasks, no I/O, no clock, no configuration.
//!
//! [`codec`] is the only place that knows JSON frames, [`close`] holds the one table of close reasons that the wire, the
//! logs, the metrics and the documentation share.

pub mod close;
pub mod codec;
pub mod command;
pub mod cursor;
pub mod event;
pub mod frame;
pub mod id;
pub mod identity;
pub mod json;
pub mod message;
pub mod refusal;
#[cfg(feature = "schema")]
mod schema;
pub mod source;
pub mod spread;
pub mod topic;

pub use close::{CloseReason, Verdict};
pub use command::{Command, Publish, Subscribe, Unsubscribe};
pub use cursor::{After, Cursor, CursorError, Epoch};
pub use event::{Class, Event, EventView, Item, Pinned, Record};
pub use id::{ConnectionId, ResumeToken};
pub use identity::Identity;
pub use json::{Json, JsonError, MAX_NESTING};
pub use message::{Gap, GapReason, GapState, Goodbye, Limits, Message, Welcome};
pub use refusal::{ErrorCode, Refusal};
pub use source::{SourceNews, SourceState, SourceTurn};
pub use spread::{SharedSpread, Spread};
pub use topic::{Topic, TopicError};

/// The version of the wire, as told in `welcome`.
pub const PROTOCOL: u32 = 1;

/// The WebSocket subprotocol that names this wire. A client that offers it gets it echoed.
pub const SUBPROTOCOL: &str = "standpipe.v1";

/// The greatest sequence number: every `seq` is a whole number that JavaScript holds exactly (2^53 − 1).
pub const MAX_SEQ: u64 = (1 << 53) - 1;

/// What proof of receipt a connection owes: a pong, or an `ack` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// A pong that answers a ping written behind the events proves that the peer's WebSocket stack read them.
    Pong,
    /// Only an `ack` command of the application counts.
    Ack,
}

/// How events travel to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Both ways, and every receipt is proven (RFC 6455).
    WebSocket,
    /// One way: server-sent events. Nothing comes back, so nothing is ever proven.
    Sse,
}

/// What happens to a connection whose client does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It is closed with `SLOW_CONSUMER` and the cursor from which to resume.
    Disconnect,
    /// It is fed from the log at its own pace, and closed only by its own silence; what the log loses is told as a gap.
    CatchUp,
    /// What it missed is told as a gap, and it goes on at the head.
    Skip,
}

/// What is done when `after` points below the floor of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// A `gap` is told and delivery starts at the floor.
    #[default]
    Continue,
    /// The request is refused with `HISTORY_EXPIRED`.
    Fail,
}
