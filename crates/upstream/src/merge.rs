//! Makes partial updates whole: what a feed says of a key is merged into what it has said before.
//!
//! Many feeds send the state of a thing once and then only what of it has changed. This file decides what an update makes
//! of that state, and what is kept of it: per connection (on another one, the feed begins anew), member for member as
//! received, digit for digit, and within bounds. What is not an object with a key, or has nothing to be merged into, is
//! not its business.
//!
//! ```text
//!             full state                        update
//! unknown ───────────────▶ known: delivered ───────────────▶ known: the merged object is delivered
//!    │  ▲                                                       │
//!    │  └────── null, no object, another connection ────────────┘
//!    └─ update: nothing to merge it into
//! ```

use std::{collections::HashMap, num::NonZeroUsize};

use indexmap::IndexMap;
use serde_json::value::RawValue;
use standpipe_protocol::{Event, Json, Topic};

use crate::pulse::Attempt;

/// The most bytes of states that are kept, beside the bound on their number.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a member costs beside its name and its value, about.
const OVERHEAD: usize = 96;

/// How much of its key an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// What has changed.
    Part,
}

/// What an event has become.
#[derive(Debug)]
pub(crate) enum Merged {
    /// All that is known of its key.
    Whole(Event),
    /// The same, but it is not kept: there is no room for another key.
    Unkept(Event),
    /// An update of a key of which nothing is known.
    Unmerged,
}

/// The members of an object, in the order in which they came, each as received.
type Members = IndexMap<Box<str>, Box<RawValue>>;

/// What one connection has said of each key.
///
/// Invariant: `bytes` is the sum of the sizes of `states`.
#[derive(Debug)]
pub(crate) struct Merge {
    max_keys: NonZeroUsize,
    attempt: Attempt,
    states: HashMap<(Topic, Box<str>), Members>,
    bytes: usize,
}

impl Merge {
    /// Keeps the states of at most `max_keys` keys, of [`MAX_BYTES`] in all.
    pub(crate) fn new(max_keys: NonZeroUsize) -> Self {
        Self { max_keys, attempt: Attempt(0), states: HashMap::new(), bytes: 0 }
    }

    /// Takes up an event that came over the connection of `attempt`. A key belongs to its topic.
    pub(crate) fn take_up(&mut self, mut event: Event, extent: Extent, attempt: Attempt) -> Merged {
        if self.attempt != attempt {
            self.attempt = attempt;
            self.clear();
        }
        let Some(key) = &event.key else { return Merged::Whole(event) };
        let name = (event.topic.clone(), key.clone());
        let state = self.remove(&name);
        let Some(members) = members(&event.data) else { return Merged::Whole(event) };
        let state = match (extent, state) {
            (Extent::Full, _) => members,
            (Extent::Part, None) => return Merged::Unmerged,
            (Extent::Part, Some(mut state)) => {
                state.extend(members);
                let Ok(text) = serde_json::to_string(&state) else { return Merged::Unmerged };
                event.data = Json::written(text);
                state
            }
        };
        let size = size(&state);
        if self.states.len() == self.max_keys.get() || self.bytes + size > MAX_BYTES {
            return Merged::Unkept(event);
        }
        self.bytes += size;
        self.states.insert(name, state);
        Merged::Whole(event)
    }

    /// How many keys are known.
    pub(crate) fn keys(&self) -> usize {
        self.states.len()
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.states.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, name: &(Topic, Box<str>)) -> Option<Members> {
        let state = self.states.remove(name)?;
        self.bytes -= size(&state);
        Some(state)
    }
}

