//! `[[source]]`: the keys of all sources and of each kind, and the checks between them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ::config::{Value, ValueKind};
use standpipe_upstream::{
    Decode, Decoding, Endpoint, Factor, Kind, Mapping, PushConfig, ReplayConfig, SourceConfig, Speed, Then,
    WebSocketConfig,
};

use super::{
    keys::{Found, Key, Reader, Setting, Shape, Table, names, section, suggestion},
    numbers::in_memory,
    quantity::Size,
    texts::{ExistingFile, Expanded, Pairs, TextOrigin},
    values::{self, Choice as _, choice},
};

/// Longer names would make metrics and logs unreadable.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// The kinds of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    WebSocket,
    Replay,
    Push,
}

choice! {
    SourceKind: "websocket" => SourceKind::WebSocket, "replay" => SourceKind::Replay, "push" => SourceKind::Push;
    later "sse", "http_poll", "exec"
}

choice! {
    Decode: "gzip" => Decode::Gzip, "deflate" => Decode::Deflate, "zlib" => Decode::Zlib, "zstd" => Decode::Zstd,
    "base64" => Decode::Base64, "utf8" => Decode::Utf8,
    "json" => Decode::Json, "ndjson" => Decode::Ndjson, "text" => Decode::Text
}

section! {
    CommonKeys {
        name: String, "Its name: letters, digits, `-` and `_`, and unique. Part of every event, and `$source` in mappings.";
        kind: SourceKind, "Where its frames come from.";
        map: Option<Mapping>, "A jq program that makes events of each frame: every output is an event `{topic, key?, id?, ts?, n?, data}`. Without it, frames are such events already.";
        stale_after: Option<Duration>, "Without an event for so long, the source is called stale. Without it, never.";
        dedupe: usize = 0, "How many ids of its latest events are remembered, to drop an event that comes again. 0: none.";
    } later {
        group: String, "Sources of one group are primary and backup of one feed.";
        merge: bool = false, "Whether data is a partial update of what its key held.";
        every: Duration, "How often to ask (`http_poll`).";
        command: Vec<String>, "The program to run, and its arguments (`exec`).";
        params: Vec<String> = Vec::<String>::new(), "What clients give to a demand-driven source.";
        allow: Vec<String> = Vec::<String>::new(), "Where a parameter decides the host: what its URL may start with.";
        linger: Duration, "How long a demand-driven source outlives its last client.";
        max_instances: usize, "How many different parameters are served at the same time.";
    }
}

section! {
    WebSocketKeys {
        url: Address, "Where to connect, `ws://` or `wss://`. `${NAME}` is replaced.";
        send: Vec<Expanded> = Vec::<String>::new(), "Text frames to send after connecting, in order. `${NAME}` is replaced.";
        decode: Decoding = vec!["json"], "What makes a value of a frame: steps that unpack it, then `json`, `ndjson` or `text`.";
        reply: Option<Mapping>, "A jq program; each output for a frame is sent back. For pings of the feed's own.";
        max_frame: Size = "16MiB", "The largest frame, as received and after each step of `decode`.";
        connect_timeout: Duration = "10s", "For name resolution, connecting, TLS and the handshake together.";
        ping_interval: Duration = "20s", "How often the feed's server is pinged.";
        pong_timeout: Duration = "20s", "How long it may then send nothing at all before the connection counts as lost.";
        ca_file: Option<ExistingFile>, "A PEM file of certificate authorities to trust instead of the public ones.";
    } later {
        headers: Pairs, "Headers of the request. `${NAME}` is replaced.";
    }
}

section! {
    ReplayKeys {
        file: ExistingFile, "The recording, gzip-compressed or not: JSON lines, or captures with `t`, `ts` and `data`.";
        speed: Pace = "recorded", "With the pauses it was recorded with, with those divided by a number, or without (`max`).";
        repeat: bool = false, "Whether it starts again at its end.";
        decode: Decoding = vec!["json"], "As for `websocket`.";
        max_frame: Size = "16MiB", "The largest frame, as recorded and after each step of `decode`.";
    }
}

