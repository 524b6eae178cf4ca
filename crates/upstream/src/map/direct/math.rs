//! The arithmetic of jaq: integers of the machine as long as they hold the result, else floats.
//!
//! Integers that the machine's do not hold are jaq's alone, and so is what has one as its result.

use jaq_core::ops::Math;

use super::{
    run::{Run, Stop},
    texts,
};
use crate::value::borrowed::Value;

type Outcome<'a> = Result<Value<'a>, Stop>;

/// A number as a float.
///
/// # Errors
/// It is none; or it is an integer that only jaq converts.
#[expect(clippy::cast_precision_loss, reason = "as jaq converts integers")]
pub(super) fn float(value: Value<'_>) -> Result<f64, Stop> {
    match value {
        Value::Int(n) => Ok(n as f64),
        Value::Float(f) => Ok(f),
        Value::Decimal(digits) => digits.parse().map_err(|_| Stop::Leave),
        Value::Big(_) => Err(Stop::Leave),
        _ => Err(Stop::Failed),
    }
}

/// `l` and `r`, combined.
pub(super) fn calculate<'a>(run: &Run<'a>, l: Value<'a>, math: Math, r: Value<'a>) -> Outcome<'a> {
    match math {
        Math::Add => plus(run, l, r),
        Math::Sub => match (l, r) {
            (Value::Int(l), Value::Int(r)) => l.checked_sub(r).map(Value::Int).ok_or(Stop::Leave),
            (Value::Array(_), Value::Array(_)) => Err(Stop::Leave),
            _ => Ok(Value::Float(float(l)? - float(r)?)),
        },
        Math::Mul => match (l, r) {
            (Value::Int(l), Value::Int(r)) => l.checked_mul(r).map(Value::Int).ok_or(Stop::Leave),
            (Value::Text(text), Value::Int(n)) | (Value::Int(n), Value::Text(text)) => texts::repeat(run, text, n),
            (Value::Object(_), Value::Object(_)) => Err(Stop::Leave),
            _ => Ok(Value::Float(float(l)? * float(r)?)),
        },
        Math::Div => match (l, r) {
            (Value::Text(l), Value::Text(r)) => texts::split(run, l, r),
            _ => Ok(Value::Float(float(l)? / float(r)?)),
        },
        Math::Rem => match (l, r) {
            (Value::Int(_), Value::Int(0)) => Err(Stop::Failed),
            (Value::Int(l), Value::Int(r)) => Ok(Value::Int(l.checked_rem(r).unwrap_or(0))),
            _ => Ok(Value::Float(float(l)? % float(r)?)),
        },
    }
}

/// `l + r`: the sum of numbers, one text, array or object behind the other.
pub(super) fn plus<'a>(run: &Run<'a>, l: Value<'a>, r: Value<'a>) -> Outcome<'a> {
    Ok(match (l, r) {
        (Value::Null, other) | (other, Value::Null) => other,
        (Value::Int(l), Value::Int(r)) => Value::Int(l.checked_add(r).ok_or(Stop::Leave)?),
        (Value::Text(_), Value::Text(_)) => texts::join(run, &[l, r])?,
        (Value::Array(l), Value::Array(r)) => {
            let (l, r) = (l.items(), r.items());
            let mut items = bumpalo::collections::Vec::with_capacity_in(l.len() + r.len(), run.arena);
            items.extend_from_slice_copy(l);
            items.extend_from_slice_copy(r);
            run.array(items)?
        }
        (Value::Object(l), Value::Object(r)) => run.object(&[l.fields(), r.fields()].concat())?,
        _ => Value::Float(float(l)? + float(r)?),
    })
}

/// `-value`.
pub(super) fn negative<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(n) => n.checked_neg().map(Value::Int).ok_or(Stop::Leave),
        Value::Float(f) => Ok(Value::Float(-f)),
        Value::Decimal(digits) => match digits.strip_prefix('-') {
            Some(positive) => Ok(Value::Decimal(positive)),
            None => Ok(Value::Decimal(run.text(&format!("-{digits}"))?)),
        },
        Value::Big(_) => Err(Stop::Leave),
        _ => Err(Stop::Failed),
    }
}

/// A number, rounded to a whole one.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "as jaq rounds: within the range")]
pub(super) fn round(value: Value<'_>, round: fn(f64) -> f64) -> Outcome<'_> {
    match value {
        Value::Int(_) | Value::Big(_) => Ok(value),
        _ => match round(float(value)?) {
            whole if isize::MIN as f64 <= whole && whole <= isize::MAX as f64 => Ok(Value::Int(whole as isize)),
            beyond if beyond.is_finite() => Err(Stop::Leave),
            infinite => Ok(Value::Float(infinite)),
        },
    }
}
