//! An event, from the moment a source has made it to its place in the log.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

use crate::{Json, Topic, codec};

/// What a source says happened, normalized, not yet in the log.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Event {
    /// Where it belongs.
    pub topic: Topic,
    /// What it is about (a pair, an author); the latest event of a key stands for its state.
    pub key: Option<Box<str>>,
    /// The source's own name for it, unique within the source; used to remove duplicates and to resume across restarts.
    pub id: Option<Box<str>>,
    /// When it happened, in milliseconds since 1970-01-01 UTC.
    pub ts: Option<i64>,
    /// The source's own running number, for finding gaps. Not on the wire.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub n: Option<u64>,
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// The payload; `null` removes the key.
    pub data: Json,
}

/// What selection may look at: the same for an [`Event`] on its way in and a [`Record`] in the log.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// See [`Event::topic`].
    pub topic: &'a Topic,
    /// See [`Event::key`].
    pub key: Option<&'a str>,
    /// See [`Event::id`].
    pub id: Option<&'a str>,
    /// See [`Event::ts`].
    pub ts: Option<i64>,
    /// See [`Event::source`].
    pub source: &'a str,
    /// The payload, valid JSON.
    pub data: &'a str,
}

/// What upstream puts into the queue to the log: an event, and who wants to know that it arrived there.
pub struct Item {
    /// The event.
    pub event: Event,
    /// Called with the event's `seq` once it is in the log. Dropped uncalled if it never gets there.
    pub accepted: Option<Box<dyn FnOnce(u64) + Send>>,
}

impl From<Event> for Item {
    fn from(event: Event) -> Self {
        Self { event, accepted: None }
    }
}

/// What an event is charged as, to whoever gets it: a place among the names that its server charges by.
///
/// Found once, when the event gets its place in the log, and not once for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u8);

impl Class {
    /// Its place, to look it up by.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// An event in the log: its place, and its frame, encoded once and shared by all who get it.
#[derive(Debug)]
pub struct Record {
    /// Its place, gapless within an epoch, from 1.
    pub seq: u64,
    /// See [`Event::topic`].
    pub topic: Topic,
    /// See [`Event::key`].
    pub key: Option<Box<str>>,
    /// See [`Event::id`].
    pub id: Option<Box<str>>,
    /// See [`Event::ts`].
    pub ts: Option<i64>,
    /// See [`Event::source`].
    pub source: Arc<str>,
    /// What it is charged as, if it costs anything.
    pub class: Option<Class>,
    frame: Bytes,
    data_len: usize,
    pinned: OnceLock<Pinned>,
}

/// The memory of records that their log has let go of, and that others still hold: what waits for clients, mostly.
#[derive(Debug, Clone, Default)]
pub struct Pinned(Arc<AtomicUsize>);

impl Pinned {
    /// How much that is, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Record {
    /// Gives `event` its place and encodes it. It costs nothing: see [`Record::charged_as`].
    pub fn new(seq: u64, event: Event) -> Self {
        let frame = codec::event_frame(seq, &event);
        let data_len = event.data.as_str().len();
        let Event { topic, key, id, ts, source, .. } = event;
        Self { seq, topic, key, id, ts, source, class: None, frame, data_len, pinned: OnceLock::new() }
    }

    /// The same event, charged as `class`.
    #[must_use]
    pub fn charged_as(mut self, class: Option<Class>) -> Self {
        self.class = class;
        self
    }

    /// The complete WebSocket frame, header included.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The payload, as it stands in the frame.
    pub fn data(&self) -> &str {
        std::str::from_utf8(self.data_bytes()).unwrap_or("null")
    }

    /// Whether it removes its key.
    pub fn removes(&self) -> bool {
        self.data_bytes() == b"null"
    }

    fn data_bytes(&self) -> &[u8] {
        // Invariant: the frame ends with the payload and one closing brace (`codec::event_frame`).
        let end = self.frame.len().saturating_sub(1);
        let start = end.saturating_sub(self.data_len);
        self.frame.get(start..end).unwrap_or_default()
    }

    /// What selection may look at.
    pub fn view(&self) -> EventView<'_> {
        EventView {
            topic: &self.topic,
            key: self.key.as_deref(),
            id: self.id.as_deref(),
            ts: self.ts,
            source: &self.source,
            data: self.data(),
        }
    }

    /// About how much memory it holds, in bytes.
    pub fn size(&self) -> usize {
        let texts = self.key.as_deref().map_or(0, str::len) + self.id.as_deref().map_or(0, str::len);
        self.frame.len() + texts + size_of::<Self>()
    }

    /// Its log lets go of it: as long as others hold it, it is counted there. Only the first time counts.
    pub fn pin(&self, pinned: &Pinned) {
        if self.pinned.set(pinned.clone()).is_ok() {
            pinned.0.fetch_add(self.size(), Relaxed);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(pinned) = self.pinned.get() {
            pinned.0.fetch_sub(self.size(), Relaxed);
        }
    }
}

impl Event {
    /// What selection may look at.
    pub fn view(&self) -> EventView<'_> {
        EventView {
            topic: &self.topic,
            key: self.key.as_deref(),
            id: self.id.as_deref(),
            ts: self.ts,
            source: &self.source,
            data: self.data.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_its_log_has_let_go_of_counts_until_the_last_who_holds_it_does() {
        let event = Event {
            topic: Topic::new("t").unwrap(),
            key: Some("k".into()),
            id: None,
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse("1").unwrap(),
        };
        let (pinned, one) = (Pinned::default(), Arc::new(Record::new(1, event)));
        let (two, size) = (Arc::clone(&one), one.size());
        assert_eq!(pinned.bytes(), 0);
        one.pin(&pinned);
        two.pin(&pinned);
        drop(one);
        assert_eq!(pinned.bytes(), size);
        drop(two);
        assert_eq!(pinned.bytes(), 0);
    }
}
