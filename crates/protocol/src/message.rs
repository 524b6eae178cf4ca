//! What the server tells a client. The field `op` comes first; clients ignore fields that they do not know.

use serde::Serialize;

use crate::{Confirm, Cursor, Epoch, Overflow, Refusal, SourceState, Verdict};

/// One message, all kinds but events, which are encoded once for all by [`crate::codec::event_frame`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Message<'a> {
    /// First on every connection.
    Welcome(Welcome),
    /// The subscriptions were changed; events with a greater `seq` are selected by the new set.
    Subscribed {
        /// The id of the command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// All current patterns of the connection.
        topics: Vec<&'a str>,
        /// Of the patterns that were asked for, those of which the credential allows a part: it is among `topics`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        narrowed: Vec<&'a str>,
        /// The exact boundary.
        seq: u64,
    },
    /// The same, after an `unsubscribe`.
    Unsubscribed {
        /// The id of the command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// All current patterns of the connection.
        topics: Vec<&'a str>,
        /// The exact boundary.
        seq: u64,
    },
    /// The answer to `refresh`: the connection lives by the new credential.
    Refreshed {
        /// The id of the command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// When the new credential ends, milliseconds since 1970-01-01 UTC; absent if it does not.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<u64>,
        /// All current patterns of the connection.
        topics: Vec<&'a str>,
        /// The patterns that ended, or of which only a part goes on, because the new credential does not allow them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ended: Vec<&'a str>,
        /// The exact boundary.
        seq: u64,
    },
    /// Until `replayed`, older events of one later subscription follow; the main cursor stands still.
    Replay {
        /// The id of the subscribe command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// The first place that is replayed.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// The end of a replay.
    Replayed {
        /// The id of the subscribe command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// The end of a snapshot: what came before it with the op `snapshot` is the state of the keys as of `seq`.
    SnapshotEnd {
        /// The id of the subscribe command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// The place in the log whose state it is.
        seq: u64,
        /// How many keys were shown.
        count: u64,
        /// False if keys may be missing, because there are more than the server keeps.
        #[serde(skip_serializing_if = "is_true")]
        complete: bool,
    },
    /// Events that the client would have got are not delivered.
    Gap(Gap),
    /// All that matches up to `cursor` is written before this line, or told as a gap.
    Heartbeat {
        /// A place to resume from.
        cursor: Cursor,
        /// The server's clock, milliseconds since 1970-01-01 UTC.
        ts: u64,
    },
    /// A source changed its state.
    Source {
        /// Its name.
        source: &'a str,
        /// The new state.
        state: SourceState,
        /// Since when, milliseconds since 1970-01-01 UTC.
        since: u64,
    },
    /// A source has missed some of what its feed has sent, by the feed's own numbers.
    #[serde(rename = "source")]
    SourceGap {
        /// Its name.
        source: &'a str,
        /// `gap`, where the others have their state.
        state: GapState,
        /// Since when it is known, milliseconds since 1970-01-01 UTC.
        since: u64,
        /// How much is missing, in the feed's numbers.
        missed: u64,
        /// Of which topic; absent if that cannot be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
    },
    /// The answer to `publish`: the event is in the log.
    Published {
        /// The id of the command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// Its place; none if the same event had come before.
        seq: Option<u64>,
    },
    /// The answer to `ping`.
    Pong {
        /// The id of the command, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// The answer to a command that was refused; the connection lives on, unless `goodbye` follows.
    Error(&'a Refusal),
    /// The last message; a Close frame follows.
    Goodbye(Goodbye),
}

/// See [`Message::SourceGap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapState {
    /// It has not got all that its feed has sent.
    Gap,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_true(flag: &bool) -> bool {
    *flag
}

/// See [`Message::Welcome`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Welcome {
    /// The version of this wire.
    pub protocol: u32,
    /// The connection's name, as operators see it.
    pub connection: String,
    /// A secret that proves, on a later connection, to have been this one; absent where nothing can be proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The log that cursors refer to.
    pub epoch: Epoch,
    /// The last `seq` in the log.
    pub head: u64,
    /// What proof of receipt this connection owes; absent where nothing can be proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
    /// What happens if the client does not keep up.
    pub overflow: Overflow,
    /// Silence for much longer than this means that the connection is dead.
    pub heartbeat_interval_ms: u64,
    /// When the client's credential ends, milliseconds since 1970-01-01 UTC; absent if it does not, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// What the client may use.
    pub limits: Limits,
}

/// What one connection may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Subscriptions at the same time.
    pub max_subscriptions: usize,
    /// The largest message of a client, in bytes.
    pub max_frame_bytes: usize,
    /// What may be written beyond the last receipt, in bytes.
    pub max_unconfirmed_bytes: usize,
    /// What may be written beyond the last receipt, in data frames.
    pub max_unconfirmed_frames: u64,
}

/// See [`Message::Gap`]. `null` where a number cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Gap {
    /// The first place that is missing.
    pub from: Option<u64>,
    /// The last one.
    pub to: Option<u64>,
    /// How many events of the client's selection are missing.
    pub matched: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The client did not keep up, and chose to skip.
    SlowConsumer,
    /// The log no longer holds them.
    HistoryExpired,
    /// The cursor is of another log, and its event is not in this one.
    EpochChanged,
    /// More matched than the client's plan has it get.
    RateLimited,
}

impl GapReason {
    /// The word for it on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlowConsumer => "slow_consumer",
            Self::HistoryExpired => "history_expired",
            Self::EpochChanged => "epoch_changed",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// See [`Message::Goodbye`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Goodbye {
    /// The code of the Close frame that follows.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = crate::schema::close_codes())))]
    pub code: u16,
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = crate::schema::close_names())))]
    pub reason: &'static str,
    /// What to do next.
    pub verdict: Verdict,
    /// How long to wait before doing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where to resume; absent if nothing was ever subscribed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// How many data frames were fully written to this connection.
    pub delivered: u64,
    /// How many of them are proven to have been received.
    pub confirmed: u64,
    /// How many of these were billed; told where deliveries are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed: Option<u64>,
    /// How many of those are neither charged nor given up so far; told where deliveries are billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<u64>,
}

impl Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.code)?;
        map.serialize_entry("message", &self.message)?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        if let Some(hint) = &self.hint {
            map.serialize_entry("hint", hint)?;
        }
        map.end()
    }
}