section! {
    PushKeys {
        max_input: Size = "1MiB", "The largest input of a publisher.";
        patience: Duration = "10s", "How long a publisher waits for its answer before it is told that there is no room.";
    }
}

/// What is said of keys that sources of all kinds have.
pub(super) const EVERY: &str = "every kind";

/// What a table of keys belongs to, and the keys.
pub(super) type Keys = (&'static str, fn() -> Vec<Key>);

/// The tables of the reference.
pub(super) const KEYS: &[Keys] = &[
    (EVERY, CommonKeys::keys),
    ("websocket", WebSocketKeys::keys),
    ("replay", ReplayKeys::keys),
    ("push", PushKeys::keys),
];

/// Where a feed is.
pub(super) struct Address(Endpoint);

/// How fast a recording is played.
pub(super) struct Pace(Speed);

/// All keys that any source can have.
pub(super) fn all_keys() -> Vec<Key> {
    KEYS.iter().flat_map(|(_, keys)| keys()).collect()
}

/// The name that a source was given, if it was given one.
pub(super) fn name_of(source: &Value) -> Option<String> {
    let ValueKind::Table(table) = &source.kind else { return None };
    match &table.get("name")?.kind {
        ValueKind::String(name) => Some(name.clone()),
        _ => None,
    }
}

/// Reads all sources. The result is complete only if `reader` has no problems.
pub(super) fn read(sources: Option<&Value>, reader: &mut Reader<'_>) -> Vec<SourceConfig> {
    let right = "write one [[source]] for each, with a name and a kind";
    let items = match sources.map(|value| &value.kind) {
        Some(ValueKind::Array(items)) if !items.is_empty() => items,
        None | Some(ValueKind::Array(_)) => {
            reader.problem("source", "there is none: nothing would ever be delivered", right);
            return Vec::new();
        }
        Some(_) => {
            reader.problem("source", "it is not a list of tables", right);
            return Vec::new();
        }
    };
    let mut taken = BTreeSet::new();
    let mut configs = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let ValueKind::Table(table) = &item.kind else {
            reader.problem(&format!("source[{i}]"), format!("found {}", values::show(item)), right);
            continue;
        };
        let name = name_of(item).filter(|name| is_name(name));
        let path = name.as_ref().map_or_else(|| format!("source[{i}]"), |name| format!("source.{name}"));
        if let Some(name) = name
            && !taken.insert(name)
        {
            reader.problem(&format!("{path}.name"), "another source has this name", "names are unique");
        }
        configs.extend(read_one(&path, table, reader));
    }
    configs
}

