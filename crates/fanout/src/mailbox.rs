//! What a shard is sent.

use std::sync::Arc;

use standpipe_connections::{Connection, Ended};
use standpipe_protocol::{After, ConnectionId, OnGap, Refusal, SourceNews, Topic};
use standpipe_selection::{Grant, Lease, Params, Pattern, Selection};
use tokio::sync::oneshot;

use crate::report::{Description, Report};

/// What a shard is sent. Its mailbox is bounded; whoever sends waits.
pub enum ToShard {
    /// A connection has opened.
    Open(Box<Open>),
    /// A client's command.
    Command {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        request: Request,
    },
    /// A connection has ended; its tally is closed.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// How.
        ended: Ended,
    },
    /// There is something to tell of a source.
    Source(SourceNews),
    /// Asks for descriptions.
    Describe(Which, oneshot::Sender<Vec<Description>>),
    /// Asks how many subscriptions have a pattern that selects each of these, in their order.
    Selecting(Arc<[Topic]>, oneshot::Sender<Vec<usize>>),
    /// Asks for the sums.
    Report(oneshot::Sender<Report>),
}

/// Which connections are described.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// This one.
    One(ConnectionId),
    /// Those behind this one in the order of their names, so many at most.
    Behind(Option<ConnectionId>, usize),
    /// Those for whom most waits, and who are furthest behind, so many at most.
    Waiting(usize),
}

/// A connection that has opened, and what its URL asked for.
pub struct Open {
    /// The connection.
    pub connection: Arc<Connection>,
    /// What its client may see.
    pub grant: Arc<Grant>,
    /// What the URL selects.
    pub selection: Option<Selection>,
    /// Where delivery begins.
    pub after: Option<After>,
    /// What is done if that is no longer held.
    pub on_gap: OnGap,
    /// A share in the instance that the selection needs, until it has its own.
    pub lease: Option<Lease>,
}

/// A command that changes what a client gets, or may get; or the answer to one that does not.
pub enum Request {
    /// What became of what the client published. It comes this way so that answers are told in the order of the commands.
    Published {
        /// The command's id.
        id: Option<String>,
        /// The event's place in the log, none if it had come before; or why it is not there.
        outcome: Result<Option<u64>, Refusal>,
    },
    /// Adds subscriptions, or replaces those of the same (pattern, params).
    Subscribe {
        /// Repeated in the answer.
        id: Option<String>,
        /// What is selected.
        selection: Selection,
        /// Where delivery begins.
        after: Option<After>,
    },
    /// Removes subscriptions.
    Unsubscribe {
        /// Repeated in the answer.
        id: Option<String>,
        /// Which.
        patterns: Vec<Pattern>,
        /// With which params.
        params: Params,
    },
    /// The connection lives by another credential from here on.
    Refresh {
        /// Repeated in the answer.
        id: Option<String>,
        /// What its client may see now.
        grant: Arc<Grant>,
    },
}
