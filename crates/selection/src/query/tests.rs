use expect_test::expect;
use proptest::prelude::*;
use serde_json::json;
use standpipe_protocol::{Cursor, Epoch};

use super::*;
use crate::{Filter, arbitrary, bounds};

fn parse(raw: &str) -> Result<Query, Refusal> {
    Query::parse(raw, None, &["page_url".to_owned()], &bounds::TEST)
}

fn told(raw: &str) -> String {
    let refusal = parse(raw).unwrap_err();
    format!("{}: {} [{}]", refusal.code, refusal.message, refusal.hint.unwrap_or_default())
}

fn topics(query: &Query) -> Vec<&str> {
    query.selection.as_ref().unwrap().patterns.iter().map(Pattern::as_str).collect()
}

fn filter_of(raw: &str) -> Filter {
    let filter = parse(raw).unwrap_or_else(|refusal| panic!("{raw}: {refusal}")).selection.unwrap().filter;
    Arc::into_inner(filter.unwrap()).unwrap()
}

#[test]
fn every_parameter_is_read() {
    let raw = "topics=a,b.*&after=9f00000000000001:7:t%3A1&resume=0123456789abcdef0123456789ABCDEF&snapshot=1&conflate=0\
        &overflow=catch_up&on_gap=fail&confirm=ack&access_token=a.b-c%2B&page_url=https%3A%2F%2Fx%3Fy&token=apify";
    let query = parse(raw).unwrap();
    assert_eq!(topics(&query), ["a", "b.*"]);
    let cursor = Cursor { epoch: Epoch(0x9f00_0000_0000_0001), seq: 7, id: Some("t:1".into()) };
    assert_eq!(query.after, Some(After::Cursor(cursor)));
    assert_eq!(query.resume, Some(ResumeToken(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)));
    let options = query.selection.as_ref().unwrap().options;
    assert_eq!(options, Options { snapshot: true, conflate: false });
    assert_eq!(
        (query.overflow, query.on_gap, query.confirm),
        (Some(Overflow::CatchUp), OnGap::Fail, Some(Confirm::Ack))
    );
    assert_eq!(query.access_token, Some(Secret("a.b-c+".into())));
    let selection = query.selection.unwrap();
    assert_eq!(selection.params.get("page_url").map(String::as_str), Some("https://x?y"));
    assert_eq!(selection.filter, None);
}

#[test]
fn an_empty_query_selects_nothing_yet() {
    for raw in ["", "&&", "token=x", "snapshot=0&access_token=y", "after=earliest"] {
        assert_eq!(parse(raw).unwrap().selection, None, "{raw}");
    }
}

#[test]
fn conditions_and_params_without_topics_mean_all_topics() {
    for raw in ["where.a=x", "filter={}", "page_url=x"] {
        assert_eq!(topics(&parse(raw).unwrap()), [">"], "{raw}");
    }
}

#[test]
fn the_topic_of_the_path_comes_first() {
    let parse = |raw| Query::parse(raw, Some("trades.*"), &[], &bounds::TEST);
    assert_eq!(topics(&parse("").unwrap()), ["trades.*"]);
    assert_eq!(topics(&parse("topics=a,trades.*,b&where.x=y").unwrap()), ["trades.*", "a", "b"]);
    assert_eq!(Query::parse("", Some("a..b"), &[], &bounds::TEST).unwrap_err().code, ErrorCode::InvalidTopic);
}

