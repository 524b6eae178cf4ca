//! The documentation of filters is true: every row of every table in `docs/filters.md` is executed.

#![expect(clippy::unwrap_used, reason = "a test, of which this is also true outside its `#[test]` functions")]

use std::sync::Arc;

use standpipe_protocol::{EventView, Json, Refusal, Topic};
use standpipe_selection::{Bounds, Filter, Index, Options, Params, Pattern, Query, Subscription, Subscriptions};

const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 64 * 1024,
    max_filter_depth: 16,
    max_filter_nodes: 256,
    max_set_values: 10_000,
    max_subscriptions: 128,
    max_topics_per_command: 128,
};

/// A cell that is nothing but code, without its back quotes; any other as it stands.
fn text(cell: &str) -> String {
    let code = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    code.filter(|code| !code.contains('`')).unwrap_or(cell).to_owned()
}

/// The rows below every table header that begins so.
fn rows(header: &str) -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/filters.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        if !line.starts_with('|') {
            is_inside = false;
        } else if line.starts_with(header) {
            is_inside = true;
        } else if is_inside && !line.starts_with("|---") {
            rows.push(line.trim_matches('|').split('|').map(|cell| text(cell.trim())).collect());
        }
    }
    assert!(!rows.is_empty(), "no table begins with {header}");
    rows
}

fn filter(text: &str) -> Result<Filter, Refusal> {
    Filter::parse(&Json::parse(text).unwrap(), &BOUNDS)
}

fn query(text: &str) -> Result<Query, Refusal> {
    Query::parse(text, None, &[], &BOUNDS)
}

/// What all three evaluators say.
fn selects(filter: &Arc<Filter>, data: &str) -> Vec<bool> {
    let topic = Topic::new("trades.BTC").unwrap();
    let event = EventView {
        topic: &topic,
        key: Some("BTC"),
        id: Some("t:17"),
        ts: Some(1_732_212_345_678),
        source: "okx",
        data,
    };
    let pattern = Pattern::everything();
    let mut index = Index::new();
    index.insert(7, &pattern, Some(filter.clone()));
    let mut audience = vec![99];
    index.audience(event, &mut audience);
    let mut subscriptions = Subscriptions::new(1);
    let subscription = Subscription {
        pattern,
        params: Params::new(),
        lease: None,
        filter: Some(filter.clone()),
        asked: None,
        options: Options::default(),
    };
    subscriptions.put(subscription, ()).unwrap();
    vec![filter.matches(event), audience == [7], subscriptions.matches(event)]
}

#[test]
fn every_row_of_the_documentation_is_what_happens() {
    let rows = rows("| data | filter |");
    for row in &rows {
        let [data, json, url, selected] = &**row else { panic!("four cells: {row:?}") };
        let expected = match selected.as_str() {
            "yes" => [true; 3],
            "no" => [false; 3],
            other => panic!("yes or no: {other}"),
        };
        let from_json = Arc::new(filter(json).unwrap_or_else(|refusal| panic!("{json}: {refusal}")));
        assert_eq!(selects(&from_json, data), expected, "{row:?}");
        if url != "–" {
            let selection = query(url).unwrap_or_else(|refusal| panic!("{url}: {refusal}")).selection.unwrap();
            assert_eq!(selection.patterns, [Pattern::everything()], "{row:?}");
            assert_eq!(selection.filter.as_ref(), Some(&from_json), "{row:?}");
        }
        let shown = Json::parse(from_json.to_string()).unwrap();
        assert_eq!(Filter::parse(&shown, &BOUNDS).as_ref(), Ok(&*from_json), "shown as {shown:?}");
    }
    assert!(rows.len() > 100, "{} rows were found", rows.len());
}

#[test]
fn every_refusal_of_the_documentation_is_what_is_said() {
    for row in rows("| filter | message |") {
        let [text, message, hint] = &*row else { panic!("three cells: {row:?}") };
        let refusal = filter(text).unwrap_err();
        let told = [refusal.code.as_str(), &refusal.message, refusal.hint.as_deref().unwrap_or_default()];
        assert_eq!(told, ["INVALID_FILTER", message, hint], "{text}");
    }
    for row in rows("| in a URL | code |") {
        let [text, code, message, hint] = &*row else { panic!("four cells: {row:?}") };
        let refusal = query(text).unwrap_err();
        let told = [refusal.code.as_str(), &refusal.message, refusal.hint.as_deref().unwrap_or_default()];
        assert_eq!(told, [code, message, hint], "{text}");
    }
}
