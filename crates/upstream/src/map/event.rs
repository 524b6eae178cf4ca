//! What a mapping gives, to an event.
//!
//! This file decides the shape `{topic, key?, id?, ts?, n?, full?, data}`: each output has to have it exactly, and what
//! has not is refused with the field that is wrong; or it is no event but `{state}` or `{n}`. A misspelt field never passes silently, and no number changes its
//! digits on the way.

use std::{cell::RefCell, sync::Arc};

use jaq_json::{Num, Val};
use standpipe_protocol::{
    Event, Json, MAX_SEQ, Topic, TopicError,
    refusal::{clip, did_you_mean},
    topic::Topics,
};

use crate::{
    merge::Extent,
    value::{
        Kind, Tree,
        write::{self, WriteError},
    },
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
pub(crate) fn output(output: &impl Tree, source: &Arc<str>, room: usize) -> Result<Output, ShapeError> {
    let mut fields = output.fields();
    if let (1, Some((Some(name), value))) = (fields.len(), fields.next()) {
        match (name, value.kind()) {
            (b"state", Kind::Object) => return Ok(Output::State(value.to_val())),
            (b"state", other) => return Err(wrong("state", format!("is an object, this is {}", word(&other)))),
            (b"n", _) if let Some(n) = ordinal(value)? => return Ok(Output::Number(n)),
            _ => {}
        }
    }
    event(output, source, room).map(Output::Event)
}

/// Makes an event of one output. Its payload has at most `room` bytes.
pub(crate) fn event(output: &impl Tree, source: &Arc<str>, room: usize) -> Result<Mapped, ShapeError> {
    let kind = output.kind();
    if !matches!(kind, Kind::Object) {
        return Err(ShapeError::NotAnObject(word(&kind)));
    }
    let (mut topic, mut key, mut id, mut ts, mut n, mut extent, mut data) = (None, None, None, None, None, None, None);
    for (name, value) in output.fields() {
        let Some(name) = name else { return Err(unknown("(not a text)")) };
        match name {
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

thread_local! {
    /// Those of this thread's source, which are few: to name them anew each time costs more than to look them up.
    static TOPICS: RefCell<Topics> = RefCell::default();
}

fn topic_of(value: &impl Tree) -> Result<Topic, ShapeError> {
    match value.kind() {
        Kind::Text(text) => {
            let text = utf8("topic", text)?;
            Ok(TOPICS.with_borrow_mut(|topics| topics.get(text))?)
        }
        other => Err(wrong("topic", format!("is a text, this is {}", word(&other)))),
    }
}

fn utf8<'t>(field: &'static str, text: &'t [u8]) -> Result<&'t str, ShapeError> {
    std::str::from_utf8(text).map_err(|_| wrong(field, "is not UTF-8"))
}

/// A text, or a number as the digits it was written with. `null` is none.
fn text(field: &'static str, value: &impl Tree, max: usize) -> Result<Option<Box<str>>, ShapeError> {
    let text: Box<str> = match value.kind() {
        Kind::Null => return Ok(None),
        Kind::Text(text) => utf8(field, text)?.into(),
        Kind::Float(f) if !f.is_finite() => return Err(wrong(field, "is not a finite number")),
        other => match digits(&other) {
            Some(digits) => digits.into(),
            None => return Err(wrong(field, format!("is a text or a number, this is {}", word(&other)))),
        },
    };
    if text.len() > max {
        return Err(wrong(field, format!("has {} bytes, at most {max} are possible", text.len())));
    }
    if text.is_empty() && field == "id" {
        return Err(wrong(field, "is empty: leave it out, or let it name the event"));
    }
    Ok(Some(text))
}

fn time(value: &impl Tree) -> Result<Option<i64>, ShapeError> {
    let kind = value.kind();
    if matches!(kind, Kind::Null) {
        return Ok(None);
    }
    let ts = whole("ts", "milliseconds since 1970", &kind)?;
    if ts.unsigned_abs() > MAX_SEQ {
        return Err(wrong("ts", format!("is in milliseconds since 1970, {ts} is too far away")));
    }
    Ok(Some(ts))
}

fn ordinal(value: &impl Tree) -> Result<Option<u64>, ShapeError> {
    let kind = value.kind();
    if matches!(kind, Kind::Null) {
        return Ok(None);
    }
    if let Kind::Big(digits) = &kind
        && let Ok(n) = digits.parse()
    {
        return Ok(Some(n));
    }
    let n = whole("n", "running numbers", &kind)?;
    u64::try_from(n).map(Some).map_err(|_| wrong("n", "is below 0"))
}

/// A whole number: an integer, or what arithmetic made of one (`1.5 * 2`).
fn whole(field: &'static str, unit: &str, value: &Kind<'_>) -> Result<i64, ShapeError> {
    match value {
        Kind::Int(n) => return Ok(i64::try_from(*n).unwrap_or(i64::MAX)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Kind::Float(f) if f.fract() == 0.0 && f.abs() <= EXACT => return Ok(*f as i64),
        _ => {}
    }
    let Some(digits) = digits(value) else {
        return Err(wrong(field, format!("is a whole number ({unit}), this is {}", word(value))));
    };
    let digits: String = digits.chars().take(32).collect();
    Err(wrong(field, format!("is a whole number ({unit}), {digits} is not: use `floor`, or another unit")))
}

/// A number, as it is written.
fn digits(value: &Kind<'_>) -> Option<String> {
    match value {
        Kind::Int(n) => Some(n.to_string()),
        Kind::Float(f) => Some(Num::Float(*f).to_string()),
        Kind::Decimal(digits) => Some((*digits).to_owned()),
        Kind::Big(digits) => Some(digits.to_string()),
        _ => None,
    }
}

fn extent_of(value: &impl Tree) -> Result<Option<Extent>, ShapeError> {
    match value.kind() {
        Kind::Null => Ok(None),
        Kind::Bool(true) => Ok(Some(Extent::Full)),
        Kind::Bool(false) => Ok(Some(Extent::Part)),
        other => Err(wrong("full", format!("is `true` or `false`, this is {}", word(&other)))),
    }
}

fn payload(value: &impl Tree, room: usize) -> Result<Json, ShapeError> {
    if let Some(text) = value.verbatim().filter(|text| text.len() <= room) {
        return Ok(Json::written(text));
    }
    let text = write::exact(value, room).map_err(|e: WriteError| wrong("data", format!("cannot be sent: {e}")))?;
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
fn word(value: &Kind<'_>) -> &'static str {
    match value {
        Kind::Null => "null",
        Kind::Bool(_) => "a boolean",
        Kind::Int(_) | Kind::Float(_) | Kind::Decimal(_) | Kind::Big(_) => "a number",
        Kind::Bytes => "bytes",
        Kind::Text(_) => "a text",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}