#[test]
fn the_url_of_the_market_scenario_is_read() {
    let filter = filter_of("topics=trades.>&where.data.px.gte=30240&where.side=buy,sell");
    assert_eq!(filter.to_string(), r#"{"px":{"gte":30240},"side":{"in":["buy","sell"]}}"#);
}

#[test]
fn filter_and_where_hold_both() {
    let encoded = "filter=%7B%22a%22%3A1%7D&where.b=x&where.a.exists=1";
    assert_eq!(filter_of(encoded).to_string(), r#"{"and":[{"a":1},{"b":"x"},{"a":{"exists":true}}]}"#);
}

#[test]
fn refusals_name_the_parameter_and_what_would_be_right() {
    let long = format!("topics=a{}", ",a".repeat(200));
    let lines: Vec<String> = [
        "topcs=a",
        "where=5",
        "wehre.price=5",
        "where.=5",
        "where.a..b=5",
        "where.price.GTE=5",
        "where.s.startswith=a",
        "where.$tpic=a",
        "where.a.prefix=x,y",
        "topics=",
        "topics=a,,b",
        "topics=a&topics=b",
        "topics",
        &long,
        "filter=5",
        "filter={\"price\":{\"gtt\":5}}",
        "after=now",
        "after=%ff",
        "resume=abc",
        "snapshot=",
        "conflate=2",
        "snapshot=1&after=earliest",
        "conflate=1",
        "overflow=drop",
        "on_gap=fial",
        "confirm=yes",
        "access_token=",
        "access_token=a&access_token=b",
        "page_ur1=x",
        "a%zz=1",
    ]
    .into_iter()
    .map(told)
    .collect();
    expect![[r#"
        UNKNOWN_PARAMETER: unknown parameter `topcs` [did you mean `topics`?]
        UNKNOWN_PARAMETER: unknown parameter `where` [a condition is written `where.<field>=value` or `where.<field>.<operator>=value`]
        UNKNOWN_PARAMETER: unknown parameter `wehre.price` [a condition is written `where.<field>=value` or `where.<field>.<operator>=value`]
        INVALID_FILTER: the field path `` has an empty name [names stand between single dots, as in `user.name`]
        INVALID_FILTER: the field path `a..b` has an empty name [names stand between single dots, as in `user.name`]
        INVALID_FILTER: the parameter `where.price.GTE` ends with `GTE`, which is no operator [did you mean `where.price.gte`? for a field called so write `where.price.GTE.eq`]
        INVALID_FILTER: the parameter `where.s.startswith` ends with `startswith`, which is no operator [did you mean `where.s.prefix`? for a field called so write `where.s.startswith.eq`]
        INVALID_FILTER: there is no envelope field `$tpic` [did you mean `$topic`?]
        INVALID_FILTER: the parameter `where.a.prefix` has 2 values, its operator takes one [a comma in the value is written `%2C`]
        INVALID_TOPIC: a topic pattern is empty [`trades.*` selects one level, `>` selects everything]
        INVALID_TOPIC: a topic pattern is empty [`trades.*` selects one level, `>` selects everything]
        INVALID_FIELD: the parameter `topics` stands twice [several values are separated by commas: `topics=a,b`]
        INVALID_FIELD: the parameter `topics` has no value [write `topics=…`]
        LIMIT_EXCEEDED: 201 topics in one request, at most 128 are allowed [a pattern such as `trades.*` selects many; the bound is `limits.max_topics_per_command` of the server's configuration]
        INVALID_FILTER: the filter has to be an object, not a number [a filter looks like {"symbol":"BTC","price":{"gte":100}}]
        INVALID_FILTER: unknown operator `gtt` at `price` [did you mean `gt`?]
        INVALID_CURSOR: the parameter `after`: a cursor is `epoch:seq` or `epoch:seq:event-id`, with 16 hexadecimal digits for the epoch; `now` is not [a cursor is told by `heartbeat` and `goodbye`; `after=earliest` begins at the floor of the log]
        INVALID_FIELD: the parameter `after` is not UTF-8 [text is UTF-8, percent-encoded: `é` is `%C3%A9`]
        INVALID_FIELD: the parameter `resume` is not the token of a connection [it is the `resume` of `welcome`: 32 hexadecimal digits]
        INVALID_FIELD: the parameter `snapshot` is `` [`snapshot=1` or `snapshot=0`]
        INVALID_FIELD: the parameter `conflate` is `2` [`conflate=1` or `conflate=0`]
        INVALID_FIELD: the parameter `snapshot` is for what the URL selects, and it selects nothing [add `topics=…`, or leave it out here and say `"snapshot":true` in `subscribe`]
        INVALID_FIELD: the parameter `conflate` is for what the URL selects, and it selects nothing [add `topics=…`, or leave it out here and say `"conflate":true` in `subscribe`]
        INVALID_FIELD: the parameter `overflow` is `drop` [it is one of `disconnect`, `catch_up`, `skip`]
        INVALID_FIELD: the parameter `on_gap` is `fial` [did you mean `fail`?]
        INVALID_FIELD: the parameter `confirm` is `yes` [it is one of `pong`, `ack`]
        INVALID_FIELD: the parameter `access_token` is empty [who has no token leaves the parameter out]
        INVALID_FIELD: the parameter `access_token` stands twice [each parameter stands once]
        UNKNOWN_PARAMETER: unknown parameter `page_ur1` [did you mean `page_url`?]
        INVALID_FIELD: the name of the parameter `a%zz` has a `%` without two hexadecimal digits [a percent sign itself is written `%25`]"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn no_secret_is_ever_in_a_refusal() {
    for raw in [
        "token=hunter2&token=hunter2&x=1",
        "token=hunter2%zz&topics=a..b",
        "tok%65n=hunter2&after=1",
        "access_token=hunter2%zz",
        "access_token=hunter2%ff",
        "access_token=hunter2&access_token=hunter2",
        "access_tokn=hunter2",
        "resume=hunter2",
        "resume=hunter2&resume=hunter2",
        "token=hunter2&access_token=hunter2&where.a.gt=b",
    ] {
        assert!(!told(raw).contains("hunter2"), "{}", told(raw));
    }
    assert!(!format!("{:?}", parse("access_token=hunter2").unwrap()).contains("hunter2"));
}

#[test]
fn a_field_that_ends_like_an_operator_is_only_a_field() {
    for (raw, shown) in [
        ("where.length.new=x", r#"{"length.new":"x"}"#),
        ("where.stats.min.gt=5", r#"{"stats.min":{"gt":5}}"#),
        ("where.a.in.eq=x", r#"{"a.in":"x"}"#),
        ("where.a.in.in=x", r#"{"a.in":"x"}"#),
        ("where.a.gtt.eq=x", r#"{"a.gtt":"x"}"#),
        (r"where.a\.gt=x", r#"{"a\\.gt":"x"}"#),
        (r"where.a%5C.gt=x", r#"{"a\\.gt":"x"}"#),
    ] {
        assert_eq!(filter_of(raw).to_string(), shown, "{raw}");
    }
}

#[test]
fn bounds_hold_in_a_url_too() {
    let values = format!("where.a={}", "x,".repeat(10_000));
    assert_eq!(parse(&values).unwrap_err().message, "the parameter `where.a` has more than 10000 values");
    let long = format!("where.a={}", "x".repeat(100_000));
    assert_eq!(
        parse(&long).unwrap_err().message,
        "the parameter `where.a` has 100000 bytes, at most 65536 are allowed"
    );
    let many: Vec<String> = (0..300).map(|i| format!("where.f{i}=x")).collect();
    assert_eq!(parse(&many.join("&")).unwrap_err().message, "the filter has more than 256 conditions");
    let deep = format!("filter={}{{}}{}", "{\"not\":".repeat(20), "}".repeat(20));
    assert!(parse(&deep).unwrap_err().message.ends_with("is nested more than 16 deep"));
}

/// A text as it stands in a URL when everything is escaped that may be.
fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// What the documentation says that a value of a URL stands for.
fn typed(text: &str) -> Vec<serde_json::Value> {
    let scalar = serde_json::from_str(text).ok().filter(|v: &serde_json::Value| !v.is_string());
    [json!(text)].into_iter().chain(scalar.filter(|_| text.trim() == text)).collect()
}

proptest! {
    #[test]
    fn a_condition_in_a_url_is_the_filter_it_stands_for(
        field in arbitrary::fields(),
        operator in prop::sample::select(vec!["", ".eq", ".in", ".ne", ".nin"]),
        values in prop::collection::vec("[ab,+%& =é]{0,3}|1|2\\.50|-3e2|true|null|01", 1..4),
    ) {
        let list: Vec<String> = values.iter().map(|value| escaped(value)).collect();
        let raw = format!("where.{}{operator}={}", escaped(field), list.join(","));
        let values: Vec<_> = values.iter().flat_map(|value| typed(value)).collect();
        let name = if operator.starts_with(".n") { "nin" } else { "in" };
        prop_assert_eq!(filter_of(&raw), arbitrary::filter(&json!({field: {name: values}})));
    }

    #[test]
    fn an_operator_in_a_url_is_that_of_the_json_form(
        field in arbitrary::fields(),
        condition in prop_oneof![
            (prop::sample::select(vec!["gt", "gte", "lt", "lte"]), "-?[1-9]{1,3}(\\.[0-9]{1,3})?"),
            (prop::sample::select(vec!["prefix", "suffix", "contains"]), "[ab,+%& =é]{0,3}"),
        ],
    ) {
        let (operator, value) = condition;
        let raw = format!("where.{}.{operator}={}", escaped(field), escaped(&value));
        prop_assert_eq!(filter_of(&raw), arbitrary::filter(&json!({field: {operator: value}})));
    }

    #[test]
    fn a_json_filter_in_a_url_is_that_filter(json in arbitrary::filters()) {
        prop_assert_eq!(filter_of(&format!("filter={}", escaped(&json.to_string()))), arbitrary::filter(&json));
    }

    #[test]
    fn any_query_is_read_or_refused(
        raw in "((topics|where\\.|filter|after|where|a|snapshot|\\.|\\$|gt|token|[%+,\\\\]|[0-9a-f]{2}|\\{|\\}|\")?[=&]?){0,12}|.{0,100}",
    ) {
        let _ = parse(&raw);
    }
}