fn read_one(path: &str, table: &Table, reader: &mut Reader<'_>) -> Option<SourceConfig> {
    let word = table.get("kind").and_then(|value| Found { path: String::new(), value }.text());
    if word.is_some_and(|word| SourceKind::LATER.contains(&word)) {
        // Its other keys belong to a later version too: one problem says it all.
        return reader.key::<SourceKind>(path, table, "kind", None).and(None);
    }
    let known = SourceKind::WORDS.iter().find(|(known, _)| Some(*known) == word).map(|(_, kind)| *kind);
    refuse_foreign(path, table, known, reader);
    // All keys are read before one may end this: what is wrong in some does not hide what is wrong in others.
    let common = CommonKeys::read(path, table, reader);
    let kind = common.as_ref().map(|common| common.kind).or(known);
    let kind = match kind? {
        SourceKind::WebSocket => WebSocketKeys::read(path, table, reader).map(websocket),
        SourceKind::Replay => ReplayKeys::read(path, table, reader).map(replay),
        SourceKind::Push => PushKeys::read(path, table, reader).map(|keys| push(&keys)),
    };
    let CommonKeys { name, map, stale_after, dedupe, .. } = common?;
    if !is_name(&name) {
        let right = format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`");
        reader.problem(&format!("{path}.name"), format!("found {name:?}"), right);
    }
    Some(SourceConfig { name: Arc::from(name), kind: kind?, mapping: map, stale_after, dedupe })
}

fn websocket(keys: WebSocketKeys) -> Kind {
    Kind::WebSocket(WebSocketConfig {
        url: keys.url.0,
        send: keys.send.into_iter().map(|frame| frame.text).collect(),
        decode: keys.decode,
        reply: keys.reply,
        max_frame: in_memory(keys.max_frame),
        connect_timeout: keys.connect_timeout,
        ping_interval: keys.ping_interval,
        pong_timeout: keys.pong_timeout,
        ca_file: keys.ca_file.map(|ExistingFile(file)| file),
    })
}

fn replay(keys: ReplayKeys) -> Kind {
    Kind::Replay(ReplayConfig {
        file: keys.file.0,
        speed: keys.speed.0,
        then: if keys.repeat { Then::Repeat } else { Then::Stop },
        decode: keys.decode,
        max_frame: in_memory(keys.max_frame),
    })
}

fn push(keys: &PushKeys) -> Kind {
    Kind::Push(PushConfig { max_input: in_memory(keys.max_input), patience: keys.patience })
}

/// Reports keys that no source has, and keys that only sources of another kind have.
fn refuse_foreign(path: &str, table: &Table, kind: Option<SourceKind>, reader: &mut Reader<'_>) {
    let Some(kind) = kind else { return reader.refuse_unknown(path, table, &names(&all_keys())) };
    let (word, own) = match kind {
        SourceKind::WebSocket => ("websocket", WebSocketKeys::keys()),
        SourceKind::Replay => ("replay", ReplayKeys::keys()),
        SourceKind::Push => ("push", PushKeys::keys()),
    };
    let mut known = names(&CommonKeys::keys());
    known.extend(names(&own));
    let found: BTreeSet<&String> = table.keys().collect();
    for name in found.into_iter().filter(|name| !known.contains(&name.as_str())) {
        let place = format!("{path}.{name}");
        let others = KEYS.iter().filter(|(_, keys)| keys().iter().any(|key| key.name == *name));
        let others: Vec<_> = others.map(|(kind, _)| *kind).collect();
        if others.is_empty() {
            reader.problem(&place, "there is no such key", suggestion(name, &known));
        } else {
            let what = format!("`{word}` has no such key, only {} has", others.join(" and "));
            reader.problem(&place, what, "");
        }
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

impl Setting for Mapping {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a jq program".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match Self::compile(&String::read(found, reader)?) {
            Ok(mapping) => Some(mapping),
            Err(error) => reader.refuse(found, format!("the program does not compile: {error}"), ""),
        }
    }
}

impl Setting for Address {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a URL".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Expanded { text, origin } = Expanded::read(found, reader)?;
        let error = match text.parse::<Endpoint>() {
            Ok(endpoint) => return Some(Self(endpoint)),
            Err(error) => error,
        };
        let what = match origin {
            TextOrigin::Written => error.to_string(),
            TextOrigin::Environment => "with its variables replaced, it is no address of a feed".to_owned(),
        };
        reader.refuse(found, what, "write a URL such as \"wss://ws.example.com/v1\"")
    }
}

impl Setting for Decoding {
    const SHAPE: Shape = Shape::List;

    fn kind() -> String {
        Vec::<Decode>::kind()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match Self::new(&Vec::<Decode>::read(found, reader)?) {
            Ok(decoding) => Some(decoding),
            Err(error) => reader.refuse(found, error.to_string(), ""),
        }
    }
}

impl Setting for Pace {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        "`recorded`, `max` or a number above 0".to_owned()
    }

    #[expect(clippy::cast_precision_loss, reason = "no recording is played 2^53 times as fast")]
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let factor = match &found.value.kind {
            ValueKind::String(word) if word == "recorded" => return Some(Self(Speed::Recorded)),
            ValueKind::String(word) if word == "max" => return Some(Self(Speed::Max)),
            ValueKind::I64(number) => Factor::new(*number as f64),
            ValueKind::Float(number) => Factor::new(*number),
            _ => None,
        };
        match factor {
            Some(factor) => Some(Self(Speed::Factor(factor))),
            None => {
                reader.refuse(found, format!("found {}", values::show(found.value)), format!("it is {}", Self::kind()))
            }
        }
    }
}
