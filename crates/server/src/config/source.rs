//! `[[source]]`: the keys of all sources, and the checks between them. Those of each kind are in [`kinds`].

mod demand;
mod group;
mod kinds;
pub(super) mod own;
mod settings;

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use ::config::{Value, ValueKind};
use standpipe_upstream::{Kind, Mapping, Numbering, SourceConfig};

use self::{
    kinds::{ExecKeys, HttpPollKeys, PushKeys, ReplayKeys, SseKeys, WebSocketKeys},
    own::{AnyKind, OwnKeys},
};
use super::{
    keys::{Found, Key, Reader, Table, names, section, suggestion},
    values::{self, choice},
};

/// Longer names would make metrics and logs unreadable.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// How many ids are remembered where everything comes again, and nothing else is said.
const COMES_AGAIN: usize = 10_000;

/// The kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    WebSocket,
    Sse,
    HttpPoll,
    Exec,
    Replay,
    Push,
}

choice! {
    SourceKind: "websocket" => SourceKind::WebSocket, "sse" => SourceKind::Sse, "http_poll" => SourceKind::HttpPoll,
    "exec" => SourceKind::Exec, "replay" => SourceKind::Replay, "push" => SourceKind::Push
}

choice! {
    Numbering: "source" => Numbering::Source, "topic" => Numbering::Topic, "key" => Numbering::Key
}

section! {
    CommonKeys {
        name: String, "Its name: letters, digits, `-` and `_`, and unique. Part of every event (of a `group`, its name is), and `$source` in mappings.";
        kind: AnyKind, "Where its frames come from.";
        group: Option<String>, "Sources of one group are connections to one feed, such as a primary and a backup: what one has brought, by its `id`, another does not bring again, and clients know them by this name.";
        map: Option<Mapping>, "A jq program that makes events of each frame: every output is an event `{topic, key?, id?, ts?, n?, data}`. Without it, frames are such events already.";
        stale_after: Option<Duration>, "Without an event for so long, the source is called stale. Without it, never.";
        required: bool = false, "Whether the server is ready only while this source, or another one of its `group`, is not `down`. If no source is required, one that is not down is enough.";
        dedupe: Option<usize>, "How many ids of its latest events are remembered, to drop an event that comes again. 0: none. Without it, 10000 for `http_poll` and in a `group`, and none for the others.";
        merge: bool = false, "Whether an event with a key is a partial update, to be merged into what the same connection said of the key before; `full: true` marks the first.";
        max_keys: NonZeroUsize = 10_000, "With `merge`: of how many keys the state is kept.";
        numbers: Numbering = "topic", "What `n` counts: all that comes over a connection (`source`), what belongs to a `topic`, or to a `key` of one. What it leaves out is told as a gap.";
        params: Vec<String> = Vec::<String>::new(), "The names of what clients give to this source: it is demand-driven then, an instance for each set of values that is asked for. For `websocket`, `sse` and `http_poll`.";
        allow: Vec<String> = Vec::<String>::new(), "What the address of an instance may begin with, and each that it is redirected to. Needed where a parameter decides the host.";
        private_addresses: bool = false, "Whether instances may connect to addresses that are not public: loopback, private networks, metadata services.";
        linger: Duration = "30s", "How long an instance outlives its last client.";
        max_instances: NonZeroUsize = 100, "How many instances run at the same time. One more takes the place of one that lingers, or is refused (`OVER_CAPACITY`).";
        max_instances_per_client: NonZeroUsize = 10, "How many of them one client may want at the same time: a credential, or an address without one.";
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
    ("sse", SseKeys::keys),
    ("http_poll", HttpPollKeys::keys),
    ("exec", ExecKeys::keys),
    ("replay", ReplayKeys::keys),
    ("push", PushKeys::keys),
    (own::OWN, OwnKeys::keys),
];

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

/// The texts of `send` of the source of this name, with nothing replaced in them.
pub(super) fn written_sends(root: &Table, name: &str) -> Vec<String> {
    let Some(Value { kind: ValueKind::Array(sources), .. }) = root.get("source") else { return Vec::new() };
    let source = sources.iter().find(|source| name_of(source).as_deref() == Some(name));
    let Some(Value { kind: ValueKind::Table(table), .. }) = source else { return Vec::new() };
    let Some(Value { kind: ValueKind::Array(sends), .. }) = table.get("send") else { return Vec::new() };
    let text = |value: &Value| Found { path: String::new(), value }.text().map(str::to_owned);
    sends.iter().filter_map(text).collect()
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
    let (mut taken, mut params) = (BTreeSet::new(), BTreeSet::new());
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
        let config = read_one(&path, table, reader);
        for param in config.iter().filter_map(|config| config.demand.as_ref()).flat_map(|demand| &demand.params) {
            if !params.insert(Arc::clone(param)) {
                let right = "a parameter tells which source is meant";
                reader.problem(&format!("{path}.params"), format!("another source has `{param}`"), right);
            }
        }
        configs.extend(config);
    }
    group::check(&configs, reader);
    configs
}

