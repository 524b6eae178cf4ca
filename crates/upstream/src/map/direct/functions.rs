//! The functions of the direct evaluator: the one table of them, from which the documentation is made.
//!
//! A function that is not in it is jaq's, and a program that calls one is jaq's as a whole.

use std::cmp::Ordering;

use jaq_core::ops::Cmp;

use super::{
    collections, dates,
    forms::Form,
    indexing, math,
    plan::{Node, Op, Part, Step},
    run::{Run, Stop, is_true},
    texts,
};
use crate::value::borrowed::Value;

type Outcome<'a> = Result<Value<'a>, Stop>;

/// What a name stands for.
pub(super) enum Callable {
    /// One output for one input and one value of each argument.
    Native(Native),
    /// What decides itself how often its arguments are run.
    Form(Form),
    /// What is written otherwise as well.
    Op(fn() -> Op),
}

/// A function of values.
pub(super) struct Native {
    pub(super) run: for<'a> fn(&Run<'a>, Value<'a>, &[Value<'a>]) -> Outcome<'a>,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Native")
    }
}

const fn native(run: for<'a> fn(&Run<'a>, Value<'a>, &[Value<'a>]) -> Outcome<'a>) -> Callable {
    Callable::Native(Native { run })
}

fn item(index: isize) -> Op {
    let step = Step { part: Part::Index(index), is_optional: false };
    Op::Path(Box::new(Node::new(Op::Input)), vec![step])
}

