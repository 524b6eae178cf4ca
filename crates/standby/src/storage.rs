//! Key-value stores and datasets, in memory, and the calls on them. Request queues have no more than an id.
//!
//! A run's default stores are its own and go when the run is forgotten; stores with a name are their owner's and stay as long
//! as the platform does. All of them together are bounded.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{answer::Answer, call::Call, date, id, run::Stores};

/// What all stores hold together, in bytes.
const MAX_STORED: usize = 256 << 20;

/// How many stores with a name there may be.
const MAX_NAMED: usize = 1000;

/// How many keys are listed at once.
const MAX_LISTED: usize = 1000;

/// The longest key, of letters, digits and `!-_.'()` (the platform's documentation).
const MAX_KEY: usize = 256;

/// See the file's description.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    records: BTreeMap<String, Held<BTreeMap<String, Record>>>,
    datasets: BTreeMap<String, Held<Vec<Value>>>,
    bytes: usize,
}

/// A store, and whose it is.
#[derive(Debug)]
struct Held<T> {
    owner: String,
    name: Option<String>,
    created_at: String,
    modified_at: String,
    content: T,
    bytes: usize,
}

#[derive(Debug)]
struct Record {
    content_type: HeaderValue,
    body: Bytes,
}

impl Storage {
    /// The default stores of a run, with its input if it has one.
    pub(crate) fn begin(&mut self, stores: &Stores, owner: &str, input: Option<&Value>) {
        self.records.insert(stores.records.clone(), Held::new(owner, None));
        self.datasets.insert(stores.dataset.clone(), Held::new(owner, None));
        if let Some(input) = input {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            // Where there is no room for it, the run finds none.
            let _ = self.put(&stores.records, "INPUT", json, input.to_string().into());
        }
    }

    /// They go.
    pub(crate) fn forget(&mut self, stores: &Stores) {
        let records = self.records.remove(&stores.records).map_or(0, |held| held.bytes);
        self.bytes -= records + self.datasets.remove(&stores.dataset).map_or(0, |held| held.bytes);
    }

    /// What a dataset holds.
    pub(crate) fn items(&self, dataset: &str) -> Vec<Value> {
        self.datasets.get(dataset).map(|held| held.content.clone()).unwrap_or_default()
    }

    /// Puts a record into a store.
    fn put(&mut self, store: &str, key: &str, content_type: HeaderValue, body: Bytes) -> Result<(), Answer> {
        let held = self.records.get_mut(store).ok_or_else(not_found)?;
        let is_key = |b: u8| b.is_ascii_alphanumeric() || b"!-_.'()".contains(&b);
        if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(is_key) {
            return Err(invalid("the key is not one"));
        }
        let replaced = held.content.get(key).map_or(0, |record| record.body.len());
        let bytes = self.bytes - replaced + body.len();
        if bytes > MAX_STORED {
            return Err(full());
        }
        self.bytes = bytes;
        held.bytes = held.bytes - replaced + body.len();
        held.modified_at = date::now();
        held.content.insert(key.to_owned(), Record { content_type, body });
        Ok(())
    }

    /// Does what a call asks for, of which `path` is what follows the version.
    pub(crate) fn call(&mut self, call: &Call, path: &[&str], owner: &str) -> Result<Answer, Answer> {
        let method = &call.head.method;
        match path {
            ["key-value-stores"] if method == Method::POST => open(&mut self.records, call, owner),
            ["datasets"] if method == Method::POST => open(&mut self.datasets, call, owner),
            ["key-value-stores", id] if method == Method::GET => Ok(Answer::data(
                &self.records.get(*id).filter(|held| held.owner == owner).ok_or_else(not_found)?.object(id),
            )),
            ["datasets", id] if method == Method::GET => {
                let held = self.datasets.get(*id).filter(|held| held.owner == owner).ok_or_else(not_found)?;
                let mut object = held.object(id);
                if let Some(fields) = object.as_object_mut() {
                    fields.insert("itemCount".to_owned(), held.content.len().into());
                    fields.insert("cleanItemCount".to_owned(), held.content.len().into());
                }
                Ok(Answer::data(&object))
            }
            ["request-queues", id] if method == Method::GET => Ok(Answer::data(&json!({ "id": id, "userId": owner }))),
            ["datasets", id, "items"] => self.dataset(call, id, owner),
            ["key-value-stores", id, "keys"] if method == Method::GET => self.keys(call, id, owner),
            ["key-value-stores", id, "records", key] => self.record(call, id, key, owner),
            _ => Err(Answer::error(StatusCode::NOT_FOUND, "page-not-found", "there is no such call")),
        }
    }

