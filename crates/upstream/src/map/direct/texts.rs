//! Texts: what values are as texts, and what is made of texts.

use std::fmt::Write as _;

use bumpalo::collections::{String, Vec};
use jaq_json::Num;
use standpipe_protocol::topic::{escape_token, is_token_char};

use super::run::{Run, Stop};
use crate::value::{
    Tree as _,
    borrowed::{Builder, Value},
    read,
};

type Outcome<'a> = Result<Value<'a>, Stop>;

/// The texts of `values`, one behind the other.
pub(super) fn join<'a>(run: &Run<'a>, values: &[Value<'a>]) -> Outcome<'a> {
    let about = values.iter().map(about).sum();
    run.charge(about)?;
    let mut text = String::with_capacity_in(about, run.arena);
    for value in values {
        append(&mut text, *value);
    }
    // What arrays and objects have added.
    run.charge(text.len().saturating_sub(about))?;
    Ok(Value::Text(text.into_bump_str()))
}

/// At least how long the text of a value is, or a little more; but for arrays and objects.
fn about(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) | Value::Decimal(text) | Value::Big(text) => text.len(),
        _ => 20,
    }
}

fn append(text: &mut String<'_>, value: Value<'_>) {
    match value {
        Value::Text(plain) | Value::Decimal(plain) | Value::Big(plain) => text.push_str(plain),
        Value::Null => text.push_str("null"),
        Value::Bool(is) => text.push_str(if is { "true" } else { "false" }),
        // Writing to a text does not fail.
        Value::Int(n) => drop(write!(text, "{n}")),
        Value::Float(f) => drop(write!(text, "{}", Num::Float(f))),
        // Seldom, and with escapes of jaq's own.
        Value::Array(_) | Value::Object(_) => drop(write!(text, "{}", value.to_val())),
    }
}

/// `tostring`.
pub(super) fn text<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    match value {
        Value::Text(_) => Ok(value),
        _ => join(run, &[value]),
    }
}

/// `tonumber`.
pub(super) fn number<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) | Value::Big(_) => Ok(value),
        Value::Text(text) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            read::read(text.as_bytes(), &mut Builder::new(run.arena)).map_err(|_| Stop::Failed)
        }
        // Of a text that holds something else, jaq knows what it is.
        Value::Text(_) => Err(Stop::Leave),
        _ => Err(Stop::Failed),
    }
}

/// `text * n`.
pub(super) fn repeat<'a>(run: &Run<'a>, text: &str, n: isize) -> Outcome<'a> {
    if n <= 0 {
        return Ok(Value::Null);
    }
    run.charge(text.len().saturating_mul(n.unsigned_abs()))?;
    Ok(Value::Text(run.arena.alloc_str(&text.repeat(n.unsigned_abs()))))
}

/// `text / separator`: the parts between separators; of an empty text none, by an empty separator its characters.
pub(super) fn split<'a>(run: &Run<'a>, text: &'a str, separator: &'a str) -> Outcome<'a> {
    let mut parts = Vec::new_in(run.arena);
    if text.is_empty() {
        return run.array(parts);
    }
    if separator.is_empty() {
        parts.extend(text.split_inclusive(|_| true).map(Value::Text));
    } else {
        parts.extend(text.split(separator).map(Value::Text));
    }
    run.array(parts)
}

/// `token`.
pub(super) fn token<'a>(run: &Run<'a>, value: Value<'a>) -> Outcome<'a> {
    let text = match value {
        Value::Text(text) => text,
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) | Value::Big(_) => match self::text(run, value)? {
            Value::Text(text) => text,
            _ => return Err(Stop::Failed),
        },
        _ => return Err(Stop::Failed),
    };
    let is_token = !text.is_empty() && text.chars().all(|c| is_token_char(c) && c != '~');
    Ok(Value::Text(if is_token { text } else { run.text(&escape_token(text))? }))
}

/// What `change` makes of a text.
pub(super) fn changed<'a>(run: &Run<'a>, value: Value<'a>, change: fn(&mut str)) -> Outcome<'a> {
    let Value::Text(text) = value else { return Err(Stop::Failed) };
    let text = run.text(text)?;
    change(text);
    Ok(Value::Text(text))
}

/// The part of a text that `cut` leaves.
pub(super) fn cut<'a>(value: Value<'a>, cut: fn(&'a str) -> &'a str) -> Outcome<'a> {
    let Value::Text(text) = value else { return Err(Stop::Failed) };
    Ok(Value::Text(cut(text)))
}

/// Two texts.
pub(super) fn both<'a>(l: Value<'a>, r: Value<'a>) -> Result<(&'a str, &'a str), Stop> {
    match (l, r) {
        (Value::Text(l), Value::Text(r)) => Ok((l, r)),
        _ => Err(Stop::Failed),
    }
}

/// `join(separator)`.
pub(super) fn joined<'a>(run: &Run<'a>, value: Value<'a>, separator: Value<'a>) -> Outcome<'a> {
    // What jaq says of anything else follows from how it defines `join`.
    let (Value::Array(array), Value::Text(_)) = (value, separator) else { return Err(Stop::Leave) };
    run.charge(2 * size_of_val(array.items()))?;
    let mut parts = Vec::with_capacity_in(2 * array.items().len(), run.arena);
    for item in array.items() {
        if !parts.is_empty() {
            parts.push(separator);
        }
        parts.push(*item);
    }
    join(run, &parts)
}
