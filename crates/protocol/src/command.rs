//! What a client may ask for on an open connection. [`crate::codec::decode`] makes these from frames.

use std::collections::BTreeMap;

use crate::{After, Json};

/// One command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "op", rename_all = "snake_case"))]
pub enum Command {
    /// Answered by `pong` with the same id.
    Ping {
        /// Repeated in the answer.
        id: Option<String>,
    },
    /// Adds subscriptions, or replaces those of the same (pattern, params).
    Subscribe(Subscribe),
    /// Removes subscriptions.
    Unsubscribe(Unsubscribe),
    /// The application has received everything up to and including the frame with this ordinal.
    Ack {
        /// How many data frames of this connection were received so far.
        delivered: u64,
    },
    /// A new credential for this connection.
    Refresh {
        /// Repeated in the answer.
        id: Option<String>,
        /// The credential. Never logged.
        access_token: Secret,
    },
    /// An event from the client, answered by `published`.
    Publish(Publish),
}

/// See [`Command::Subscribe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Subscribe {
    /// Repeated in the answer.
    pub id: Option<String>,
    /// Topic patterns, as the client wrote them.
    pub topics: Vec<String>,
    /// A JSON filter, as the client wrote it.
    #[cfg_attr(feature = "schema", schemars(extend("type" = "object")))]
    pub filter: Option<Json>,
    /// Values for the parameters that a source declares.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub params: BTreeMap<String, String>,
    /// Where delivery begins; without it, at the head.
    pub after: Option<After>,
    /// Whether the latest event of each matching key comes first.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub snapshot: bool,
    /// Whether a queued event is replaced by the newer one of its key.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub conflate: bool,
}

/// See [`Command::Unsubscribe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Unsubscribe {
    /// Repeated in the answer.
    pub id: Option<String>,
    /// The patterns as they were subscribed.
    pub topics: Vec<String>,
    /// The params as they were subscribed.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub params: BTreeMap<String, String>,
}

/// See [`Command::Publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Publish {
    /// Repeated in the answer.
    pub id: Option<String>,
    /// The topic, as the client wrote it.
    pub topic: String,
    /// The payload.
    pub data: Json,
    /// Through which source; without it, through the only one that takes what is published.
    pub source: Option<String>,
}

/// A text that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
