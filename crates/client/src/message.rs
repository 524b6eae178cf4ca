//! The messages of a server as a client reads them: [`standpipe_protocol::message`] from the other side.
//!
//! Unknown fields are ignored and unknown ops come as [`Incoming::Unknown`], so that a server may learn more than its
//! clients; words of open lists (a gap's reason, an error's code) stay text. The data of events is never taken apart.

use std::{borrow::Cow, fmt, ops::Range, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use standpipe_protocol::{Cursor, Epoch, Verdict};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// First on every connection.
    Welcome(Welcome),
    /// The subscriptions were changed; events with a greater `seq` are selected by the new set.
    Subscribed(Boundary),
    /// The same, after an `unsubscribe`.
    Unsubscribed(Boundary),
    /// The answer to `refresh`: another credential counts.
    Refreshed(Refreshed),
    /// An event.
    Event(Event),
    /// The latest event of a key, as of the `seq` of the [`SnapshotEnd`] that follows.
    Snapshot(Event),
    /// The end of a snapshot.
    SnapshotEnd(SnapshotEnd),
    /// Older events of one later subscription follow.
    Replay(Replay),
    /// The end of a replay.
    Replayed(Answer),
    /// Events are missing.
    Gap(Gap),
    /// All that matches up to `cursor` was written before this.
    Heartbeat(Heartbeat),
    /// A source changed its state.
    Source(Source),
    /// The answer to `publish`: the event is in the log.
    Published(Published),
    /// The answer to `ping`.
    Pong(Answer),
    /// The answer to a command that was refused.
    Refused(Refusal),
    /// The last message.
    Goodbye(Goodbye),
    /// An op that this client does not know.
    Unknown(String),
}

/// An event: its envelope, and its data as the source wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log.
    pub seq: u64,
    /// Where it belongs.
    pub topic: Box<str>,
    /// What it is about.
    pub key: Option<Box<str>>,
    /// The source's own name for it.
    pub id: Option<Box<str>>,
    /// When it happened, in milliseconds since 1970-01-01 UTC.
    pub ts: Option<i64>,
    /// The name of its source.
    pub source: Box<str>,
    text: Utf8Bytes,
    data: Range<usize>,
}

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Welcome {
    /// The version of the wire.
    pub protocol: u32,
    /// The connection's name, as the server's operators see it.
    pub connection: String,
    /// A secret that proves, on a later connection, to have been this one.
    #[serde(default)]
    pub resume: Resume,
    /// The log that cursors refer to.
    #[serde(deserialize_with = "epoch")]
    pub epoch: Epoch,
    /// The last `seq` in the log.
    pub head: u64,
    /// Silence for much longer than this means that the connection is dead.
    pub heartbeat_interval_ms: u64,
    /// When the credential ends, in milliseconds since 1970-01-01 UTC, if it does.
    #[serde(default)]
    pub expires: Option<u64>,
}

/// The secret in `welcome`, which no log may show.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Resume(pub String);

/// Where a change of subscriptions took effect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Boundary {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
    /// All current patterns of the connection.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The patterns of which the credential allows only a part; that part is among `topics`.
    #[serde(default)]
    pub narrowed: Vec<String>,
    /// Events with a greater `seq` are selected by the new set.
    pub seq: u64,
}

/// See [`Incoming::Refreshed`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refreshed {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
    /// When the new credential ends, in milliseconds since 1970-01-01 UTC, if it does.
    #[serde(default)]
    pub expires: Option<u64>,
    /// All current patterns of the connection.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Those that ended, or of which only a part goes on, because the new credential does not allow them.
    #[serde(default)]
    pub ended: Vec<String>,
    /// Events with a greater `seq` are selected by what the new one allows.
    pub seq: u64,
}

/// See [`Incoming::SnapshotEnd`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SnapshotEnd {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
    /// The place in the log whose state the snapshot is.
    pub seq: u64,
    /// How many keys it had.
    #[serde(default)]
    pub count: u64,
    /// False if keys may be missing, because there are more than the server keeps.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// See [`Incoming::Replay`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Replay {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
    /// The first place that is replayed.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

/// An answer that says nothing but which command it answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
}

/// See [`Incoming::Published`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Published {
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
    /// The event's place in the log; `None` if the same event had come before.
    #[serde(default)]
    pub seq: Option<u64>,
}

/// Events that the client would have got are not delivered. `None` where a number cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gap {
    /// The first place that is missing.
    #[serde(default)]
    pub from: Option<u64>,
    /// The last one.
    #[serde(default)]
    pub to: Option<u64>,
    /// How many events of the client's selection are missing.
    #[serde(default)]
    pub matched: Option<u64>,
    /// Why: `slow_consumer`, `history_expired`, `epoch_changed`.
    pub reason: String,
}

/// See [`Incoming::Heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Heartbeat {
    /// A place to resume from.
    #[serde(deserialize_with = "cursor")]
    pub cursor: Cursor,
    /// The server's clock, milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub ts: u64,
}

/// A source changed its state, or has missed something of its feed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// Its name.
    pub source: String,
    /// The new state: `connecting`, `live`, `stale`, `down`; or `gap`.
    pub state: String,
    /// Of a `gap`: how much is missing, in the feed's numbers.
    #[serde(default)]
    pub missed: Option<u64>,
    /// Of a `gap`: of which topic, if that can be told.
    #[serde(default)]
    pub topic: Option<String>,
    /// Since when, milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub since: u64,
}

