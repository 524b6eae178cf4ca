//! What a mapping gives, to an event.
//!
//! This file decides the shape `{topic, key?, id?, ts?, n?, full?, data}`: each output has to have it exactly, and what
//! has not is refused with the field that is wrong; or it is no event but `{state}` or `{n}`. A misspelt field never passes silently, and no number changes its
//! digits on the way.

use std::sync::Arc;

use jaq_json::{Num, Val};
use standpipe_protocol::{
    Event, Json, MAX_SEQ, Topic, TopicError,
    refusal::{clip, did_you_mean},
};

use crate::{
    merge::Extent,
    value::write::{self, WriteError},
};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest event id, in bytes: it is part of cursors.
pub const MAX_EVENT_ID_BYTES: usize = 512;

/// Floats hold whole numbers exactly up to this.
#[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
const EXACT: f64 = MAX_SEQ as f64;

const FIELDS: [&str; 7] = ["topic", "key", "id", "ts", "n", "full", "data"];

/// What one output of a mapping is.
#[derive(Debug)]
pub(crate) enum Output {
    /// An event.
    Event(Mapped),
    /// `{state: {…}}`: what is to be `$state` from the next value on.
    State(Val),
    /// `{n: …}`: a running number of something that is no event.
    Number(u64),
}

/// An event, as a mapping gives it.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// The event.
    pub event: Event,
    /// How much of its key it says, if that is said.
    pub extent: Option<Extent>,
}

