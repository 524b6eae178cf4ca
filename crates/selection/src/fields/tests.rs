use proptest::prelude::*;
use standpipe_protocol::Topic;

use super::*;

fn view<'a>(topic: &'a Topic, data: &'a str) -> EventView<'a> {
    EventView { topic, key: Some("k"), id: None, ts: Some(-17), source: "s", data }
}

/// What `path` finds in `data`, as text.
fn found(path: &str, data: &str) -> Vec<String> {
    let mut fields = Fields::new();
    let slot = fields.claim(&Path::parse(path).unwrap());
    let topic = Topic::new("a.b").unwrap();
    fields.read(view(&topic, data)).of(slot).iter().map(|(_, value)| shown(value)).collect()
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text { text, .. } => format!("{text:?}"),
        Value::Other => "other".to_owned(),
    }
}

#[test]
fn a_path_leads_through_objects_and_lists() {
    let data = r#" { "a" : 1, "b": {"c": "x", "d": {}}, "l": [1, [2, {"n": 3}], {"n": [4]}], "e": [], "n": null,
        "a.b": 5, "\u0061b": 6, "big": 1e99999999999999999999, "bad": "\ud800", "id": 12345678901234567890123 } "#;
    for (path, values) in [
        ("a", vec!["1"]),
        ("b.c", vec!["\"x\""]),
        ("b", vec!["other"]),
        ("b.d", vec!["other"]),
        ("b.d.e", vec![]),
        ("a.c", vec![]),
        ("l", vec!["other", "1", "other", "2", "other", "other"]),
        ("l.n", vec!["3", "other", "4"]),
        ("e", vec!["other"]),
        ("n", vec!["null"]),
        ("a\\.b", vec!["5"]),
        ("ab", vec!["6"]),
        ("big", vec!["other"]),
        ("bad", vec!["other"]),
        ("id", vec!["1.2345678901234567890123e22"]),
        ("data", vec!["other"]),
        ("none", vec![]),
        ("$topic", vec!["\"a.b\""]),
        ("$id", vec![]),
        ("$ts", vec!["-17"]),
    ] {
        assert_eq!(found(path, data), values, "{path}");
    }
    assert_eq!(found("data", "17"), ["17"]);
    assert_eq!(found("a", r#"{"a":1,"a":2}"#), ["1", "2"], "a name that stands twice counts twice");
}

#[test]
fn a_list_of_a_million_lists_does_not_recurse() {
    let data = format!("{{\"a\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(found("a", &data).len(), 1_000_001);
}

#[test]
fn the_last_claim_takes_the_field_with_it() {
    let mut fields = Fields::new();
    let paths = ["a.b", "a", "a.b", "$ts", "data"].map(|text| Path::parse(text).unwrap());
    for path in &paths {
        fields.claim(path);
    }
    for path in &paths {
        assert!(!fields.is_bare());
        fields.release(path);
    }
    assert!(fields.is_bare());
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a\"\\\\\u{7}é]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec(("[ab\"é]", inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// What the documentation says, on the tree.
fn reference(value: &serde_json::Value, steps: &[&str], out: &mut Vec<String>) {
    if let serde_json::Value::Array(elements) = value {
        if steps.is_empty() {
            out.push("other".to_owned());
        }
        for element in elements {
            reference(element, steps, out);
        }
        return;
    }
    match (steps, value) {
        ([], serde_json::Value::Object(_)) => out.push("other".to_owned()),
        ([], serde_json::Value::String(text)) => out.push(format!("{text:?}")),
        ([], scalar) => out.push(scalar.to_string()),
        ([first, rest @ ..], serde_json::Value::Object(entries)) => {
            if let Some(inner) = entries.get(*first) {
                reference(inner, rest, out);
            }
        }
        _ => {}
    }
}

fn path_of(steps: &[String]) -> Path {
    let target = Target::Data(steps.iter().map(|step| step.as_str().into()).collect());
    Path::parse(&target.to_string()).unwrap()
}

proptest! {
    #[test]
    fn the_walk_finds_what_a_tree_would_show(
        data in json(),
        pretty: bool,
        paths in proptest::collection::vec(proptest::collection::vec("[ab\"é]", 0..4), 1..5),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&data) } else { serde_json::to_string(&data) }.unwrap();
        let mut fields = Fields::new();
        let slots: Slots = paths
            .iter()
            .map(|steps| fields.claim(&path_of(steps)))
            .collect();
        let topic = Topic::new("t").unwrap();
        let found = fields.read(view(&topic, &text));
        for (steps, slot) in paths.iter().zip(slots) {
            let mut expected = Vec::new();
            reference(&data, &steps.iter().map(String::as_str).collect::<Vec<_>>(), &mut expected);
            let mut told: Vec<String> = found.of(slot).iter().map(|(_, value)| shown(value)).collect();
            expected.sort();
            told.sort();
            prop_assert_eq!(told, expected);
        }
    }

    #[test]
    fn text_that_is_not_json_ends_the_walk_without_a_panic(data in "[\\[\\]{},:\"a1 \\\\é]{0,40}|.{0,40}") {
        let mut fields = Fields::new();
        for path in ["a", "a.a", "data", "1"] {
            fields.claim(&Path::parse(path).unwrap());
        }
        let topic = Topic::new("t").unwrap();
        let _ = fields.read(view(&topic, &data));
    }
}