/// The members of `data`, if it is an object.
fn members(data: &Json) -> Option<Members> {
    let text = data.as_str();
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

fn size(members: &Members) -> usize {
    members.iter().map(|(name, value)| name.len() + value.get().len() + OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn event(key: Option<&str>, data: &str) -> Event {
        Event {
            topic: Topic::new("t").unwrap(),
            key: key.map(Into::into),
            id: None,
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse(data).unwrap(),
        }
    }

    fn merge(max_keys: usize) -> Merge {
        Merge::new(NonZeroUsize::new(max_keys).unwrap())
    }

    /// What is delivered of an event with the key `k`.
    fn told(merge: &mut Merge, extent: Extent, data: &str) -> Option<String> {
        match merge.take_up(event(Some("k"), data), extent, Attempt(1)) {
            Merged::Whole(event) | Merged::Unkept(event) => Some(event.data.as_str().to_owned()),
            Merged::Unmerged => None,
        }
    }

    #[test]
    fn members_of_an_update_take_the_place_of_those_before_with_all_their_digits() {
        let mut merge = merge(10);
        let full = r#"{"price":0.1000,"size":12345678901234567890,"side":{"a":1,"b":2}}"#;
        assert_eq!(told(&mut merge, Extent::Part, r#"{"size":1}"#), None, "nothing comes before the state");
        assert_eq!(told(&mut merge, Extent::Full, full).as_deref(), Some(full));
        let merged = r#"{"price":1e400,"size":12345678901234567890,"side":{"a":3},"é\n":null}"#;
        let update = r#"{"side":{"a":3},"price":1e400,"é\n":null}"#;
        assert_eq!(told(&mut merge, Extent::Part, update).as_deref(), Some(merged), "as a whole, and null is a value");
        assert_eq!(told(&mut merge, Extent::Full, "{}").as_deref(), Some("{}"), "a full state leaves nothing behind");
    }

    #[test]
    fn what_removes_or_replaces_a_key_is_delivered_and_a_full_state_is_waited_for() {
        for other in ["null", "[1]", "7"] {
            let mut merge = merge(10);
            told(&mut merge, Extent::Full, r#"{"a":1}"#);
            assert_eq!(told(&mut merge, Extent::Part, other).as_deref(), Some(other));
            assert_eq!(told(&mut merge, Extent::Part, r#"{"b":2}"#), None);
            assert_eq!((merge.keys(), merge.bytes), (0, 0));
        }
        let keyless = merge(10).take_up(event(None, r#"{"a":1}"#), Extent::Part, Attempt(1));
        assert!(matches!(keyless, Merged::Whole(_)), "an event without a key is whole");
    }

    #[test]
    fn another_connection_begins_anew() {
        let mut merge = merge(10);
        told(&mut merge, Extent::Full, r#"{"a":1}"#);
        let update = |merge: &mut Merge, attempt| merge.take_up(event(Some("k"), r#"{"b":2}"#), Extent::Part, attempt);
        assert!(matches!(update(&mut merge, Attempt(1)), Merged::Whole(_)));
        assert!(matches!(update(&mut merge, Attempt(2)), Merged::Unmerged));
    }

    #[test]
    fn a_key_too_many_is_delivered_where_it_is_full_and_not_kept() {
        let mut merge = merge(1);
        told(&mut merge, Extent::Full, r#"{"a":1}"#);
        let mut other = |extent| merge.take_up(event(Some("other"), r#"{"a":1}"#), extent, Attempt(1));
        assert!(matches!(other(Extent::Full), Merged::Unkept(_)));
        assert!(matches!(other(Extent::Part), Merged::Unmerged));
        assert_eq!(
            told(&mut merge, Extent::Part, r#"{"b":2}"#).as_deref(),
            Some(r#"{"a":1,"b":2}"#),
            "the first stays"
        );
        told(&mut merge, Extent::Part, "null");
        let again = merge.take_up(event(Some("other"), r#"{"a":1}"#), Extent::Full, Attempt(1));
        assert!(matches!(again, Merged::Whole(_)), "there is room again");
        let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES));
        let mut one = Merge::new(NonZeroUsize::MIN);
        assert!(matches!(one.take_up(event(Some("k"), &huge), Extent::Full, Attempt(1)), Merged::Unkept(_)));
        assert_eq!((one.keys(), one.bytes), (0, 0));
    }

    proptest! {
        #[test]
        fn it_is_as_a_map_that_is_extended(steps in prop::collection::vec((0_u8..3, "[a-c]", prop::collection::btree_map("[a-d]", 0_u8..9, 0..4)), 0..60)) {
            let mut merge = merge(2);
            let mut naive: HashMap<String, Map<String, Value>> = HashMap::new();
            for (what, key, members) in steps {
                let members: Map<_, _> = members.into_iter().map(|(name, value)| (name, json!(value))).collect();
                let data = if what == 0 { Value::Null } else { Value::Object(members.clone()) };
                let extent = if what == 1 { Extent::Full } else { Extent::Part };
                let merged = merge.take_up(event(Some(&key), &data.to_string()), extent, Attempt(1));
                let expected = match (what, naive.remove(&key)) {
                    (0, _) => Some(Value::Null),
                    (2, None) => None,
                    (_, state) => {
                        let mut state = state.filter(|_| what == 2).unwrap_or_default();
                        state.extend(members);
                        if naive.len() < 2 {
                            naive.insert(key, state.clone());
                        }
                        Some(Value::Object(state))
                    }
                };
                let told = match &merged {
                    Merged::Whole(event) | Merged::Unkept(event) => Some(serde_json::from_str(event.data.as_str()).unwrap()),
                    Merged::Unmerged => None,
                };
                prop_assert_eq!(told, expected);
                prop_assert_eq!(merge.keys(), naive.len());
                prop_assert_eq!(merge.bytes, merge.states.values().map(size).sum::<usize>());
            }
        }
    }
}