fn read_one(path: &str, table: &Table, reader: &mut Reader<'_>) -> Option<SourceConfig> {
    let word = table.get("kind").and_then(|value| Found { path: String::new(), value }.text());
    let known = word.and_then(|word| AnyKind::of(word, reader.environment.kinds()));
    refuse_foreign(path, table, known, reader);
    // All keys are read before one may end this: what is wrong in some does not hide what is wrong in others.
    let common = CommonKeys::read(path, table, reader);
    let kind = common.as_ref().map(|common| common.kind).or(known);
    let wanted = common.as_ref().and_then(|common| demand::wanted(path, table, common, reader));
    if let Some(wanted) = &wanted
        && !kind?.is_asked()
    {
        wanted.refuse(reader);
    }
    let alone = |kind| (kind, None);
    let kind = match kind? {
        AnyKind::Own(word) => {
            OwnKeys::read(path, table, reader).and_then(|keys| own::own(word, keys, path, reader)).map(alone)
        }
        AnyKind::Known(SourceKind::WebSocket) => {
            WebSocketKeys::read(path, table, reader).and_then(|keys| kinds::websocket(keys, wanted, path, reader))
        }
        AnyKind::Known(SourceKind::Sse) => {
            SseKeys::read(path, table, reader).and_then(|keys| kinds::sse(keys, wanted, path, reader))
        }
        AnyKind::Known(SourceKind::HttpPoll) => {
            HttpPollKeys::read(path, table, reader).and_then(|keys| kinds::http_poll(keys, wanted, path, reader))
        }
        AnyKind::Known(SourceKind::Exec) => {
            ExecKeys::read(path, table, reader).and_then(|keys| kinds::exec(keys, path, reader)).map(alone)
        }
        AnyKind::Known(SourceKind::Replay) => ReplayKeys::read(path, table, reader).map(kinds::replay).map(alone),
        AnyKind::Known(SourceKind::Push) => {
            PushKeys::read(path, table, reader).map(|keys| kinds::push(&keys)).map(alone)
        }
    };
    let CommonKeys { name, group, map, stale_after, required, dedupe, merge, max_keys, numbers, .. } = common?;
    if !is_name(&name) {
        reader.problem(&format!("{path}.name"), format!("found {name:?}"), name_rule());
    }
    if let Some(group) = group.as_ref().filter(|group| !is_name(group)) {
        reader.problem(&format!("{path}.group"), format!("found {group:?}"), name_rule());
    }
    let (kind, demand) = kind?;
    let comes_again = group.is_some() || matches!(kind, Kind::HttpPoll(_));
    let dedupe = dedupe.unwrap_or(if comes_again { COMES_AGAIN } else { 0 });
    let merge = merge.then_some(max_keys);
    let group = group.map(Arc::from);
    let name = Arc::from(name);
    Some(SourceConfig { name, group, kind, mapping: map, stale_after, required, dedupe, merge, numbers, demand })
}

/// Reports keys that no source has, and keys that only sources of another kind have.
fn refuse_foreign(path: &str, table: &Table, kind: Option<AnyKind>, reader: &mut Reader<'_>) {
    let Some(kind) = kind else { return reader.refuse_unknown(path, table, &names(&all_keys())) };
    let word = kind.word();
    let own = KEYS.iter().find(|(of, _)| *of == kind.table()).map_or_else(Vec::new, |(_, keys)| keys());
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

fn name_rule() -> String {
    format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`")
}

pub(super) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}
