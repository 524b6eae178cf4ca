//! What is at a place of a value: `.a`, `.[1]`, `.[1:]`, `.[]`.

use super::{
    plan::Part,
    run::{Run, Stop},
};
use crate::value::borrowed::Value;

type Outcome<'a> = Result<Value<'a>, Stop>;

/// What is at a part of `value` that is fixed in the program.
pub(super) fn into<'a>(run: &Run<'a>, value: Value<'a>, part: &'a Part) -> Outcome<'a> {
    match part {
        Part::Key(key) => field(value, key),
        Part::Index(index) => item(value, *index),
        Part::Range(from, to) => range(run, value, *from, *to),
        // These lead to several places, or to one that has to be computed.
        Part::Each | Part::At(_) => Err(Stop::Leave),
    }
}

/// What is at `at`.
pub(super) fn at<'a>(value: Value<'a>, at: Value<'a>) -> Outcome<'a> {
    match at {
        Value::Text(key) => field(value, key),
        Value::Int(index) => item(value, index),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Decimal(_) => match value {
            Value::Null | Value::Object(_) => Ok(Value::Null),
            _ => Err(Stop::Failed),
        },
        Value::Big(_) | Value::Array(_) | Value::Object(_) => Err(Stop::Leave),
    }
}

/// Whether there is something at `at`.
pub(super) fn has<'a>(value: Value<'a>, at: Value<'a>) -> Outcome<'a> {
    Ok(Value::Bool(match (value, at) {
        (Value::Object(object), Value::Text(key)) => object.get(key).is_some(),
        (Value::Null | Value::Object(_), _) => false,
        (Value::Array(array), Value::Int(index)) => place(index, array.items().len()).is_some(),
        (Value::Array(_), Value::Big(_) | Value::Array(_) | Value::Object(_)) | (Value::Text(_), Value::Object(_)) => {
            return Err(Stop::Leave);
        }
        _ => return Err(Stop::Failed),
    }))
}

/// What is in an array or object, in order.
pub(super) fn children(value: Value<'_>) -> Result<impl Iterator<Item = Value<'_>>, Stop> {
    let (items, fields) = match value {
        Value::Array(array) => (array.items(), &[][..]),
        Value::Object(object) => (&[][..], object.fields()),
        _ => return Err(Stop::Failed),
    };
    Ok(items.iter().copied().chain(fields.iter().map(|(_, value)| *value)))
}

fn field<'a>(value: Value<'a>, key: &str) -> Outcome<'a> {
    match value {
        Value::Object(object) => Ok(object.get(key).unwrap_or(Value::Null)),
        Value::Null => Ok(Value::Null),
        _ => Err(Stop::Failed),
    }
}

fn item(value: Value<'_>, index: isize) -> Outcome<'_> {
    match value {
        Value::Array(array) => {
            let items = array.items();
            let item = place(index, items.len()).and_then(|place| items.get(place));
            Ok(item.copied().unwrap_or(Value::Null))
        }
        Value::Null | Value::Object(_) => Ok(Value::Null),
        _ => Err(Stop::Failed),
    }
}

/// The place of an index that may be counted from the end, if there is one.
fn place(index: isize, len: usize) -> Option<usize> {
    let place = if index < 0 { len.checked_sub(index.unsigned_abs())? } else { index.unsigned_abs() };
    Some(place).filter(|place| *place < len)
}

fn range<'a>(run: &Run<'a>, value: Value<'a>, from: Option<isize>, to: Option<isize>) -> Outcome<'a> {
    match value {
        Value::Array(array) => {
            let items = array.items();
            let bound = |bound: isize| match bound {
                0.. => bound.unsigned_abs().min(items.len()),
                _ => items.len().saturating_sub(bound.unsigned_abs()),
            };
            let (from, to) = (from.map_or(0, bound), to.map_or(items.len(), bound));
            run.part(items.get(from..to).unwrap_or_default())
        }
        Value::Text(text) => {
            let bound = |bound: isize| match bound {
                0.. => text.char_indices().nth(bound.unsigned_abs()).map_or(text.len(), |(at, _)| at),
                _ => text.char_indices().nth_back(bound.unsigned_abs() - 1).map_or(0, |(at, _)| at),
            };
            let (from, to) = (from.map_or(0, bound), to.map_or(text.len(), bound));
            Ok(Value::Text(text.get(from..to).unwrap_or_default()))
        }
        _ => Err(Stop::Failed),
    }
}
