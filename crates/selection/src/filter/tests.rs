use std::fmt::Write;

use proptest::prelude::*;
use standpipe_protocol::Topic;

use super::*;
use crate::{arbitrary, bounds};

fn parse(text: &str, bounds: &Bounds) -> Result<Filter, String> {
    let json = Json::parse(text).unwrap();
    Filter::parse(&json, bounds).map_err(|refusal| refusal.message)
}

/// What is refused in few words, however large it is.
fn refused(text: &str, bounds: &Bounds) -> String {
    // Not by `Json::parse`, which has bounds of its own: nothing here may rely on them.
    let json = Json::written(text);
    let refusal = Filter::parse(&json, bounds).unwrap_err();
    assert!(refusal.message.len() < 300, "{}", refusal.message);
    refusal.message
}

const WIDE: Bounds = Bounds { max_filter_bytes: usize::MAX, ..bounds::TEST };

#[test]
fn a_megabyte_is_refused_unread() {
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(refused(&text, &bounds::TEST), "the filter has 1048584 bytes, at most 65536 are allowed");
    assert!(parse(&text, &WIDE).is_ok());
}

#[test]
fn ten_thousand_nested_nots_are_refused() {
    let text = format!("{}{{}}{}", "{\"not\":".repeat(10_000), "}".repeat(10_000));
    for max_filter_depth in [16, usize::MAX] {
        let bounds = Bounds { max_filter_depth, max_filter_nodes: usize::MAX, ..WIDE };
        assert!(refused(&text, &bounds).ends_with(&format!("is nested more than {} deep", bounds.depth())));
    }
    let bound = format!("{}{{}}{}", "{\"not\":".repeat(15), "}".repeat(15));
    assert!(parse(&bound, &bounds::TEST).is_ok());
}

#[test]
fn the_deepest_filter_is_read_used_shown_and_dropped() {
    let text = format!("{}{{\"a\":1}}{}", "{\"and\":[{\"x\":1},{\"not\":".repeat(40), "}]}".repeat(40));
    let filter = parse(&text, &Bounds { max_filter_depth: 128, ..bounds::TEST }).unwrap();
    let topic = Topic::new("t").unwrap();
    assert!(filter.matches(arbitrary::view(&topic, "{\"x\":1,\"a\":1}")));
    assert!(!filter.matches(arbitrary::view(&topic, "{\"x\":1}")));
    assert!(filter.to_string().ends_with(&"}".repeat(41)));
}

#[test]
fn a_million_values_are_refused_before_they_are_kept() {
    let text = format!("{{\"a\":{{\"in\":[0{}]}}}}", ",1234".repeat(1_000_000));
    assert!(refused(&text, &bounds::TEST).starts_with("the filter has 5000"));
    assert_eq!(refused(&text, &WIDE), "`a.in` has more than 10000 values");
    let bound = format!("{{\"a\":{{\"in\":[0{}]}}}}", ",1".repeat(9_999));
    assert!(parse(&bound, &bounds::TEST).is_ok());
}

#[test]
fn many_conditions_are_refused() {
    let mut text = String::from("{\"f\":1");
    for i in 1..=256 {
        write!(text, ",\"f{i}\":1").unwrap();
    }
    assert_eq!(refused(&(text + "}"), &bounds::TEST), "the filter has more than 256 conditions");
    let text = format!("{{\"or\":[{{\"a\":1}}{}]}}", ",{\"a\":1}".repeat(255));
    assert_eq!(refused(&text, &bounds::TEST), "the filter has more than 256 conditions");
    let text = format!("{{\"or\":[{{}}{}]}}", ",{}".repeat(1_000_000));
    assert_eq!(refused(&text, &WIDE), "`or` has more than 256 filters");
}

#[test]
fn names_that_mean_something_elsewhere_mean_nothing_here() {
    let topic = Topic::new("t").unwrap();
    for name in ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "length"] {
        let filter = parse(&format!("{{\"{name}\":{{\"exists\":true}}}}"), &bounds::TEST).unwrap();
        assert!(!filter.matches(arbitrary::view(&topic, "{}")), "{name}");
        assert!(filter.matches(arbitrary::view(&topic, &format!("{{\"{name}\":1}}"))), "{name}");
    }
}

