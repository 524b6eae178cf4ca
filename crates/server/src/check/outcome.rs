//! What a source made of a recording, or of its feed for a while, as people and as programs read it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use standpipe_protocol::SourceState;
use standpipe_upstream::ErrorKind;

use crate::terminal::text::{clip, harmless, pad, width};

/// How many topics people are shown, and programs.
const TOPICS: usize = 20;
const TOPICS_IN_JSON: usize = 1000;

/// What a source made of it.
pub(crate) struct Outcome {
    pub(super) source: Arc<str>,
    /// How the feed is, if it was a feed.
    pub(super) feed: Option<Feed>,
    pub(super) frames: u64,
    /// Of the frames.
    pub(super) bytes: u64,
    /// New ones.
    pub(super) events: u64,
    /// Events that had come before.
    pub(super) duplicates: u64,
    /// Frames that gave nothing, without a fault.
    pub(super) silent: u64,
    /// Faults, by kind.
    pub(super) errors: BTreeMap<ErrorKind, u64>,
    pub(super) times: Option<Times>,
    /// What of its mapping only jaq evaluates, which takes longer.
    pub(super) left_to_jaq: Option<String>,
    /// Values that jaq has mapped, for that or because of what they are.
    pub(super) by_jaq: u64,
    /// Events by topic, most first.
    pub(super) topics: Vec<(String, u64)>,
    /// Events of topics that are not among them.
    pub(super) others: u64,
    /// The first frames with a fault.
    pub(super) failed: Vec<Failed>,
}

/// How a feed was at the end of the time that it was listened to.
#[derive(Debug, Serialize)]
pub(super) struct Feed {
    pub(super) kind: &'static str,
    pub(super) state: SourceState,
    /// Why nothing was to be expected of it.
    pub(super) untried: Option<&'static str>,
    pub(super) last_fault: Option<String>,
}

/// What one frame takes to decode and to map, in µs.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    mean: f64,
    longest: f64,
}

/// A frame with a fault.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    /// Which it is, from 1, in order of arrival.
    pub(super) frame: u64,
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    /// How long it is.
    pub(super) bytes: usize,
    /// Its beginning.
    pub(super) shown: String,
}

/// The same for programs: one object.
#[derive(Serialize)]
struct Row<'a> {
    source: &'a str,
    #[serde(flatten)]
    feed: Option<&'a Feed>,
    frames: u64,
    bytes: u64,
    events: u64,
    duplicates: u64,
    silent: u64,
    errors: &'a BTreeMap<ErrorKind, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    micros_per_frame: Option<&'a Times>,
    left_to_jaq: Option<&'a str>,
    by_jaq: u64,
    topics: Vec<Topic<'a>>,
    other_topics: u64,
    failed: &'a [Failed],
}

#[derive(Serialize)]
struct Topic<'a> {
    topic: &'a str,
    events: u64,
}

impl Times {
    pub(super) fn of(all: Duration, longest: Duration, frames: u64) -> Self {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let tenths = |micros: f64| (micros * 10.0).round() / 10.0;
        #[expect(clippy::cast_precision_loss, reason = "no recording has 2^53 frames")]
        let mean = micros(all) / frames.max(1) as f64;
        Self { mean: tenths(mean), longest: tenths(micros(longest)) }
    }
}

impl Outcome {
    /// Whether there are no faults, and of a recording events: a feed may have nothing to say for a while.
    pub(crate) fn is_right(&self) -> bool {
        self.errors.is_empty() && (self.events > 0 || self.feed.is_some())
    }

