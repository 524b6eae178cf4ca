//! JSON frames: the text of a command to a [`Command`], a [`Message`] or an [`Event`] to the bytes of a frame.
//!
//! Commands are read strictly: an unknown `op`, an unknown field, a field that stands twice or has the wrong type is
//! refused, and the refusal names it. A typo never passes silently.

use std::{cell::Cell, collections::BTreeMap};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::{
    Command, ErrorCode, Event, Json, Message, Publish, Record, Refusal, Subscribe, Unsubscribe,
    command::Secret,
    frame,
    refusal::{clip, did_you_mean},
};

/// The longest `id` of a command, in bytes: it is repeated in the answer.
pub const MAX_ID_BYTES: usize = 256;

/// The most fields of a command. No command has as many: reading on would only cost.
pub const MAX_FIELDS: usize = 32;

/// Reads one command.
///
/// # Errors
/// A [`Refusal`] that names what is wrong, with the command's `id` where it could be read.
pub fn decode(text: &str) -> Result<Command, Refusal> {
    let mut fields = Fields::read(text)?;
    let id = fields.optional::<String>("id");
    let answer_to = id.as_ref().ok().cloned().flatten().filter(|id| id.len() <= MAX_ID_BYTES);
    let command = id.and_then(|id| {
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            let hint = "it only has to differ from those of commands that are not answered yet";
            return Err(invalid("id", &format!("it has more than {MAX_ID_BYTES} bytes"), hint));
        }
        decode_op(&mut fields, id)
    });
    command.map_err(|refusal| refusal.answering(answer_to.as_deref()))
}

/// The ops of commands, each with its fields besides `op` and `id`.
pub const OPS: &[(&str, &[&str])] = &[
    ("ping", &[]),
    ("subscribe", &["topics", "filter", "params", "after", "snapshot", "conflate"]),
    ("unsubscribe", &["topics", "params"]),
    ("ack", &["delivered"]),
    ("refresh", &["access_token"]),
    ("publish", &["topic", "data", "source"]),
];

fn decode_op(fields: &mut Fields<'_>, id: Option<String>) -> Result<Command, Refusal> {
    let op: String = fields.optional("op")?.ok_or_else(|| {
        Refusal::new(ErrorCode::UnknownOp, "the command has no `op`").hint(format!("`op` is one of {}", op_names()))
    })?;
    let Some((op, known)) = OPS.iter().find(|(name, _)| *name == op) else {
        let near = did_you_mean(&op, OPS.iter().map(|(name, _)| *name));
        let hint =
            near.map_or_else(|| format!("`op` is one of {}", op_names()), |near| format!("did you mean `{near}`?"));
        return Err(Refusal::new(ErrorCode::UnknownOp, format!("unknown op `{}`", clip(&op))).hint(hint));
    };
    fields.refuse_unknown(op, known)?;
    Ok(match *op {
        "ping" => Command::Ping { id },
        "subscribe" => Command::Subscribe(Subscribe {
            id,
            topics: fields.required(op, "topics")?,
            filter: fields.optional::<&RawValue>("filter")?.map(Json::from),
            params: fields.optional("params")?.map(|Unique(params)| params).unwrap_or_default(),
            after: match fields.optional::<String>("after")? {
                Some(text) => Some(text.parse().map_err(|e| {
                    Refusal::new(ErrorCode::InvalidCursor, format!("`after`: {e}")).hint(looks_like("after"))
                })?),
                None => None,
            },
            snapshot: fields.optional("snapshot")?.unwrap_or(false),
            conflate: fields.optional("conflate")?.unwrap_or(false),
        }),
        "unsubscribe" => Command::Unsubscribe(Unsubscribe {
            id,
            topics: fields.required(op, "topics")?,
            params: fields.optional("params")?.map(|Unique(params)| params).unwrap_or_default(),
        }),
        "ack" => Command::Ack { delivered: fields.required(op, "delivered")? },
        "refresh" => Command::Refresh { id, access_token: Secret(fields.required(op, "access_token")?) },
        _ => Command::Publish(Publish {
            id,
            topic: fields.required(op, "topic")?,
            data: Json::from(fields.required::<&RawValue>(op, "data")?),
            source: fields.optional("source")?,
        }),
    })
}

fn op_names() -> String {
    OPS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn invalid(name: &str, why: &str, hint: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidField, format!("field `{name}`: {why}")).hint(hint)
}

/// What a field of a command looks like, for hints.
fn looks_like(field: &str) -> &'static str {
    match field {
        "op" => r#"it is a text: "op":"subscribe""#,
        "topics" => r#"it is a list of patterns: "topics":["trades.*","tweets.>"]"#,
        "params" => r#"it is an object of texts, each name once: "params":{"page_url":"https://…"}"#,
        "after" => "a cursor is told by `heartbeat` and `goodbye`; `earliest` is the floor of the log",
        "snapshot" | "conflate" => "it is true or false",
        "delivered" => "it is the number of events that have come on this connection",
        "topic" => r#"it is a text: "topic":"chat.a""#,
        "data" => r#"it is any JSON: "data":{}"#,
        _ => "it is a text",
    }
}

