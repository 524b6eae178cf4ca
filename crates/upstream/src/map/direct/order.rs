//! jaq's order of all values: null, booleans, numbers, texts, arrays, objects.

use std::cmp::Ordering;

use super::{math, run::Stop};
use crate::value::borrowed::{Field, Object, Value};

/// How `l` stands to `r`.
///
/// # Errors
/// They hold integers that only jaq compares.
pub(super) fn compare(l: Value<'_>, r: Value<'_>) -> Result<Ordering, Stop> {
    Ok(match (l, r) {
        (Value::Bool(l), Value::Bool(r)) => l.cmp(&r),
        (Value::Int(l), Value::Int(r)) => l.cmp(&r),
        (Value::Text(l), Value::Text(r)) => l.cmp(r),
        (Value::Array(l), Value::Array(r)) => {
            for (l, r) in l.items().iter().zip(r.items()) {
                let order = compare(*l, *r)?;
                if order.is_ne() {
                    return Ok(order);
                }
            }
            l.items().len().cmp(&r.items().len())
        }
        (Value::Object(l), Value::Object(r)) => objects(l, r)?,
        _ => match rank(l).cmp(&rank(r)) {
            Ordering::Equal if rank(l) == NUMBER => floats(math::float(l)?, math::float(r)?),
            order => order,
        },
    })
}

const NUMBER: u8 = 2;

fn rank(value: Value<'_>) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) | Value::Big(_) => NUMBER,
        Value::Text(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// As in jq, what is not a number is less than any, itself included.
fn floats(l: f64, r: f64) -> Ordering {
    if l == 0.0 && r == 0.0 {
        Ordering::Equal
    } else if l.is_nan() {
        Ordering::Less
    } else if r.is_nan() {
        Ordering::Greater
    } else {
        l.total_cmp(&r)
    }
}

/// By their names first, in order; then by what the names stand for.
fn objects(l: &Object<'_>, r: &Object<'_>) -> Result<Ordering, Stop> {
    let (l, r) = (sorted(l), sorted(r));
    if l.is_empty() || r.is_empty() {
        return Ok(l.len().cmp(&r.len()));
    }
    let names = l.iter().map(|(name, _)| name).cmp(r.iter().map(|(name, _)| name));
    if names.is_ne() {
        return Ok(names);
    }
    for ((_, l), (_, r)) in l.iter().zip(&r) {
        let order = compare(*l, *r)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

fn sorted<'a>(object: &Object<'a>) -> Vec<Field<'a>> {
    let mut fields = object.fields().to_vec();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}
