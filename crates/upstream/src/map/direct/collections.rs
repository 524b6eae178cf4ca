//! What is made of all that an array or object holds.

use std::cmp::Ordering;

use bumpalo::collections::Vec;

use super::{
    indexing, math, order,
    run::{Run, Stop},
};
use crate::value::borrowed::Value;

type Outcome<'a> = Result<Value<'a>, Stop>;

fn count<'a>(n: usize) -> Outcome<'a> {
    isize::try_from(n).map(Value::Int).map_err(|_| Stop::Leave)
}

pub(super) fn length(value: Value<'_>) -> Outcome<'_> {
    match value {
        Value::Null => Ok(Value::Int(0)),
        Value::Int(n) => n.checked_abs().map(Value::Int).ok_or(Stop::Leave),
        Value::Float(f) => Ok(Value::Float(f.abs())),
        Value::Decimal(_) => Ok(Value::Float(math::float(value)?.abs())),
        Value::Big(_) => Err(Stop::Leave),
        Value::Text(text) => count(text.chars().count()),
        Value::Array(array) => count(array.items().len()),
        Value::Object(object) => count(object.fields().len()),
        Value::Bool(_) => Err(Stop::Failed),
    }
}

pub(super) fn sum<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    let mut sum = Value::Null;
    for item in indexing::children(value)? {
        run.step()?;
        sum = math::plus(run, sum, item)?;
    }
    Ok(sum)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sorted {
    Yes,
    No,
}

pub(super) fn keys<'a>(run: &Run<'a>, value: Value<'a>, sorted: Sorted) -> Outcome<'a> {
    let arena = run.arena;
    let keys = match value {
        Value::Array(array) => {
            let mut keys = Vec::with_capacity_in(array.items().len(), arena);
            for i in 0..array.items().len() {
                keys.push(count(i)?);
            }
            keys
        }
        Value::Object(object) => {
            let mut names = Vec::from_iter_in(object.fields().iter().map(|(name, _)| *name), arena);
            if sorted == Sorted::Yes {
                names.sort_unstable();
            }
            Vec::from_iter_in(names.into_iter().map(Value::Text), arena)
        }
        _ => return Err(Stop::Failed),
    };
    run.array(keys)
}

pub(super) fn entries<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    // Of an array, keys are numbers.
    let (Value::Array(keys), values) = (keys(run, value, Sorted::No)?, indexing::children(value)?) else {
        return Err(Stop::Leave);
    };
    let mut entries = Vec::with_capacity_in(keys.items().len(), run.arena);
    for (key, value) in keys.items().iter().zip(values) {
        entries.push(run.object(&[("key", *key), ("value", value)])?);
    }
    run.array(entries)
}

pub(super) fn reverse<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    let Value::Array(array) = value else { return Err(Stop::Failed) };
    run.array(Vec::from_iter_in(array.items().iter().rev().copied(), run.arena))
}

/// The item that is left, where the next one takes the place of the one before if it stands to it in such a way.
pub(super) fn extreme(value: Value<'_>, replaces: fn(Ordering) -> bool) -> Outcome<'_> {
    let Value::Array(array) = value else { return Err(Stop::Failed) };
    let mut items = array.items().iter().copied();
    let Some(mut kept) = items.next() else { return Ok(Value::Null) };
    for next in items {
        if replaces(order::compare(next, kept)?) {
            kept = next;
        }
    }
    Ok(kept)
}
