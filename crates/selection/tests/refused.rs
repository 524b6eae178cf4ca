//! What cannot be asked for is refused, whatever it is, with a code and with what would be right.

use standpipe_protocol::{Command, Json, Refusal, Subscribe, codec};
use standpipe_selection::{Bounds, Filter, Options, Params, Pattern, Query, Selection, Subscription, Subscriptions};

/// As a server has them unless it is told otherwise.
const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 256 * 1024,
    max_filter_depth: 8,
    max_filter_nodes: 256,
    max_set_values: 10_000,
    max_subscriptions: 128,
    max_topics_per_command: 128,
};

/// The same, but that a filter may be as large as it likes: so the bounds behind that of its bytes are reached.
const WIDE: Bounds = Bounds { max_filter_bytes: usize::MAX, ..BOUNDS };

fn nested(times: usize, before: &str, within: &str, after: &str) -> String {
    [&before.repeat(times), within, &after.repeat(times)].concat()
}

fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(element).collect::<Vec<_>>().join(","))
}

/// Filters that are too much, or mean nothing, and what the hint has to name.
fn filters() -> Vec<(String, &'static str)> {
    let numbers = |count| list(count, |i| i.to_string());
    let fields: Vec<String> = (0..257).map(|i| format!("\"f{i}\":{i}")).collect();
    let text = |filter: &str, hint| (filter.to_owned(), hint);
    vec![
        (format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000)), "limits.max_filter_bytes"),
        (nested(10_000, r#"{"not":"#, "{}", "}"), "limits.max_filter_depth"),
        (nested(10_000, r#"{"or":["#, "{}", "]}"), "limits.max_filter_depth"),
        (nested(10_000, r#"{"a":"#, "1", "}"), "operators are"),
        (format!(r#"{{"a":{}}}"#, nested(10_000, "[", "1", "]")), r#"{"in":[["#),
        (format!(r#"{{"a":{{"in":{}}}}}"#, nested(10_000, "[", "1", "]")), "take one value"),
        (format!(r#"{{"a":{{"in":{}}}}}"#, numbers(1_000_000)), "limits.max_filter_bytes"),
        (format!(r#"{{"a":{{"in":{}}}}}"#, numbers(10_001)), "limits.max_set_values"),
        (format!(r#"{{"a":{{"nin":{}}}}}"#, numbers(10_001)), "limits.max_set_values"),
        (format!("{{{}}}", fields.join(",")), "limits.max_filter_nodes"),
        (format!(r#"{{"or":{}}}"#, list(257, |_| "{}".to_owned())), "limits.max_filter_nodes"),
        (format!(r#"{{"or":{}}}"#, list(200, |i| format!(r#"{{"a":{i},"b":{i}}}"#))), "limits.max_filter_nodes"),
        (format!(r#"{{"{}":1}}"#, "x".repeat(256)), "shorter name"),
        (format!(r#"{{"{}":1}}"#, ["x"; 17].join(".")), "nearer to the top"),
        text("7", "looks like"),
        text(r#"{"price":{"gtt":5}}"#, "did you mean `gt`?"),
        text(r#"{"price":{"regex":"x"}}"#, "operators are"),
        text(r#"{"price":{"not":{"gt":5}}}"#, "whole filter"),
        text(r#"{"price":{}}"#, "operators are"),
        text(r#"{"price":{"gt":true}}"#, "30240.1"),
        text(r#"{"price":{"gt":"high"}}"#, "30240.1"),
        text(r#"{"price":{"gt":1e99999999999999999999}}"#, "exponent"),
        text(r#"{"price":1e99999999999999999999}"#, "exponent"),
        text(r#"{"price":{"eq":[1]}}"#, "take one value"),
        text(r#"{"price":{"in":5}}"#, "[5]"),
        text(r#"{"price":{"in":[]}}"#, "leave it out"),
        text(r#"{"name":{"prefix":5}}"#, "quotes"),
        text(r#"{"name":{"exists":1}}"#, "`true`"),
        text(r#"{"name":"\ud800"}"#, "surrogate"),
        text(r#"{"\ud800":1}"#, "surrogate"),
        text(r#"{"a":1,"a":2}"#, "once"),
        text(r#"{"a":1,"\u0061":2}"#, "once"),
        text(r#"{"a":{"gt":1,"gt":2}}"#, "once"),
        text(r#"{"and":[],"and":[]}"#, "once"),
        text(r#"{"and":[]}"#, "leave it out"),
        text(r#"{"or":{}}"#, r#"{"or":["#),
        text(r#"{"not":[]}"#, "looks like"),
        text(r#"{"$topc":"x"}"#, "did you mean `$topic`?"),
        text(r#"{"$price":"x"}"#, "`data.$price`"),
        text(r#"{"":1}"#, "single dots"),
        text(r#"{"a..b":1}"#, "single dots"),
        text(r#"{"a\\b":1}"#, "backslash"),
        // A field may be called so; what is asked of it may not.
        text(r#"{"__proto__":{"polluted":true}}"#, "operators are"),
        text(r#"{"constructor":{"prototype":{}}}"#, "operators are"),
        text(r#"{"__proto__..x":1}"#, "single dots"),
    ]
}

/// Queries of URLs, likewise.
fn queries() -> Vec<(String, &'static str)> {
    let many =
        |count: usize, parameter: &dyn Fn(usize) -> String| (0..count).map(parameter).collect::<Vec<_>>().join("&");
    let text = |query: &str, hint| (query.to_owned(), hint);
    vec![
        (format!("where.a={}", "x".repeat(1_000_000)), "limits.max_filter_bytes"),
        (format!("where.a={}", "1,".repeat(10_000)), "limits.max_set_values"),
        (many(257, &|i| format!("where.f{i}=x")), "limits.max_filter_nodes"),
        (format!("where.{}=1", "x".repeat(256)), "shorter name"),
        (format!("topics={}", ["a"; 129].join(",")), "limits.max_topics_per_command"),
        (format!("topics={}", "a".repeat(256)), "`>`"),
        text("where.price.gtt=5", "did you mean `where.price.gt`?"),
        text("where.price.gt=high", "30240.1"),
        text("where.price.gt=1e99999999999999999999", "30240.1"),
        text("where.price.gt=1,2", "%2C"),
        text("where.name.prefix=a,b", "%2C"),
        text("where.a.exists=maybe", "`true`"),
        text("where.gt=5", "where.gt.eq"),
        text("where.=5", "single dots"),
        text("where.$topc=x", "did you mean `$topic`?"),
        text("where.a", "where.a="),
        text("where.a=1&where.a=2", "commas"),
        text("where.a=%ff", "%C3%A9"),
        text("where.a=50%", "%25"),
        text("filter=price", "percent-encoded"),
        text("filter={}&filter={}", "once"),
        text("__proto__=1", "where.__proto__"),
        text("topcs=a", "did you mean `topics`?"),
        text("topics=a..b", "single dots"),
        text("topics=", "`>`"),
        text("topics=a.%3E.b", "`*`"),
        text("after=now", "heartbeat"),
        text("resume=x", "welcome"),
        text("snapshot=maybe", "snapshot=1"),
        text("overflow=drop", "catch_up"),
        text("access_token=", "leaves"),
        text("access_token=a&access_token=b", "once"),
    ]
}

/// Commands whose fields are wrong.
const COMMANDS: &[(&str, &str)] = &[
    (r#"{"op":"subscribe"}"#, r#"["trades.*""#),
    (r#"{"op":"subscribe","topics":[]}"#, "`>`"),
    (r#"{"op":"subscribe","topics":"a"}"#, r#"["trades.*""#),
    (r#"{"op":"subscribe","topics":["a b"]}"#, "~20"),
    (r#"{"op":"subscribe","topics":["a,b"]}"#, "a value of its own"),
    (r#"{"op":"subscribe","topics":["a*"]}"#, "prefix"),
    (r#"{"op":"subscribe","topics":["a"],"topics":["b"]}"#, "once"),
    (r#"{"op":"subscribe","topics":["a"],"fliter":{}}"#, "did you mean `filter`?"),
    (r#"{"op":"subscribe","topics":["a"],"__proto__":{}}"#, "its fields are"),
    (r#"{"op":"subscribe","topics":["a"],"filter":null}"#, "not sent"),
    (r#"{"op":"subscribe","topics":["a"],"filter":{"a":1,"a":2}}"#, "once"),
    (r#"{"op":"subscribe","topics":["a"],"params":{"a":"1","a":"2"}}"#, "once"),
    (r#"{"op":"subscribe","topics":["a"],"after":"x"}"#, "heartbeat"),
    (r#"{"op":"subscribe","topics":["a"],"snapshot":1}"#, "true or false"),
];

/// Asserts that `read` refuses, in few words, with a hint that names `hint`.
fn assert_refused(what: &str, hint: &str, read: impl FnOnce() -> Result<(), Refusal>) {
    let shown: String = what.chars().take(80).collect();
    let Err(refusal) = read() else { panic!("{shown}: was not refused") };
    assert!(!refusal.code.as_str().is_empty() && !refusal.message.is_empty(), "{shown}: {refusal:?}");
    let told = refusal.hint.as_deref().unwrap_or_default();
    assert!(told.contains(hint), "{shown}: {refusal:?}");
    assert!(refusal.message.len() + told.len() < 600, "{shown}: {refusal:?}");
}

fn subscribe(filter: &str) -> Subscribe {
    Subscribe {
        id: None,
        topics: vec!["a".to_owned()],
        // Not by `Json::parse`, which refuses what is nested deeply: nothing here may rely on that.
        filter: Some(Json::written(filter)),
        params: Params::new(),
        after: None,
        snapshot: false,
        conflate: false,
    }
}

#[test]
fn every_bad_input_is_refused_with_a_hint() {
    for (filter, hint) in filters() {
        let bounds = if hint == "limits.max_filter_bytes" { BOUNDS } else { WIDE };
        assert_refused(&filter, hint, || Selection::from_command(&subscribe(&filter), &bounds).map(drop));
        let encoded = format!("filter={}", filter.replace('%', "%25").replace('+', "%2B").replace('&', "%26"));
        // What is nested too deep for any JSON is refused in a URL before it is a filter.
        if Json::parse(filter.as_str()).is_ok() {
            assert_refused(&encoded, hint, || Query::parse(&encoded, None, &[], &bounds).map(drop));
        }
    }
    for (query, hint) in queries() {
        assert_refused(&query, hint, || Query::parse(&query, None, &[], &BOUNDS).map(drop));
    }
    for (command, hint) in COMMANDS {
        assert_refused(command, hint, || match codec::decode(command)? {
            Command::Subscribe(subscribe) => Selection::from_command(&subscribe, &BOUNDS).map(drop),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn a_million_values_are_refused_by_their_number_where_their_bytes_are_allowed() {
    let values = format!(r#"{{"a":{{"in":{}}}}}"#, list(1_000_000, |i| i.to_string()));
    assert_refused(&values, "limits.max_set_values", || {
        Filter::parse(&Json::written(values.as_str()), &WIDE).map(drop)
    });
}

#[test]
fn one_subscription_too_many_is_refused_with_a_hint() {
    let mut subscriptions = Subscriptions::new(1);
    let subscription = |topic| Subscription {
        pattern: Pattern::new(topic).unwrap(),
        params: Params::new(),
        lease: None,
        filter: None,
        asked: None,
        options: Options::default(),
    };
    subscriptions.put(subscription("a"), ()).unwrap();
    assert_refused("b", "limits.max_subscriptions", || subscriptions.put(subscription("b"), ()).map(drop));
}

#[test]
fn names_that_are_special_elsewhere_are_fields_like_any_other() {
    for name in ["__proto__", "constructor", "prototype", "__proto__.x", "hasOwnProperty"] {
        Filter::parse(&Json::written(format!(r#"{{"{name}":1}}"#)), &BOUNDS).unwrap();
        Query::parse(&format!("where.{name}=1"), None, &[], &BOUNDS).unwrap();
    }
}