    /// Whether it was tried at all.
    pub(crate) fn is_tried(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.untried.is_none())
    }

    /// The source's name.
    pub(crate) fn name(&self) -> &str {
        &self.source
    }

    /// New events.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// All faults.
    pub(crate) fn faults(&self) -> u64 {
        self.errors.values().sum()
    }

    /// For a table: one row of the source, and one of each topic.
    pub(crate) fn rows(&self) -> Vec<serde_json::Value> {
        let (shown, others) = self.shown(TOPICS_IN_JSON);
        let feed = self.feed.as_ref();
        let source = serde_json::json!({
            "kind": "source",
            "source": &*self.source,
            "state": feed.map(|feed| feed.state),
            "frames": self.frames,
            "events": self.events,
            "errors": self.faults(),
            "message": feed.and_then(|feed| feed.last_fault.as_deref().or(feed.untried)),
            "right": self.is_right(),
        });
        let row = |topic: &str, events| serde_json::json!({ "kind": "topic", "source": &*self.source, "topic": topic, "events": events });
        let topics = shown.iter().map(|(topic, events)| row(topic, *events));
        let others = (others > 0).then(|| row("(other topics)", others));
        std::iter::once(source).chain(topics).chain(others).collect()
    }

    /// The first topics, and the events of all others.
    fn shown(&self, max: usize) -> (&[(String, u64)], u64) {
        let (shown, rest) = self.topics.split_at(max.min(self.topics.len()));
        (shown, self.others + rest.iter().map(|(_, events)| events).sum::<u64>())
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        let (shown, other_topics) = self.shown(TOPICS_IN_JSON);
        let row = Row {
            source: &self.source,
            feed: self.feed.as_ref(),
            frames: self.frames,
            bytes: self.bytes,
            events: self.events,
            duplicates: self.duplicates,
            silent: self.silent,
            errors: &self.errors,
            micros_per_frame: self.times.as_ref(),
            left_to_jaq: self.left_to_jaq.as_deref(),
            by_jaq: self.by_jaq,
            topics: shown.iter().map(|(topic, events)| Topic { topic, events: *events }).collect(),
            other_topics,
            failed: &self.failed,
        };
        // Numbers and texts only, which cannot fail to be written.
        serde_json::to_string(&row).unwrap_or_default() + "\n"
    }

    /// A table, no wider than `columns`. What it was made `of_what` is told of a recording; of a feed, its state.
    pub(crate) fn text(&self, of_what: &str, columns: Option<usize>) -> String {
        let columns = columns.unwrap_or(usize::MAX);
        let mut out = String::new();
        let mut line = |text: &str| {
            out += &clip(&harmless(text), columns);
            out.push('\n');
        };
        let state = self.feed.as_ref().map(|feed| feed.state.as_str());
        line(&format!("source `{}` {}", self.source, state.unwrap_or(of_what)));
        if let Some(why) = self.feed.as_ref().and_then(|feed| feed.untried) {
            line(&format!("  {why}"));
            return out;
        }
        let row = |name: &str, count: u64| format!("  {name:<11}{count:>9}");
        line(&format!("{}  of {} bytes", row("frames", self.frames), self.bytes));
        line(&row("events", self.events));
        line(&format!("{}  events that had come before", row("duplicates", self.duplicates)));
        line(&format!("{}  frames that gave nothing", row("silent", self.silent)));
        let errors: Vec<_> = self.errors.iter().map(|(kind, count)| format!("{} {count}", kind.as_str())).collect();
        let errors = errors.join(", ");
        line(format!("{}  {errors}", row("faults", self.errors.values().sum())).trim_end());
        if let Some(fault) = self.feed.as_ref().and_then(|feed| feed.last_fault.as_ref()) {
            line(&format!("  the latest: {fault}"));
        }
        if let Some(times) = &self.times {
            line(&format!("  a frame takes {:.1} µs, the longest {:.1} µs", times.mean, times.longest));
        }
        if let Some(construct) = &self.left_to_jaq {
            line(&format!("  the mapping is evaluated by jaq, which takes longer, because of {construct}"));
        } else if self.by_jaq > 0 {
            line(&format!("  the mapping of {} values was left to jaq, which takes longer", self.by_jaq));
        }

        let (shown, others) = self.shown(TOPICS);
        if !shown.is_empty() {
            let head = "topic";
            let widest =
                shown.iter().map(|(topic, _)| width(topic)).max().unwrap_or_default().max("other topics".len());
            // The counts stay on the screen.
            let widest = widest.min(columns.saturating_sub(13)).max(head.len());
            line(&format!("  {} {:>9}", pad(head, widest), "events"));
            for (topic, events) in shown {
                line(&format!("  {} {events:>9}", pad(&clip(&harmless(topic), widest), widest)));
            }
            if others > 0 {
                line(&format!("  {} {others:>9}", pad("other topics", widest)));
            }
        }
        for Failed { frame, kind, message, bytes, shown } in &self.failed {
            line(&format!("  frame {frame} ({}): {message}", kind.as_str()));
            let cut = if *bytes > shown.len() { "…" } else { "" };
            line(&format!("    {shown}{cut}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn outcome() -> Outcome {
        let topics = (0..25).map(|n| (format!("trades.{n}"), 25 - n));
        Outcome {
            source: "kraken".into(),
            feed: None,
            frames: 400,
            bytes: 65_000,
            events: 326,
            duplicates: 2,
            silent: 70,
            errors: BTreeMap::from([(ErrorKind::Program, 2), (ErrorKind::Shape, 1)]),
            times: Some(Times::of(Duration::from_millis(5), Duration::from_micros(70), 400)),
            left_to_jaq: Some("`reduce`".to_owned()),
            by_jaq: 400,
            topics: topics.collect(),
            others: 1,
            failed: vec![Failed {
                frame: 17,
                kind: ErrorKind::Program,
                message: "the mapping failed: cannot iterate over null".to_owned(),
                bytes: 900,
                shown: "{\"event\":\"\u{1b}[2J".to_owned(),
            }],
        }
    }

    #[test]
    fn a_table_shows_the_topics_with_the_most_events_and_what_failed() {
        let mut outcome = outcome();
        outcome.topics.drain(2..20);
        let text = outcome.text("on tape.jsonl.gz", None);
        expect![[r#"
            source `kraken` on tape.jsonl.gz
              frames           400  of 65000 bytes
              events           326
              duplicates         2  events that had come before
              silent            70  frames that gave nothing
              faults             3  program 2, shape 1
              a frame takes 12.5 µs, the longest 70.0 µs
              the mapping is evaluated by jaq, which takes longer, because of `reduce`
              topic           events
              trades.0            25
              trades.1            24
              trades.20            5
              trades.21            4
              trades.22            3
              trades.23            2
              trades.24            1
              other topics         1
              frame 17 (program): the mapping failed: cannot iterate over null
                {"event":"\u001b[2J…
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [10, 20, 40, 80] {
            let text = outcome().text("on tape.jsonl.gz", Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        }
    }

    #[test]
    fn more_topics_than_are_shown_are_summed() {
        let outcome = outcome();
        let (shown, others) = outcome.shown(TOPICS);
        assert_eq!((shown.len(), others), (20, 1 + (1..=5).sum::<u64>()));
        assert_eq!(outcome.events, outcome.topics.iter().map(|(_, events)| events).sum::<u64>() + outcome.others);
    }

    #[test]
    fn programs_get_one_line() {
        let mut outcome = outcome();
        outcome.topics.truncate(1);
        expect![[r#"
            {"source":"kraken","frames":400,"bytes":65000,"events":326,"duplicates":2,"silent":70,"errors":{"program":2,"shape":1},"micros_per_frame":{"mean":12.5,"longest":70.0},"left_to_jaq":"`reduce`","by_jaq":400,"topics":[{"topic":"trades.0","events":25}],"other_topics":1,"failed":[{"frame":17,"kind":"program","message":"the mapping failed: cannot iterate over null","bytes":900,"shown":"{\"event\":\"\u001b[2J"}]}
        "#]]
        .assert_eq(&outcome.json());
    }

    #[test]
    fn right_is_what_gives_events_and_has_no_fault() {
        let mut outcome = outcome();
        assert!(!outcome.is_right());
        outcome.errors.clear();
        assert!(outcome.is_right());
        outcome.events = 0;
        assert!(!outcome.is_right());
        outcome.feed = Some(feed());
        assert!(outcome.is_right(), "a feed may be quiet");
    }

    fn feed() -> Feed {
        Feed { kind: "websocket", state: SourceState::Live, untried: None, last_fault: None }
    }

    #[test]
    fn a_feed_is_told_with_its_state_and_its_latest_fault() {
        let mut outcome = outcome();
        (outcome.times, outcome.left_to_jaq) = (None, None);
        outcome.topics.truncate(1);
        outcome.failed.clear();
        outcome.feed = Some(Feed { last_fault: Some("the mapping failed".to_owned()), ..feed() });
        expect![[r"
            source `kraken` live
              frames           400  of 65000 bytes
              events           326
              duplicates         2  events that had come before
              silent            70  frames that gave nothing
              faults             3  program 2, shape 1
              the latest: the mapping failed
              the mapping of 400 values was left to jaq, which takes longer
              topic           events
              trades.0            25
              other topics         1
        "]]
        .assert_eq(&outcome.text("", None));
        let rows: Vec<_> = outcome.rows().iter().map(ToString::to_string).collect();
        expect![[r#"
            {"errors":3,"events":326,"frames":400,"kind":"source","message":"the mapping failed","right":false,"source":"kraken","state":"live"}
            {"events":25,"kind":"topic","source":"kraken","topic":"trades.0"}
            {"events":1,"kind":"topic","source":"kraken","topic":"(other topics)"}"#]].assert_eq(&rows.join("\n"));
        outcome.feed = Some(Feed { untried: Some("it waits"), ..feed() });
        assert_eq!(outcome.text("", None), "source `kraken` live\n  it waits\n");
    }
}