/// Name, number of arguments, and what it does. In the order of the alphabet.
static FUNCTIONS: [(&str, usize, Callable); 57] = [
    ("add", 0, native(|run, input, _| collections::sum(run, input))),
    ("add", 1, Callable::Form(Form::Add)),
    ("all", 0, native(|_, input, _| Ok(Value::Bool(indexing::children(input)?.all(is_true))))),
    ("all", 1, Callable::Form(Form::All)),
    ("any", 0, native(|_, input, _| Ok(Value::Bool(indexing::children(input)?.any(is_true))))),
    ("any", 1, Callable::Form(Form::Any)),
    ("arrays", 0, Callable::Op(|| Op::Form(Form::Select, vec![is_type("array")]))),
    ("ascii_downcase", 0, native(|run, input, _| texts::changed(run, input, str::make_ascii_lowercase))),
    ("ascii_upcase", 0, native(|run, input, _| texts::changed(run, input, str::make_ascii_uppercase))),
    ("booleans", 0, Callable::Op(|| Op::Form(Form::Select, vec![is_type("boolean")]))),
    ("ceil", 0, native(|_, input, _| math::round(input, f64::ceil))),
    ("empty", 0, Callable::Form(Form::Empty)),
    (
        "endswith",
        1,
        native(|_, input, given| texts::both(input, first(given)).map(|(text, end)| Value::Bool(text.ends_with(end)))),
    ),
    ("error", 0, Callable::Form(Form::Error)),
    ("error", 1, Callable::Form(Form::Error)),
    ("false", 0, Callable::Op(|| Op::Bool(false))),
    ("first", 0, Callable::Op(|| item(0))),
    ("first", 1, Callable::Form(Form::First)),
    ("floor", 0, native(|_, input, _| math::round(input, f64::floor))),
    ("fromdate", 0, native(|_, input, _| dates::seconds(input))),
    ("fromdateiso8601", 0, native(|_, input, _| dates::seconds(input))),
    ("has", 1, native(|_, input, given| indexing::has(input, first(given)))),
    ("isempty", 1, Callable::Form(Form::IsEmpty)),
    ("join", 1, native(|run, input, given| texts::joined(run, input, first(given)))),
    ("keys", 0, native(|run, input, _| collections::keys(run, input, collections::Sorted::Yes))),
    ("keys_unsorted", 0, native(|run, input, _| collections::keys(run, input, collections::Sorted::No))),
    ("last", 0, Callable::Op(|| item(-1))),
    ("last", 1, Callable::Form(Form::Last)),
    ("length", 0, native(|_, input, _| collections::length(input))),
    ("limit", 2, Callable::Form(Form::Limit)),
    ("ltrim", 0, native(|_, input, _| texts::cut(input, str::trim_start))),
    (
        "ltrimstr",
        1,
        native(|_, input, given| {
            texts::both(input, first(given)).map(|(text, begin)| Value::Text(text.strip_prefix(begin).unwrap_or(text)))
        }),
    ),
    ("map", 1, Callable::Form(Form::Map)),
    ("max", 0, native(|_, input, _| collections::extreme(input, Ordering::is_ge))),
    ("min", 0, native(|_, input, _| collections::extreme(input, Ordering::is_lt))),
    ("not", 0, native(|_, input, _| Ok(Value::Bool(!is_true(input))))),
    ("null", 0, Callable::Op(|| Op::Null)),
    ("numbers", 0, Callable::Op(|| Op::Form(Form::Select, vec![is_type("number")]))),
    ("objects", 0, Callable::Op(|| Op::Form(Form::Select, vec![is_type("object")]))),
    ("range", 1, Callable::Form(Form::Range)),
    ("range", 2, Callable::Form(Form::Range)),
    ("reverse", 0, native(|run, input, _| collections::reverse(run, input))),
    ("round", 0, native(|_, input, _| math::round(input, f64::round))),
    ("rtrim", 0, native(|_, input, _| texts::cut(input, str::trim_end))),
    (
        "rtrimstr",
        1,
        native(|_, input, given| {
            texts::both(input, first(given)).map(|(text, end)| Value::Text(text.strip_suffix(end).unwrap_or(text)))
        }),
    ),
    ("select", 1, Callable::Form(Form::Select)),
    (
        "split",
        1,
        native(|run, input, given| {
            let (text, separator) = texts::both(input, first(given))?;
            texts::split(run, text, separator)
        }),
    ),
    (
        "startswith",
        1,
        native(|_, input, given| {
            texts::both(input, first(given)).map(|(text, begin)| Value::Bool(text.starts_with(begin)))
        }),
    ),
    ("strings", 0, Callable::Op(|| Op::Form(Form::Select, vec![is_type("string")]))),
    ("to_entries", 0, native(|run, input, _| collections::entries(run, input))),
    ("token", 0, native(|run, input, _| texts::token(run, input))),
    ("tonumber", 0, native(|run, input, _| texts::number(run, input))),
    ("tostring", 0, native(|run, input, _| texts::text(run, input))),
    ("trim", 0, native(|_, input, _| texts::cut(input, str::trim))),
    ("true", 0, Callable::Op(|| Op::Bool(true))),
    ("type", 0, native(|_, input, _| Ok(Value::Text(type_of(input))))),
    ("values", 0, Callable::Op(|| Op::Form(Form::Select, vec![compared(Op::Input, Cmp::Ne, Op::Null)]))),
];

/// The function of that name and so many arguments.
pub(super) fn find(name: &str, arguments: usize) -> Option<&'static Callable> {
    FUNCTIONS.iter().find(|(other, takes, _)| *other == name && *takes == arguments).map(|(_, _, callable)| callable)
}

/// Their names, each once.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let mut before = "";
    FUNCTIONS.iter().map(|(name, ..)| *name).filter(move |name| std::mem::replace(&mut before, name) != *name)
}

fn first<'a>(given: &[Value<'a>]) -> Value<'a> {
    given.first().copied().unwrap_or(Value::Null)
}

/// `type == name`.
fn is_type(name: &str) -> Node {
    static TYPE: Native = Native { run: |_, input, _| Ok(Value::Text(type_of(input))) };
    compared(Op::Call(&TYPE, vec![]), Cmp::Eq, Op::Text(name.into()))
}

fn compared(l: Op, cmp: Cmp, r: Op) -> Node {
    Node::new(Op::Compare(Box::new(Node::new(l)), cmp, Box::new(Node::new(r))))
}

fn type_of(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) | Value::Big(_) => "number",
        Value::Text(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_stand_in_order_and_once() {
        let signatures: std::vec::Vec<_> = FUNCTIONS.iter().map(|(name, takes, _)| (*name, *takes)).collect();
        assert!(signatures.is_sorted_by(|a, b| a < b), "{signatures:?}");
    }
}
