//! What an application is told, in the order in which it happened.

use std::time::Duration;

use standpipe_protocol::{After, Cursor};

use crate::{
    Error, Event, Gap, Refusal, Source, Welcome,
    message::{Boundary, Published, Refreshed, Replay, SnapshotEnd},
};

/// One piece of news.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// A connection is open.
    Connected(Connected),
    /// The connection ended, and there will be another one.
    Disconnected {
        /// Why.
        why: Error,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// An event, which the application did not have before.
    Event(Event),
    /// Events that the application would have got will not come. If it asked for snapshots, one follows.
    Gap(Gap),
    /// The latest event of a key. Events that came earlier may be newer: the greater `seq` of a key is right.
    Snapshot(Event),
    /// The snapshot was shown to its end. One that was cut is shown anew on the next connection.
    SnapshotEnd(SnapshotEnd),
    /// A source changed its state.
    Source(Source),
    /// A subscription took effect.
    Subscribed(Boundary),
    /// A subscription ended.
    Unsubscribed(Boundary),
    /// The connection goes on with a new credential.
    Refreshed(Refreshed),
    /// There is no new credential yet. It is tried again; the old one counts until it ends.
    Unrenewed {
        /// Why.
        why: Error,
    },
    /// Until [`Replayed`](Self::Replayed), older events of one subscription come.
    Replay(Replay),
    /// Events are new again.
    Replayed {
        /// The command's id.
        id: Option<String>,
    },
    /// A command was refused. A refused subscription is not said again on the next connection.
    Refused(Refusal),
    /// The answer to a [`publish`](crate::Client::publish): the event is in the log.
    Published(Published),
    /// The answer to a `ping`.
    Pong {
        /// The command's id.
        id: Option<String>,
    },
    /// The server is there, and all that matches up to this place was told.
    Heartbeat(Cursor),
}

/// See [`Update::Connected`].
#[derive(Debug, Clone)]
pub struct Connected {
    /// What the server said first.
    pub welcome: Welcome,
    /// From where delivery goes on; `None` at the head.
    pub after: Option<After>,
    /// How many connections there were before.
    pub before: u64,
}
