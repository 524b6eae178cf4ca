//! What a client writes: a filter as JSON, or the query of a URL. Any text is read or refused, quickly; what is read is
//! shown as JSON that reads as the same, and can be used on an event. The first byte says which of the two it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_protocol::{EventView, Json, Refusal, Topic};
use standpipe_selection::{Bounds, Filter, Query};

const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 64 * 1024,
    max_filter_depth: 16,
    max_filter_nodes: 256,
    max_set_values: 10_000,
    max_subscriptions: 16,
    max_topics_per_command: 16,
};

fuzz_target!(|input: &[u8]| {
    let Some((form, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let filter = if *form == b'?' { query(text) } else { filter(text) };
    let Some(filter) = filter else { return };
    let shown = filter.to_string();
    match Filter::parse(&Json::parse(shown.as_str()).expect("a filter is shown as JSON"), &BOUNDS) {
        Ok(again) => assert_eq!(again, filter, "{shown}"),
        // A URL may hold more than one message, and escapes take more room when they are shown.
        Err(refusal) => assert_is_about_bounds(&refusal, &shown),
    }
    let topic = Topic::new("a.b").expect("a topic");
    let data = r#"{"a":[1,"1.50",{"b":null}],"price":"30240.10","user":{"name":"é"}}"#;
    filter.matches(EventView { topic: &topic, key: Some("k"), id: None, ts: Some(-1), source: "fuzz", data });
});

fn filter(text: &str) -> Option<Filter> {
    let json = Json::parse(text).ok()?;
    told(Filter::parse(&json, &BOUNDS))
}

fn query(text: &str) -> Option<Filter> {
    let declared = ["page_url".to_owned()];
    let query = told(Query::parse(text, None, &declared, &BOUNDS))?;
    let filter = query.selection?.filter?;
    Some(std::sync::Arc::into_inner(filter).expect("nobody else holds it"))
}

/// A refusal says what would be right, and is short, whatever was refused.
fn told<T>(read: Result<T, Refusal>) -> Option<T> {
    if let Err(refusal) = &read {
        let hint = refusal.hint.as_deref().unwrap_or_default();
        assert!(!refusal.message.is_empty() && !hint.is_empty(), "{refusal:?}");
        assert!(refusal.message.len() + hint.len() < 2_000, "{refusal:?}");
    }
    read.ok()
}

fn assert_is_about_bounds(refusal: &Refusal, shown: &str) {
    assert!(refusal.message.contains("more than") || refusal.message.contains("at most"), "{refusal:?} {shown}");
}