/// The fields of one JSON object, not yet taken apart.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, Refusal> {
        let fields = serde_json::from_str::<Self>(text).map_err(|e| {
            Refusal::new(ErrorCode::InvalidJson, format!("the frame is not one JSON object: {e}"))
                .hint("a command looks like {\"op\":\"subscribe\",\"topics\":[\"trades.>\"]}")
        })?;
        for (i, (name, _)) in fields.0.iter().enumerate() {
            if fields.0.iter().take(i).any(|(other, _)| other == name) {
                return Err(invalid(&clip(name), "it stands twice", "each field stands once"));
            }
        }
        Ok(fields)
    }

    /// `null` is refused: a client that lost its filter or its cursor is not given everything without a word.
    fn optional<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let Some((_, raw)) = self.0.iter().find(|(field, _)| field == name) else { return Ok(None) };
        if raw.get() == "null" {
            return Err(invalid(name, "it is null; leave it out", "a field that is not wanted is not sent"));
        }
        serde_json::from_str(raw.get()).map(Some).map_err(|e| {
            let why = e.to_string();
            invalid(name, why.split(" at line ").next().unwrap_or(&why), looks_like(name))
        })
    }

    fn required<T: Deserialize<'a>>(&mut self, op: &str, name: &str) -> Result<T, Refusal> {
        if let Some((_, raw)) = self.0.iter().find(|(field, _)| field == name)
            && raw.get() == "null"
            && let Ok(value) = serde_json::from_str(raw.get())
        {
            return Ok(value);
        }
        let missing = || Refusal::new(ErrorCode::MissingField, format!("`{op}` needs the field `{name}`"));
        self.optional(name)?.ok_or_else(|| missing().hint(looks_like(name)))
    }

    fn refuse_unknown(&self, op: &str, known: &[&str]) -> Result<(), Refusal> {
        let is_known = |name: &str| matches!(name, "op" | "id") || known.contains(&name);
        let Some((name, _)) = self.0.iter().find(|(name, _)| !is_known(name)) else { return Ok(()) };
        let refusal = Refusal::new(ErrorCode::UnknownField, format!("`{op}` has no field `{}`", clip(name)));
        Err(refusal.hint(match did_you_mean(name, known.iter().copied().chain(["id"])) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it has no field but `id`".to_owned(),
            None => format!("its fields are {}", known.join(", ")),
        }))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                    if fields.len() > MAX_FIELDS {
                        return Err(de::Error::custom(format_args!("more than {MAX_FIELDS} fields")));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A map of texts whose keys stand once.
struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut params = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if params.insert(name.clone(), value).is_some() {
                        return Err(de::Error::custom(format_args!("`{}` stands twice", clip(&name))));
                    }
                }
                Ok(Unique(params))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// How an event begins.
const EVENT: &str = r#"{"op":"event""#;

/// How an event begins that is shown as the state of its key.
const SNAPSHOT: &str = r#"{"op":"snapshot""#;

/// The frame that shows an event as the state of its key: the same fields under another `op`.
pub fn snapshot_frame(record: &Record) -> Bytes {
    let fields = frame::payload(record.frame()).get(EVENT.len()..).unwrap_or_default();
    let len = SNAPSHOT.len() + fields.len();
    let mut out = BytesMut::with_capacity(frame::header_len(len) + len);
    frame::put_text_header(&mut out, len);
    out.put_slice(SNAPSHOT.as_bytes());
    out.put_slice(fields);
    out.freeze()
}

/// The frame of one event: encoded once, shared by all who get it.
///
/// Invariant: it ends with the payload and one closing brace ([`crate::Record::data`] relies on it).
pub fn event_frame(seq: u64, event: &Event) -> Bytes {
    text_frame(|payload| {
        payload.reserve(USUAL + event.data.as_str().len());
        payload.put_slice(EVENT.as_bytes());
        payload.put_slice(br#","seq":"#);
        put(payload, &seq);
        payload.put_slice(br#","topic":"#);
        put(payload, &event.topic);
        for (name, value) in [(r#","key":"#, &event.key), (r#","id":"#, &event.id)] {
            if let Some(value) = value {
                payload.put_slice(name.as_bytes());
                put(payload, value);
            }
        }
        if let Some(ts) = event.ts {
            payload.put_slice(br#","ts":"#);
            put(payload, &ts);
        }
        payload.put_slice(br#","source":"#);
        put(payload, &event.source);
        payload.put_slice(br#","data":"#);
        payload.put_slice(event.data.as_str().as_bytes());
        payload.push(b'}');
    })
}

/// The frame of one message.
pub fn message_frame(message: &Message<'_>) -> Bytes {
    text_frame(|payload| put(payload, message))
}

/// Most messages are shorter, in bytes, and so is what most events have beside their payload.
const USUAL: usize = 256;

/// What a thread keeps for the next frame it makes, in bytes.
const MAX_KEPT: usize = 64 * 1024;

thread_local! {
    /// Where this thread writes payloads: how long one is, is known at its end.
    static PAYLOAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The text frame whose payload `write` appends, in memory of exactly its size.
fn text_frame(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut payload = PAYLOAD.take();
    payload.clear();
    write(&mut payload);
    let frame = frame::text(&payload);
    if payload.capacity() <= MAX_KEPT {
        PAYLOAD.set(payload);
    }
    frame
}

/// Appends `value` as JSON. The types that come here cannot fail: their keys are strings, their numbers finite.
fn put(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let begin = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(begin);
        out.put_slice(b"null");
    }
}

#[cfg(test)]
mod tests;
