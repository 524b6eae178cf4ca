//! What one client was told over all its connections, held against what it had to be told.
//!
//! Each message is judged when it comes: an event has to be the next one of the selection, a gap has to count what is
//! missing, a heartbeat has to be true, a goodbye has to know how far everything came. In the end the story is exactly the
//! selection less the gaps.

use std::{
    ops::{AddAssign, RangeInclusive},
    sync::Arc,
};

use serde_json::Value;

use crate::cursor_seq;

/// See the file's description.
pub(crate) struct Story {
    /// The places of its selection, in order.
    wanted: Arc<[u64]>,
    /// Everything up to here was told.
    position: u64,
    /// Where this connection began, by its `subscribed`. What is missing before is told by a gap behind it.
    begun: u64,
    events: Vec<u64>,
    gaps: Vec<RangeInclusive<u64>>,
    /// Of this connection: its events, how many of them a receipt vouches for, and the error that announced its end.
    pub(crate) delivered: u64,
    vouched: u64,
    pub(crate) error: Option<String>,
    pub(crate) sum: Sum,
}

/// What was told on all connections together, whatever was asked for again later.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) connections: u64,
    pub(crate) events: u64,
    pub(crate) vouched: u64,
    /// Events that gaps counted.
    pub(crate) skipped: u64,
    pub(crate) expired: u64,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.events += other.events;
        self.vouched += other.vouched;
        self.skipped += other.skipped;
        self.expired += other.expired;
    }
}

impl Story {
    pub(crate) fn new(wanted: Arc<[u64]>) -> Self {
        Self {
            wanted,
            position: 0,
            begun: 0,
            events: Vec::new(),
            gaps: Vec::new(),
            delivered: 0,
            vouched: 0,
            error: None,
            sum: Sum::default(),
        }
    }

    /// Where to resume.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// A connection was opened.
    pub(crate) fn begin(&mut self) {
        (self.begun, self.delivered, self.vouched, self.error) = (0, 0, 0, None);
        self.sum.connections += 1;
    }

    /// A receipt was sent for all that was read so far.
    pub(crate) fn vouch(&mut self) {
        self.sum.vouched += self.delivered - self.vouched;
        self.vouched = self.delivered;
    }

    /// Forgets what came behind `position`, as a client does that had not stored it: it will come again.
    pub(crate) fn rewind(&mut self, position: u64) {
        self.position = position;
        self.events.truncate(self.events.partition_point(|seq| *seq <= position));
        self.gaps.retain(|gap| *gap.start() <= position);
        if let Some(last) = self.gaps.last_mut() {
            *last = *last.start()..=position.min(*last.end());
        }
    }

    /// Takes a message. The `op` of it.
    pub(crate) fn take<'a>(&mut self, text: &'a str) -> &'a str {
        if let Some(rest) = text.strip_prefix(r#"{"op":"event","seq":"#) {
            let (seq, _) = rest.split_once(',').expect("more fields");
            self.take_event(seq.parse().expect("a place"));
            return "event";
        }
        let message: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let op = text.split('"').nth(3).expect("`op` comes first");
        match op {
            "subscribed" => {
                let seq = message["seq"].as_u64().expect("a place");
                assert!(seq >= self.position, "{text} to a client at {}", self.position);
                self.begun = seq;
            }
            "gap" => self.take_gap(&message),
            "heartbeat" => {
                let through = cursor_seq(&message["cursor"]);
                assert!(through >= self.position, "{text} to a client at {}", self.position);
                assert_eq!(self.count(self.position + 1, through), 0, "{text} to a client at {}", self.position);
                self.position = through;
            }
            "goodbye" => {
                let cursor = cursor_seq(&message["cursor"]);
                assert_eq!(cursor, self.position.max(self.begun), "{text}: the last place that was told");
                assert_eq!(self.count(self.position + 1, cursor), 0, "{text} to a client at {}", self.position);
                self.position = cursor;
                assert_eq!(message["delivered"], self.delivered, "{text}");
                let confirmed = message["confirmed"].as_u64().expect("a number");
                assert!(confirmed <= self.vouched, "{text}: only {} were vouched for", self.vouched);
            }
            "error" => self.error = message["code"].as_str().map(str::to_owned),
            "welcome" | "source" => {}
            _ => panic!("not expected: {text}"),
        }
        op
    }

    /// The story is over: each event of the selection up to the position came, in order, or is in a gap.
    pub(crate) fn assert_complete(&self, who: &str) {
        let missing = |seq: &u64| self.gaps.iter().any(|gap| gap.contains(seq));
        let expected = self.wanted.iter().copied().filter(|seq| *seq <= self.position && !missing(seq));
        let differs = self.events.iter().copied().zip(expected.clone()).find(|(came, due)| came != due);
        assert_eq!(differs, None, "{who}: what came, and what was due");
        assert_eq!(self.events.len(), expected.count(), "{who}");
    }

    fn take_event(&mut self, seq: u64) {
        let next = self.wanted.get(self.wanted.partition_point(|place| *place <= self.position));
        assert_eq!(next, Some(&seq), "the next of the selection behind {}", self.position);
        self.position = seq;
        self.events.push(seq);
        self.delivered += 1;
        self.sum.events += 1;
    }

    fn take_gap(&mut self, gap: &Value) {
        let [from, to] = ["from", "to"].map(|end| gap[end].as_u64().unwrap_or_else(|| panic!("not in one log: {gap}")));
        assert!(from > self.position && to >= from, "{gap} to a client at {}", self.position);
        assert_eq!(self.count(self.position + 1, from - 1), 0, "{gap} to a client at {}: a hole before", self.position);
        match gap["reason"].as_str() {
            Some("slow_consumer") => {
                let count = self.count(from, to);
                assert_eq!(gap["matched"], count, "{gap}");
                self.sum.skipped += count;
            }
            Some("history_expired") => {
                assert_eq!(gap["matched"], Value::Null, "{gap}");
                self.sum.expired += 1;
            }
            _ => panic!("not expected: {gap}"),
        }
        self.position = to;
        self.gaps.push(from..=to);
    }

    /// How many of the selection lie in `from..=to`.
    fn count(&self, from: u64, to: u64) -> u64 {
        let before = self.wanted.partition_point(|place| *place < from);
        let through = self.wanted.partition_point(|place| *place <= to);
        through.saturating_sub(before) as u64
    }
}
