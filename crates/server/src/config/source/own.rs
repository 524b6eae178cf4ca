//! Kinds of source that the program brings, beside those of the server.

use ::config::{Map, Value, ValueKind};
use standpipe_upstream::{Decoding, Kind, OwnConfig};

use super::SourceKind;
use crate::{
    config::{
        keys::{Found, Reader, Setting, Shape, section},
        numbers::in_memory,
        quantity::Size,
        texts::Expanded,
        values::{Choice as _, wrong_type, wrong_word},
    },
    kinds::Kinds,
};

/// What stands in the reference for the word of such a kind.
pub(in crate::config) const OWN: &str = "…";

section! {
    OwnKeys {
        options: Option<Options>, "What the program wants to know. `${NAME}` is replaced.";
        decode: Decoding = vec!["json"], "As for `websocket`, of each frame.";
        max_frame: Size = "16MiB", "The largest frame, as given and after each step of `decode`.";
    }
}

/// A kind of source: the server's, or the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum AnyKind {
    Known(SourceKind),
    Own(&'static str),
}

/// A table of which the program knows the keys.
pub(super) struct Options(Value);

impl AnyKind {
    /// The kind of this word.
    pub(super) fn of(word: &str, kinds: &Kinds) -> Option<Self> {
        let known = SourceKind::WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| Self::Known(*kind));
        known.or_else(|| kinds.words().find(|own| *own == word).map(Self::Own))
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Known(kind) => {
                SourceKind::WORDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word)
            }
            Self::Own(word) => word,
        }
    }

    /// The table of its keys in the reference.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Known(_) => self.word(),
            Self::Own(_) => OWN,
        }
    }

    /// Whether it connects to an address, of which there may be one for each client.
    pub(super) fn is_asked(self) -> bool {
        match self {
            Self::Known(SourceKind::WebSocket | SourceKind::Sse | SourceKind::HttpPoll) => true,
            Self::Known(SourceKind::Exec | SourceKind::Replay | SourceKind::Push) | Self::Own(_) => false,
        }
    }
}

impl Setting for AnyKind {
    const SHAPE: Shape = SourceKind::SHAPE;

    fn kind() -> String {
        SourceKind::kind()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(word) = found.text() else { return wrong_type::<_, Self>(found, reader) };
        let kinds = reader.environment.kinds();
        let kind = Self::of(word, kinds);
        if kind.is_none() {
            let words: Vec<_> = SourceKind::WORDS.iter().map(|(word, _)| *word).chain(kinds.words()).collect();
            return wrong_word(found, &words, reader);
        }
        kind
    }
}

impl Setting for Options {
    const SHAPE: Shape = Shape::Map;

    fn kind() -> String {
        "a table".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match &found.value.kind {
            ValueKind::Table(_) => expanded(found, reader).map(Self),
            _ => wrong_type::<_, Self>(found, reader),
        }
    }
}

/// The value with what the environment holds in all of its texts.
fn expanded(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Value> {
    let kind = match &found.value.kind {
        ValueKind::String(text) if text.contains("${") => Expanded::read(found, reader)?.text.into(),
        ValueKind::Array(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(i, item)| expanded(&found.element(&format!("[{i}]"), item), reader));
            ValueKind::Array(items.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)
        }
        ValueKind::Table(table) => {
            let mut whole = Map::new();
            for (name, value) in table {
                whole.insert(name.clone(), expanded(&found.element(&format!(".{name}"), value), reader)?);
            }
            ValueKind::Table(whole)
        }
        other => other.clone(),
    };
    Some(Value::new(None, kind))
}

/// A source of the program's kind `word`.
pub(super) fn own(word: &'static str, keys: OwnKeys, path: &str, reader: &mut Reader<'_>) -> Option<Kind> {
    let options = keys.options.map_or_else(|| Value::new(None, Map::<String, Value>::new()), |Options(value)| value);
    match reader.environment.kinds().make(word, options, reader.directory)? {
        Ok(make) => {
            Some(Kind::Own(OwnConfig { word, make, decode: keys.decode, max_frame: in_memory(keys.max_frame) }))
        }
        Err(what) => {
            reader.problem(&format!("{path}.options"), what, "");
            None
        }
    }
}
