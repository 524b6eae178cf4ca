//! What a feed that is asked again and again says anew.
//!
//! Each answer of such a feed says everything, most of which it has said before. An event with an id is known by that (see
//! [`crate::dedupe`]); of one without, the content is compared: with a key, to what was last said of it; without, to all
//! that the latest answers said. The memory is of two answers that had events in them, so it is bounded by what those hold.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use standpipe_protocol::Event;

/// The most events of one answer that are remembered. What comes behind them is always new.
const MAX_REMEMBERED: usize = 100_000;

/// What the latest two answers said.
#[derive(Debug, Default)]
pub(crate) struct Novelty {
    hasher: RandomState,
    /// What was said of what: hashes of both, with a key of this process's own.
    now: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
    is_over: bool,
}

impl Novelty {
    /// The next event is of another answer.
    pub(crate) fn next_answer(&mut self) {
        self.is_over = true;
    }

    /// Whether it has not been said.
    pub(crate) fn admit(&mut self, event: &Event) -> bool {
        // Not before there is something to remember: an answer without events is no reason to forget.
        if std::mem::take(&mut self.is_over) {
            self.before = std::mem::take(&mut self.now);
        }
        let data = event.data.as_str();
        let (what, said) = match &event.key {
            Some(key) => (self.hasher.hash_one((event.topic.as_str(), &**key)), self.hasher.hash_one(data)),
            None => (self.hasher.hash_one((event.topic.as_str(), (), data)), 0),
        };
        let known = self.now.get(&what).or_else(|| self.before.get(&what)) == Some(&said);
        if self.now.len() < MAX_REMEMBERED {
            self.now.insert(what, said);
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;
    use std::sync::Arc;

    fn event(text: &str) -> Event {
        let source: Arc<str> = "s".into();
        map::event(&crate::value::read::value(text.as_bytes()).unwrap(), &source, 1000).unwrap().event
    }

    #[test]
    fn an_event_is_new_where_its_key_says_something_else() {
        let mut novelty = Novelty::default();
        let mut answer = |events: &[&str]| -> Vec<bool> {
            novelty.next_answer();
            events.iter().map(|text| novelty.admit(&event(text))).collect()
        };
        let (a1, a2) = (r#"{"topic":"t","key":"a","data":1}"#, r#"{"topic":"t","key":"a","data":2}"#);
        let (other, none) = (r#"{"topic":"u","key":"a","data":1}"#, r#"{"topic":"t","data":1}"#);
        assert_eq!(answer(&[a1, other, none, none]), [true, true, true, false]);
        assert_eq!(answer(&[a1, other, none]), [false, false, false]);
        assert_eq!(answer(&[a2]), [true]);
        assert_eq!(answer(&[]), [false; 0]);
        assert_eq!(answer(&[a2, none]), [false, true], "what the last two answers did not say is said anew");
        assert_eq!(answer(&[a1]), [true], "and so is what was true once");
    }
}