/// A refused command or request: what was wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// What would be right.
    #[serde(default)]
    pub hint: Option<String>,
    /// The id of the command, if it had one.
    #[serde(default)]
    pub id: Option<String>,
}

/// The last message of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Goodbye {
    /// The code of the Close frame that follows.
    pub code: u16,
    /// Its name.
    #[serde(default)]
    pub reason: String,
    /// What to do next; `None` for a word that this client does not know, and the code decides.
    #[serde(default, deserialize_with = "verdict")]
    pub verdict: Option<Verdict>,
    /// How long to wait before doing it.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// Where to resume.
    #[serde(default, deserialize_with = "maybe_cursor")]
    pub cursor: Option<Cursor>,
    /// How many data frames the server has written.
    #[serde(default)]
    pub delivered: u64,
    /// How many of them are proven to have been received.
    #[serde(default)]
    pub confirmed: u64,
    /// How many of these were billed, if deliveries are.
    #[serde(default)]
    pub billed: Option<u64>,
    /// How many of those are neither charged nor given up so far, if deliveries are billed.
    #[serde(default)]
    pub unsettled: Option<u64>,
}

/// A text that is no message, or lacks what its op needs.
#[derive(Debug, thiserror::Error)]
#[error("{source}, in `{start}`")]
pub struct Unreadable {
    source: serde_json::Error,
    /// How the text begins.
    start: String,
}

impl Event {
    /// The data: one JSON value, digit for digit as the source wrote it.
    pub fn data(&self) -> &str {
        self.text.get(self.data.clone()).unwrap_or("null")
    }

    /// The whole message, as it came.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Goodbye {
    /// What to do next.
    pub fn verdict(&self) -> Verdict {
        self.verdict.unwrap_or_else(|| Verdict::of_code(self.code))
    }

    /// How long to wait before doing it, if the server says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }
}

#[derive(Deserialize)]
struct Op<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    seq: u64,
    topic: Box<str>,
    #[serde(default)]
    key: Option<Box<str>>,
    #[serde(default)]
    id: Option<Box<str>>,
    #[serde(default)]
    ts: Option<i64>,
    #[serde(default)]
    source: Box<str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads one message.
pub fn decode(text: &Utf8Bytes) -> Result<Incoming, Unreadable> {
    read(text).map_err(|source| Unreadable { source, start: start(text) })
}

/// How `text` begins, without the secret that a `welcome` holds.
fn start(text: &str) -> String {
    let open = text.split_once("\"resume\"").map_or(text, |(open, _)| open);
    open.chars().take(120).collect()
}

fn read(text: &Utf8Bytes) -> serde_json::Result<Incoming> {
    // Nearly all messages are events, and `op` stands first: they need not be looked through twice.
    if text.starts_with(r#"{"op":"event","#) {
        return event(text).map(Incoming::Event);
    }
    let Op { op } = serde_json::from_str(text)?;
    Ok(match &*op {
        "event" => Incoming::Event(event(text)?),
        "snapshot" => Incoming::Snapshot(event(text)?),
        "welcome" => Incoming::Welcome(serde_json::from_str(text)?),
        "subscribed" => Incoming::Subscribed(serde_json::from_str(text)?),
        "unsubscribed" => Incoming::Unsubscribed(serde_json::from_str(text)?),
        "refreshed" => Incoming::Refreshed(serde_json::from_str(text)?),
        "snapshot_end" => Incoming::SnapshotEnd(serde_json::from_str(text)?),
        "replay" => Incoming::Replay(serde_json::from_str(text)?),
        "replayed" => Incoming::Replayed(serde_json::from_str(text)?),
        "gap" => Incoming::Gap(serde_json::from_str(text)?),
        "heartbeat" => Incoming::Heartbeat(serde_json::from_str(text)?),
        "source" => Incoming::Source(serde_json::from_str(text)?),
        "published" => Incoming::Published(serde_json::from_str(text)?),
        "pong" => Incoming::Pong(serde_json::from_str(text)?),
        "error" => Incoming::Refused(serde_json::from_str(text)?),
        "goodbye" => Incoming::Goodbye(serde_json::from_str(text)?),
        _ => Incoming::Unknown(op.into_owned()),
    })
}

fn event(text: &Utf8Bytes) -> serde_json::Result<Event> {
    let Envelope { seq, topic, key, id, ts, source, data } = serde_json::from_str(text)?;
    // `data` was borrowed from `text`, so its distance from the beginning is where it stands there.
    let start = data.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let data = start..start + data.get().len();
    Ok(Event { seq, topic, key, id, ts, source, text: text.clone(), data })
}

fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
    // An epoch is what stands first in a cursor.
    let text = format!("{}:0", Cow::<str>::deserialize(deserializer)?);
    text.parse().map(|Cursor { epoch, .. }| epoch).map_err(D::Error::custom)
}

fn cursor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cursor, D::Error> {
    Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn maybe_cursor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cursor>, D::Error> {
    Option::<Cow<'_, str>>::deserialize(deserializer)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Verdict>, D::Error> {
    let word = Option::<Cow<'_, str>>::deserialize(deserializer)?;
    let all = [Verdict::Now, Verdict::Backoff, Verdict::Renew, Verdict::Never];
    Ok(word.and_then(|word| all.into_iter().find(|verdict| verdict.as_str() == word)))
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resume(…)")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

#[cfg(test)]
mod tests;