#[test]
fn the_place_of_a_deep_fault_is_told() {
    let told = |text| parse(text, &bounds::TEST).unwrap_err();
    assert_eq!(told(r#"{"and":[{"a":1},{"or":[{"b":{"gte":"x"}}]}]}"#), "`and[1].or[0].b.gte` takes a number, not `x`");
    assert_eq!(told(r#"{"not":{"a":1,"a":2}}"#), "`not.a` stands twice");
    assert_eq!(told(r#"{"a":{"gt":1,"gt":2}}"#), "`a.gt` stands twice");
    assert_eq!(told(r#"{"a":1,"\u0061":2}"#), "`a` stands twice");
    assert_eq!(told(r#"{"a":"\ud800"}"#), "`a` has a string that is not Unicode");
    assert_eq!(told(r#"{"\ud800":1}"#), "the filter has a name that is not Unicode");
    assert_eq!(told(" [ ] "), "the filter has to be an object, not a list");
}

#[test]
fn a_filter_is_shown_as_it_would_be_written() {
    for (text, shown) in [
        (r#" { "a" : 1.0 , "b" : { "gte" : "5" , "lt" : 1e2 } } "#, r#"{"a":1,"b":{"gte":5,"lt":100}}"#),
        (r#"{"and":[{"a":{"gt":1}},{"a":{"gt":2}}]}"#, r#"{"and":[{"a":{"gt":1}},{"a":{"gt":2}}]}"#),
        (r#"{"and":[{"a":1},{"b":{"ne":null}}]}"#, r#"{"a":1,"b":{"ne":null}}"#),
        (r#"{"a":{"in":["b","a","b"]}}"#, r#"{"a":{"in":["a","b"]}}"#),
        (r#"{"a":{"eq":1,"exists":true}}"#, r#"{"a":{"eq":1,"exists":true}}"#),
        (r#"{"or":[{"a":1},{"or":[{"b":2},{"not":{}}]}]}"#, r#"{"or":[{"a":1},{"b":2},{"not":{}}]}"#),
        (r#"{"data.or":1,"data.x":2,"a\\.b":"\""}"#, r#"{"data.or":1,"x":2,"a\\.b":"\""}"#),
    ] {
        let filter = parse(text, &bounds::TEST).unwrap();
        assert_eq!(filter.to_string(), shown);
        assert_eq!(serde_json::to_string(&filter).unwrap(), shown);
    }
}

proptest! {
    #[test]
    fn a_shown_filter_reads_as_an_equal_one(json in arbitrary::filters(), data in arbitrary::payloads()) {
        let filter = arbitrary::filter(&json);
        let again = parse(&filter.to_string(), &Bounds { max_filter_depth: 32, ..bounds::TEST }).unwrap();
        prop_assert_eq!(&again, &filter);
        let topic = Topic::new("a").unwrap();
        prop_assert_eq!(again.matches(arbitrary::view(&topic, &data)), filter.matches(arbitrary::view(&topic, &data)));
    }

    #[test]
    fn not_turns_everything_round(json in arbitrary::filters(), data in arbitrary::payloads()) {
        let (filter, not) = (arbitrary::filter(&json), arbitrary::filter(&serde_json::json!({"not": json})));
        let topic = Topic::new("a").unwrap();
        prop_assert_ne!(filter.matches(arbitrary::view(&topic, &data)), not.matches(arbitrary::view(&topic, &data)));
    }

    #[test]
    fn any_json_is_a_filter_or_refused(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"and\"", "\"or\"", "\"not\"", "\"a\"", "\"in\"", "\"gt\"", "\"$ts\"",
                "\"exists\"", "1", "\"1\"", "1e9999999999", "null", "true", "\"\\ud800\"", " ",
            ]),
            0..24,
        ),
    ) {
        let text = words.concat();
        for text in [text.clone(), format!("{{\"a\":{text}}}"), format!("{{\"or\":[{{{text}}}]}}")] {
            if let Ok(json) = Json::parse(text) {
                let _ = Filter::parse(&json, &bounds::TEST);
            }
        }
    }
}
