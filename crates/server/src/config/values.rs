//! What types of keys have in common: how a value is shown, and types that are made of others.

use ::config::{Value, ValueKind};
use standpipe_protocol::refusal::did_you_mean;

use super::keys::{Found, Reader, Setting, Shape};

/// Not set by hand: the server finds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auto<T> {
    Auto,
    Fixed(T),
}

/// There may be no such limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrNone<T>(pub(super) Option<T>);

/// A word of a fixed set. [`choice!`] implements it.
pub(super) trait Choice: Sized + Copy + 'static {
    /// The words of this version.
    const WORDS: &[(&str, Self)];
    /// The words that are known to come.
    const LATER: &[&str];
}

/// A value as people write it, cut to a length that a line bears.
pub(super) fn show(value: &Value) -> String {
    const MAX_CHARS: usize = 60;
    let whole = match &value.kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    };
    if whole.chars().count() <= MAX_CHARS {
        return whole;
    }
    whole.chars().take(MAX_CHARS).chain(['…']).collect()
}

/// Reports a value that is not of the type of its key.
pub(super) fn wrong_type<T, S: Setting>(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<T> {
    reader.refuse(found, format!("found {}", show(found.value)), format!("it is {}", S::kind()))
}

impl<T: Setting> Setting for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn kind() -> String {
        T::kind()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(found, reader).map(Some)
    }
}

impl<T: Setting> Setting for Auto<T> {
    const SHAPE: Shape = T::SHAPE;

    fn kind() -> String {
        format!("`auto` or {}", T::kind())
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.text() {
            Some("auto") => Some(Self::Auto),
            Some(text) if text.bytes().all(|b| b.is_ascii_alphabetic()) => wrong_type::<_, Self>(found, reader),
            _ => T::read(found, reader).map(Self::Fixed),
        }
    }
}

impl<T: Setting> Setting for OrNone<T> {
    const SHAPE: Shape = T::SHAPE;

    fn kind() -> String {
        format!("`none` or {}", T::kind())
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.text() {
            Some("none") => Some(Self(None)),
            _ => T::read(found, reader).map(|value| Self(Some(value))),
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SHAPE: Shape = Shape::List;

    fn kind() -> String {
        format!("a list, each {}", T::kind())
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let ValueKind::Array(items) = &found.value.kind else { return wrong_type::<_, Self>(found, reader) };
        let read = |(i, item)| T::read(&found.element(&format!("[{i}]"), item), reader);
        let read: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
        read.into_iter().collect()
    }
}

impl<C: Choice> Setting for C {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        let words: Vec<_> = C::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let words = || C::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let Some(text) = found.text() else { return wrong_type::<_, Self>(found, reader) };
        if let Some((_, value)) = C::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if C::LATER.contains(&text) {
            let available = format!("available are {}", words().join(", "));
            return reader.refuse(found, format!("`{text}` is not available in this version"), available);
        }
        wrong_word(found, &words(), reader)
    }
}

/// Reports a text that is none of these words.
pub(super) fn wrong_word<T>(found: &Found<'_>, words: &[&str], reader: &mut Reader<'_>) -> Option<T> {
    let right = match did_you_mean(found.text().unwrap_or_default(), words.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it is one of {}", words.join(", ")),
    };
    reader.refuse(found, format!("found {}", show(found.value)), right)
}

/// Makes an enum a setting: its words, and those that are known to come.
macro_rules! choice {
    ($type:ty: $($word:literal => $value:expr),+ $(; later $($later:literal),+)?) => {
        impl $crate::config::values::Choice for $type {
            const WORDS: &[(&str, Self)] = &[$(($word, $value)),+];
            const LATER: &[&str] = &[$($($later),+)?];
        }
    };
}

pub(super) use choice;
