use proptest::prelude::*;
use serde_json::json;
use standpipe_protocol::Topic;

use super::*;
use crate::arbitrary;

fn audience(index: &Index, topic: &str, data: &str) -> Vec<u32> {
    let topic = Topic::new(topic).unwrap();
    let mut out = vec![u32::MAX];
    index.audience(arbitrary::view(&topic, data), &mut out);
    out
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn filter(json: &serde_json::Value) -> Arc<Filter> {
    Arc::new(arbitrary::filter(json))
}

#[test]
fn an_event_finds_those_who_want_it_and_no_others() {
    let mut index = Index::new();
    index.insert(5, &pattern("trades.BTC"), None);
    index.insert(4, &pattern("trades.*"), Some(filter(&json!({"side": "buy"}))));
    index.insert(3, &pattern("trades.*"), Some(filter(&json!({"px": {"gte": 10}}))));
    index.insert(2, &pattern(">"), Some(filter(&json!({"side": "sell", "px": {"gte": 10}}))));
    index.insert(1, &pattern("quotes.>"), None);
    assert_eq!(audience(&index, "trades.BTC", r#"{"side":"buy","px":"9"}"#), [4, 5]);
    assert_eq!(audience(&index, "trades.ETH", r#"{"side":"sell","px":"11"}"#), [2, 3]);
    assert!(audience(&index, "trades", "{}").is_empty());
}

#[test]
fn a_subscriber_with_many_matching_entries_is_found_once() {
    let mut index = Index::new();
    let entries = [
        index.insert(7, &pattern("a.b"), None),
        index.insert(7, &pattern("a.*"), Some(filter(&json!({"f": {"in": ["x", "y"]}})))),
        index.insert(7, &pattern(">"), Some(filter(&json!({"or": [{"f": "x"}, {"g": 1}]})))),
        index.insert(7, &pattern("a.b"), None),
    ];
    assert_eq!(audience(&index, "a.b", r#"{"f":["x","y"],"g":1}"#), [7]);
    for entry in entries {
        index.remove(entry);
    }
    assert!(audience(&index, "a.b", r#"{"f":"x"}"#).is_empty());
    assert!(index.is_bare());
}

/// How many entries an event would visit.
fn candidates(index: &Index, topic: &str, data: &str) -> usize {
    let (topic, mut visited) = (Topic::new(topic).unwrap(), 0);
    let found = index.fields.read(arbitrary::view(&topic, data));
    index.topics.each(&topic, &mut |bucket| {
        index.buckets.get(bucket).unwrap().candidates(&found, |_| visited += 1);
    });
    visited
}

#[test]
fn those_who_follow_others_are_not_visited() {
    let mut index = Index::new();
    for subscriber in 0..1_000 {
        let authors = [subscriber, subscriber + 1, subscriber + 2].map(|author| format!("author {author}"));
        index.insert(subscriber, &pattern("tweets.>"), Some(filter(&json!({"author": {"in": authors}}))));
    }
    let event = r#"{"text":"…","author":"author 500"}"#;
    assert_eq!(audience(&index, "tweets.btc", event), [498, 499, 500]);
    assert_eq!(candidates(&index, "tweets.btc", event), 3);
    assert_eq!(candidates(&index, "other", event), 0);
}

#[test]
fn the_rarer_value_is_the_one_that_finds() {
    let mut index = Index::new();
    for subscriber in 0..1_000 {
        let both = json!({"side": "buy", "symbol": format!("S{subscriber}"), "px": {"gt": 0}});
        index.insert(subscriber, &pattern(">"), Some(filter(&both)));
    }
    let event = r#"{"side":"buy","symbol":"S77","px":1}"#;
    assert_eq!(audience(&index, "t", event), [77]);
    assert!(candidates(&index, "t", event) <= 3, "{}", candidates(&index, "t", event));
}

#[test]
fn alternatives_are_found_by_either_value() {
    let mut index = Index::new();
    for subscriber in 0..100 {
        let either = json!({"or": [{"buyer": subscriber}, {"seller": subscriber, "px": {"gt": 5}}]});
        index.insert(subscriber, &pattern(">"), Some(filter(&either)));
    }
    let event = r#"{"buyer":10,"seller":20,"px":3}"#;
    assert_eq!(audience(&index, "t", event), [10]);
    assert_eq!(candidates(&index, "t", event), 2);
}

#[test]
fn a_field_that_nobody_names_any_more_is_not_read() {
    let mut index = Index::new();
    let entry = index.insert(1, &pattern(">"), Some(filter(&json!({"a.b.c": "x", "$key": "k"}))));
    assert!(!index.fields.is_bare());
    index.remove(entry);
    assert!(index.is_bare());
    index.remove(Entry(17));
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(u32, String, Option<serde_json::Value>),
    Remove(prop::sample::Index),
    Match(String, String),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let filter = proptest::option::weighted(0.8, arbitrary::filters());
    let pattern = prop_oneof![arbitrary::patterns(), arbitrary::topics()];
    let operation = prop_oneof![
        4 => (0..6_u32, pattern, filter).prop_map(|(subscriber, p, f)| Operation::Insert(subscriber, p, f)),
        2 => any::<prop::sample::Index>().prop_map(Operation::Remove),
        3 => (arbitrary::topics(), arbitrary::payloads()).prop_map(|(topic, data)| Operation::Match(topic, data)),
    ];
    prop::collection::vec(operation, 0..60)
}

proptest! {
    #[test]
    fn the_index_is_every_entry_looked_at_one_by_one(operations in operations()) {
        let mut index = Index::new();
        let mut model: Vec<(Entry, u32, Pattern, Option<Arc<Filter>>)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Insert(subscriber, text, json) => {
                    let (pattern, filter) = (pattern(&text), json.as_ref().map(filter));
                    let entry = index.insert(subscriber, &pattern, filter.clone());
                    model.push((entry, subscriber, pattern, filter));
                }
                Operation::Remove(which) if !model.is_empty() => {
                    index.remove(model.swap_remove(which.index(model.len())).0);
                }
                Operation::Remove(_) => {}
                Operation::Match(text, data) => {
                    let topic = Topic::new(&text).unwrap();
                    let event = arbitrary::view(&topic, &data);
                    let wants = |pattern: &Pattern, filter: &Option<Arc<Filter>>| {
                        pattern.matches(&topic) && filter.as_ref().is_none_or(|filter| filter.matches(event))
                    };
                    let mut expected: Vec<u32> = model
                        .iter()
                        .filter(|(_, _, pattern, filter)| wants(pattern, filter))
                        .map(|(_, subscriber, ..)| *subscriber)
                        .collect();
                    expected.sort_unstable();
                    expected.dedup();
                    prop_assert_eq!(audience(&index, &text, &data), expected);
                    let selecting = model.iter().filter(|(_, _, pattern, _)| pattern.matches(&topic)).count();
                    prop_assert_eq!(index.selecting(&topic), selecting);
                }
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for (entry, ..) in model {
            index.remove(entry);
        }
        prop_assert!(index.is_bare());
    }
}
