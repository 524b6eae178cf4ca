//! Events, counted by topic.

use std::collections::HashMap;

/// How many topics are counted one by one. Events of topics that come later are counted together.
const MAX_TOPICS: usize = 10_000;

/// See the file's description.
#[derive(Default)]
pub(super) struct Topics {
    known: HashMap<String, u64>,
    /// Events of topics that are not among them.
    others: u64,
}

impl Topics {
    pub(super) fn count(&mut self, topic: &str) {
        if let Some(count) = self.known.get_mut(topic) {
            *count += 1;
        } else if self.known.len() < MAX_TOPICS {
            self.known.insert(topic.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    /// Those with the most events first, and the events of topics that were not counted one by one.
    pub(super) fn sorted(self) -> (Vec<(String, u64)>, u64) {
        let mut topics: Vec<_> = self.known.into_iter().collect();
        topics.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        (topics, self.others)
    }
}
