//! One frame that waits, and what its writing means.

use std::sync::Arc;

use bytes::Bytes;
use standpipe_ledger::Place;
use standpipe_protocol::{Class, Message, Record};
use tokio::time::Instant;

/// What has come about once a frame is fully written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing that is counted.
    Control,
    /// The client can resume behind this `seq`.
    Position(u64),
    /// The same, if there is such a place now, and that is all that the frame says: it means nothing once what is before it
    /// is taken back.
    Heartbeat(Option<u64>),
    /// An event was delivered, and the client can resume behind its `seq`.
    Event(u64),
    /// An event was delivered inside a replay bracket, where the place to resume from stands still.
    Replayed,
    /// The connection's own ping is on its way.
    Ping,
    /// The connection's own answer to a ping of the client.
    Pong,
    /// The connection's own last words.
    Farewell,
    /// Bytes of the connection's own that are no frame.
    Plain,
}

impl Mark {
    /// Whether the frame counts as delivered data.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Event(_) | Self::Replayed)
    }

    /// The place behind which the client can resume, if it says one.
    pub(crate) fn position(self) -> Option<u64> {
        match self {
            Self::Position(seq) | Self::Event(seq) => Some(seq),
            Self::Heartbeat(seq) => seq,
            Self::Control | Self::Replayed | Self::Ping | Self::Pong | Self::Farewell | Self::Plain => None,
        }
    }

    /// Whether the frame has waited in the outbox, rather than being made by the connection itself.
    pub(crate) fn was_queued(self) -> bool {
        !matches!(self, Self::Ping | Self::Pong | Self::Farewell | Self::Plain)
    }
}

/// Whether a message separates what was queued before it from what is queued behind it, so that no event behind it may
/// take the place of one before it.
///
/// A heartbeat does not: what it says of its place, that all up to there is written, holds as well if newer events stand
/// for some of it.
pub(crate) fn is_boundary(message: &Message<'_>) -> bool {
    match message {
        Message::Welcome(_)
        | Message::Subscribed { .. }
        | Message::Refreshed { .. }
        | Message::Unsubscribed { .. }
        | Message::Replay { .. }
        | Message::Replayed { .. }
        | Message::SnapshotEnd { .. }
        | Message::Gap(_)
        | Message::Source { .. }
        | Message::SourceGap { .. }
        | Message::Goodbye(_) => true,
        Message::Heartbeat { .. } | Message::Published { .. } | Message::Pong { .. } | Message::Error(_) => false,
    }
}

/// The bytes of a frame, complete with its header. As small as can be: there is one for each event of each client that
/// waits.
#[derive(Debug)]
pub(crate) enum Body {
    /// An event of the log, whose frame all share who get it.
    Record(Arc<Record>),
    /// A frame of this connection alone.
    Own(Box<[u8]>),
}

impl Body {
    pub(crate) fn frame(&self) -> &[u8] {
        match self {
            Self::Record(record) => record.frame(),
            Self::Own(frame) => frame,
        }
    }
}

/// How much waits for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    /// The frames that are queued or being written.
    pub(crate) frame_bytes: usize,
    /// What is there for this client alone, in bytes: the frames that are not shared, and the entries of the queues.
    pub(crate) own_bytes: usize,
}

impl Held {
    pub(crate) fn add(&mut self, more: Self) {
        self.frame_bytes += more.frame_bytes;
        self.own_bytes += more.own_bytes;
    }

    pub(crate) fn remove(&mut self, less: Self) {
        self.frame_bytes = self.frame_bytes.saturating_sub(less.frame_bytes);
        self.own_bytes = self.own_bytes.saturating_sub(less.own_bytes);
    }
}

/// A frame in the outbox, or in the writer's hand.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) body: Body,
    pub(crate) mark: Mark,
    /// Since when its place in the queue waits.
    pub(crate) at: Instant,
}

impl Queued {
    pub(crate) fn own(frame: Bytes, mark: Mark, at: Instant) -> Self {
        // Nobody else holds it: the bytes stay where they are, unless their buffer is larger than they are.
        Self { body: Body::Own(Vec::from(frame).into_boxed_slice()), mark, at }
    }

    pub(crate) fn frame(&self) -> &[u8] {
        self.body.frame()
    }

    pub(crate) fn len(&self) -> usize {
        self.frame().len()
    }

    /// What it holds while it waits.
    pub(crate) fn held(&self) -> Held {
        let own = match &self.body {
            Body::Record(_) => 0,
            Body::Own(frame) => frame.len(),
        };
        Held { frame_bytes: self.len(), own_bytes: own + size_of::<Self>() }
    }

    /// Whether it can be read from the log again, or means nothing without what can.
    pub(crate) fn is_of_the_log(&self) -> bool {
        matches!((&self.body, self.mark), (Body::Record(_), Mark::Event(_)) | (_, Mark::Heartbeat(_)))
    }

    /// Where the data frame stands in the log, to whom a cursor proves what it has.
    pub(crate) fn place(&self) -> Place {
        match (&self.body, self.mark) {
            (Body::Record(record), Mark::Event(_)) => Place::event(record.seq),
            (Body::Record(record), _) => Place::beside(record.seq),
            (Body::Own(_), _) => Place::nowhere(),
        }
    }

    /// What the event that waits here is charged as; nothing for what was made for this client alone.
    pub(crate) fn class(&self) -> Option<Class> {
        match &self.body {
            Body::Record(record) => record.class,
            Body::Own(_) => None,
        }
    }

    /// The place in the log of the event that waits here, or of one before it that it stands for.
    pub(crate) fn seq(&self) -> Option<u64> {
        match (&self.body, self.mark) {
            (Body::Record(_), Mark::Event(seq)) => Some(seq),
            (Body::Record(record), _) => Some(record.seq),
            (Body::Own(_), _) => None,
        }
    }
}