    fn dataset(&mut self, call: &Call, id: &str, owner: &str) -> Result<Answer, Answer> {
        let held = self.datasets.get_mut(id).filter(|held| held.owner == owner).ok_or_else(not_found)?;
        if call.head.method == Method::GET {
            return Ok(Answer::bare(StatusCode::OK, held.content.clone().into()));
        }
        if call.head.method != Method::POST {
            return Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "it is read or added to"));
        }
        let items = match serde_json::from_slice(&call.body).map_err(|error| invalid(&error.to_string()))? {
            Value::Array(items) => items,
            item => vec![item],
        };
        if !items.iter().all(Value::is_object) {
            return Err(invalid("an item is an object"));
        }
        if self.bytes + call.body.len() > MAX_STORED {
            return Err(full());
        }
        self.bytes += call.body.len();
        held.bytes += call.body.len();
        held.modified_at = date::now();
        held.content.extend(items);
        Ok(Answer::bare(StatusCode::CREATED, json!({})))
    }

    fn record(&mut self, call: &Call, id: &str, key: &str, owner: &str) -> Result<Answer, Answer> {
        let held = self.records.get_mut(id).filter(|held| held.owner == owner).ok_or_else(not_found)?;
        match call.head.method {
            Method::GET | Method::HEAD => {
                let record = held.content.get(key).ok_or_else(not_found)?;
                Ok(Answer::raw(record.content_type.clone(), record.body.clone()))
            }
            Method::PUT => {
                let content_type = call.head.headers.get(header::CONTENT_TYPE).cloned();
                let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
                self.put(id, key, content_type, call.body.clone())?;
                Ok(Answer::empty(StatusCode::CREATED))
            }
            Method::DELETE => {
                let freed = held.content.remove(key).map_or(0, |record| record.body.len());
                held.bytes -= freed;
                self.bytes -= freed;
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "it is read, put or deleted")),
        }
    }

    fn keys(&self, call: &Call, id: &str, owner: &str) -> Result<Answer, Answer> {
        let held = self.records.get(id).filter(|held| held.owner == owner).ok_or_else(not_found)?;
        let limit = call.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(MAX_LISTED).min(MAX_LISTED);
        let (after, prefix) =
            (call.parameter("exclusiveStartKey").unwrap_or(""), call.parameter("prefix").unwrap_or(""));
        let mut left = held.content.iter().filter(|(key, _)| key.as_str() > after && key.starts_with(prefix));
        let listed: Vec<_> = left.by_ref().take(limit).collect();
        let is_truncated = left.next().is_some();
        let items: Vec<_> =
            listed.iter().map(|(key, record)| json!({ "key": key, "size": record.body.len() })).collect();
        let next = listed.last().filter(|_| is_truncated).map(|(key, _)| key);
        Ok(Answer::data(&json!({
            "items": items,
            "count": items.len(),
            "limit": limit,
            "exclusiveStartKey": after,
            "isTruncated": is_truncated,
            "nextExclusiveStartKey": next,
        })))
    }
}

impl<T: Default> Held<T> {
    fn new(owner: &str, name: Option<String>) -> Self {
        let (owner, created_at) = (owner.to_owned(), date::now());
        Self { owner, name, modified_at: created_at.clone(), created_at, content: T::default(), bytes: 0 }
    }

    /// What the platform's clients insist on.
    fn object(&self, id: &str) -> Value {
        json!({
            "id": id,
            "name": self.name,
            "userId": self.owner,
            "createdAt": self.created_at,
            "modifiedAt": self.modified_at,
            "accessedAt": self.modified_at,
            // The local platform has no console: a link has to be there, and this one leads nowhere.
            "consoleUrl": "http://localhost/",
            "stats": {},
        })
    }
}

/// The owner's store of the name that is asked for; a new one, if there is none.
fn open<T: Default>(held: &mut BTreeMap<String, Held<T>>, call: &Call, owner: &str) -> Result<Answer, Answer> {
    let name = call.parameter("name").map(str::to_owned);
    let known = held.iter().find(|(_, held)| held.owner == owner && name.is_some() && held.name == name);
    if let Some((id, held)) = known {
        return Ok(Answer::created(&held.object(id)));
    }
    if held.values().filter(|held| held.name.is_some()).count() >= MAX_NAMED {
        return Err(full());
    }
    let failed =
        |error: std::io::Error| Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", &error.to_string());
    let id = id::fresh().map_err(failed)?;
    let made = Held::new(owner, name);
    let object = made.object(&id);
    held.insert(id, made);
    Ok(Answer::created(&object))
}

fn not_found() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "record-not-found", "there is no such store, or no such record in it")
}

fn invalid(message: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, "invalid-request", message)
}

fn full() -> Answer {
    Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", "the local platform holds no more than this")
}