/// Why an output is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Not `{…}`.
    #[error("an event is an object {{topic, key?, id?, ts?, n?, data}}, this is {0}")]
    NotAnObject(&'static str),
    /// A field that every event has.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// A field that no event has.
    #[error("an event has no field `{name}`{hint}")]
    Unknown {
        /// The field.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// A field with a value that it cannot have.
    #[error("`{field}` {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// `topic` is a text, but not a topic.
    #[error("`topic`: {0}")]
    Topic(#[from] TopicError),
}

/// Tells what one output is. The payload of an event has at most `room` bytes.
pub(crate) fn output(output: &Val, source: &Arc<str>, room: usize) -> Result<Output, ShapeError> {
    if let Val::Obj(fields) = output
        && let (1, Some((Val::TStr(name), value))) = (fields.len(), fields.first())
    {
        match (&***name, value) {
            (b"state", Val::Obj(_)) => return Ok(Output::State(value.clone())),
            (b"state", _) => return Err(wrong("state", format!("is an object, this is {}", kind(value)))),
            (b"n", _) if let Some(n) = ordinal(value)? => return Ok(Output::Number(n)),
            _ => {}
        }
    }
    event(output, source, room).map(Output::Event)
}

/// Makes an event of one output. Its payload has at most `room` bytes.
pub(crate) fn event(output: &Val, source: &Arc<str>, room: usize) -> Result<Mapped, ShapeError> {
    let Val::Obj(fields) = output else { return Err(ShapeError::NotAnObject(kind(output))) };
    let (mut topic, mut key, mut id, mut ts, mut n, mut extent, mut data) = (None, None, None, None, None, None, None);
    for (name, value) in fields.iter() {
        let Val::TStr(name) = name else { return Err(unknown("(not a text)")) };
        match &***name {
            b"topic" => topic = Some(topic_of(value)?),
            b"key" => key = text("key", value, MAX_KEY_BYTES)?,
            b"id" => id = text("id", value, MAX_EVENT_ID_BYTES)?,
            b"ts" => ts = time(value)?,
            b"n" => n = ordinal(value)?,
            b"full" => extent = extent_of(value)?,
            b"data" => data = Some(payload(value, room)?),
            other => return Err(unknown(&String::from_utf8_lossy(other))),
        }
    }
    let topic = topic.ok_or(ShapeError::Missing("topic"))?;
    let data = data.ok_or(ShapeError::Missing("data"))?;
    Ok(Mapped { event: Event { topic, key, id, ts, n, source: Arc::clone(source), data }, extent })
}

fn topic_of(value: &Val) -> Result<Topic, ShapeError> {
    let Val::TStr(text) = value else { return Err(wrong("topic", format!("is a text, this is {}", kind(value)))) };
    let text = std::str::from_utf8(text).map_err(|_| wrong("topic", "is not UTF-8"))?;
    Ok(Topic::new(text)?)
}

/// A text, or a number as the digits it was written with. `null` is none.
fn text(field: &'static str, value: &Val, max: usize) -> Result<Option<Box<str>>, ShapeError> {
    let text: Box<str> = match value {
        Val::Null => return Ok(None),
        Val::TStr(text) => std::str::from_utf8(text).map_err(|_| wrong(field, "is not UTF-8"))?.into(),
        Val::Num(Num::Float(f)) if !f.is_finite() => return Err(wrong(field, "is not a finite number")),
        Val::Num(n) => n.to_string().into(),
        _ => return Err(wrong(field, format!("is a text or a number, this is {}", kind(value)))),
    };
    if text.len() > max {
        return Err(wrong(field, format!("has {} bytes, at most {max} are possible", text.len())));
    }
    if text.is_empty() && field == "id" {
        return Err(wrong(field, "is empty: leave it out, or let it name the event"));
    }
    Ok(Some(text))
}

fn time(value: &Val) -> Result<Option<i64>, ShapeError> {
    if matches!(value, Val::Null) {
        return Ok(None);
    }
    let ts = whole("ts", "milliseconds since 1970", value)?;
    if ts.unsigned_abs() > MAX_SEQ {
        return Err(wrong("ts", format!("is in milliseconds since 1970, {ts} is too far away")));
    }
    Ok(Some(ts))
}

fn ordinal(value: &Val) -> Result<Option<u64>, ShapeError> {
    if matches!(value, Val::Null) {
        return Ok(None);
    }
    if let Val::Num(big @ Num::BigInt(_)) = value
        && let Ok(n) = big.to_string().parse()
    {
        return Ok(Some(n));
    }
    let n = whole("n", "running numbers", value)?;
    u64::try_from(n).map(Some).map_err(|_| wrong("n", "is below 0"))
}

/// A whole number: an integer, or what arithmetic made of one (`1.5 * 2`).
fn whole(field: &'static str, unit: &str, value: &Val) -> Result<i64, ShapeError> {
    let Val::Num(n) = value else {
        return Err(wrong(field, format!("is a whole number ({unit}), this is {}", kind(value))));
    };
    match n {
        Num::Int(n) => return Ok(i64::try_from(*n).unwrap_or(i64::MAX)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Num::Float(f) if f.fract() == 0.0 && f.abs() <= EXACT => return Ok(*f as i64),
        _ => {}
    }
    let digits: String = n.to_string().chars().take(32).collect();
    Err(wrong(field, format!("is a whole number ({unit}), {digits} is not: use `floor`, or another unit")))
}

fn extent_of(value: &Val) -> Result<Option<Extent>, ShapeError> {
    match value {
        Val::Null => Ok(None),
        Val::Bool(true) => Ok(Some(Extent::Full)),
        Val::Bool(false) => Ok(Some(Extent::Part)),
        _ => Err(wrong("full", format!("is `true` or `false`, this is {}", kind(value)))),
    }
}

fn payload(value: &Val, room: usize) -> Result<Json, ShapeError> {
    let text = write::text(value, room).map_err(|e: WriteError| wrong("data", format!("cannot be sent: {e}")))?;
    Ok(Json::written(text))
}

/// Why a state cannot be kept for the next frame.
pub(crate) fn not_kept(error: WriteError) -> ShapeError {
    wrong("state", format!("cannot be kept: {error}"))
}

/// Why a number cannot stand alone.
pub(crate) fn not_counted() -> ShapeError {
    wrong("n", "without an event is for sources with `numbers = \"source\"`")
}

/// Why an event of a source that does not merge cannot say how much of its key it says.
pub(crate) fn not_merged() -> ShapeError {
    wrong("full", "is for sources with `merge = true`")
}

fn wrong(field: &'static str, why: impl Into<String>) -> ShapeError {
    ShapeError::Field { field, why: why.into() }
}

fn unknown(name: &str) -> ShapeError {
    if name == "state" {
        let hint = ": give `{state: {…}}` as an output of its own".to_owned();
        return ShapeError::Unknown { name: name.to_owned(), hint };
    }
    let hint = did_you_mean(name, FIELDS).map(|near| format!(": did you mean `{near}`?"));
    ShapeError::Unknown { name: clip(name), hint: hint.unwrap_or_default() }
}

/// The word for the type of a value, with its article.
fn kind(value: &Val) -> &'static str {
    match value {
        Val::Null => "null",
        Val::Bool(_) => "a boolean",
        Val::Num(_) => "a number",
        Val::BStr(_) => "bytes",
        Val::TStr(_) => "a text",
        Val::Arr(_) => "an array",
        Val::Obj(_) => "an object",
    }
}
