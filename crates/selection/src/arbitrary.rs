//! What the property tests draw from: small vocabularies, so that things meet.

use proptest::prelude::*;
use serde_json::{Value, json};
use standpipe_protocol::{EventView, Json, Topic};

use crate::{Filter, bounds};

pub(crate) fn filter(json: &Value) -> Filter {
    Filter::parse(&Json::parse(json.to_string()).unwrap(), &bounds::TEST).unwrap()
}

pub(crate) fn view<'a>(topic: &'a Topic, data: &'a str) -> EventView<'a> {
    EventView { topic, key: Some("a"), id: None, ts: Some(2), source: "s", data }
}

pub(crate) fn topics() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|tokens| tokens.join("."))
}

pub(crate) fn patterns() -> impl Strategy<Value = String> {
    let tokens = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 0..4);
    (tokens, any::<bool>()).prop_map(|(mut tokens, is_open)| {
        if is_open || tokens.is_empty() {
            tokens.push(">");
        }
        tokens.join(".")
    })
}

fn scalars() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!("a"),
        json!("b"),
        json!("1"),
        json!("2.0"),
        json!(1),
        json!(2.0),
        json!(-3),
        json!(true),
        json!(false),
        Value::Null,
    ])
}

/// Payloads: a few fields, some nested, some of them lists.
pub(crate) fn payloads() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => scalars(),
        1 => prop::collection::vec(scalars(), 0..3).prop_map(Value::from),
        1 => scalars().prop_map(|inner| json!({"x": inner})),
        1 => prop::collection::vec(scalars().prop_map(|inner| json!({"x": inner})), 0..3).prop_map(Value::from),
    ];
    let fields = prop::collection::btree_map(prop::sample::select(vec!["f", "g", "h"]), value, 0..4);
    prop_oneof![9 => fields.prop_map(|fields| json!(fields).to_string()), 1 => scalars().prop_map(|v| v.to_string())]
}

pub(crate) fn fields() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["f", "g", "h", "f.x", "data.g", "data", "$key", "$id", "$ts", "$topic"])
}

/// Filters in the JSON form.
pub(crate) fn filters() -> impl Strategy<Value = Value> {
    let numbers = prop::sample::select(vec![json!(1), json!(2), json!("1.5"), json!(-3)]);
    let parts = prop::sample::select(vec![json!("a"), json!(""), json!(".0")]);
    let several = || prop::collection::vec(scalars(), 1..4).prop_map(Value::from);
    let operators = prop_oneof![
        4 => scalars().prop_map(|v| json!({"eq": v})),
        3 => several().prop_map(|v| json!({"in": v})),
        1 => scalars().prop_map(|v| json!({"ne": v})),
        1 => several().prop_map(|v| json!({"nin": v})),
        2 => (prop::sample::select(vec!["gt", "gte", "lt", "lte"]), numbers).prop_map(|(op, v)| json!({op: v})),
        2 => (prop::sample::select(vec!["prefix", "suffix", "contains"]), parts).prop_map(|(op, v)| json!({op: v})),
        1 => any::<bool>().prop_map(|v| json!({"exists": v})),
    ];
    let condition = (fields(), operators).prop_map(|(field, operators)| json!({field: operators}));
    condition.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone().prop_map(|list| json!({"and": list})),
            list.prop_map(|list| json!({"or": list})),
            inner.prop_map(|one| json!({"not": one})),
        ]
    })
}
