//! Keys: what a section may hold, of which type, with which default, and what it means.
//!
//! [`section!`] writes them down once; the reader, the overrides from the environment and the reference in the
//! documentation all come from there. What values look like is decided in `values.rs`.

use std::{collections::BTreeSet, fmt::Display, path::Path};

use ::config::{Value, ValueKind};
use standpipe_protocol::refusal::did_you_mean;

use super::{environment::Environment, problem::Problem, values::show};

/// A section as the file holds it.
pub(super) type Table = ::config::Map<String, Value>;

/// One key of a section.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// For people: `a duration`, `` `pong` or `ack` ``.
    pub(super) kind: String,
    pub(super) presence: Presence,
    pub(super) default: Option<Value>,
    pub(super) meaning: &'static str,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is read where it is there.
    Followed,
    /// It has to be there.
    Required,
    /// It belongs to a later version.
    Later,
}

/// How the text of an override becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// It is the value.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number if it reads as one, else the text (`auto`).
    Number,
    /// A JSON array, or a word that stands for one (`any`).
    List,
    /// A JSON object.
    Map,
}

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// How overrides are typed.
    const SHAPE: Shape;

    /// For people, in the reference.
    fn kind() -> String;

    /// What it is where the key is absent and has no default; nothing if the key is required.
    fn absent() -> Option<Self> {
        None
    }

    /// Reads the value, or reports to `reader` what is wrong with it.
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self>;
}

/// A value and where it stands.
pub(super) struct Found<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// What is needed to read values, and what was wrong with them so far.
pub(super) struct Reader<'a> {
    pub(super) environment: &'a Environment,
    /// Relative paths in the configuration start here.
    pub(super) directory: &'a Path,
    pub(super) problems: Vec<Problem>,
    /// The keys that were read and wrong.
    wrong: BTreeSet<String>,
}

impl<'a> Found<'a> {
    /// An element of this value.
    pub(super) fn element<'b>(&self, place: &str, value: &'b Value) -> Found<'b> {
        Found { path: format!("{}{place}", self.path), value }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.value.kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment, directory: &'a Path) -> Self {
        Self { environment, directory, problems: Vec::new(), wrong: BTreeSet::new() }
    }

    /// Notes a problem with a value.
    pub(super) fn refuse<T>(
        &mut self,
        found: &Found<'_>,
        what: impl Into<String>,
        right: impl Into<String>,
    ) -> Option<T> {
        let right = Some(right.into()).filter(|right| !right.is_empty());
        // Only values of overrides have an origin: the name of the variable.
        let path = found.value.origin().map_or_else(|| found.path.clone(), str::to_owned);
        self.problems.push(Problem { path, what: what.into(), right });
        None
    }

    /// What was made of the value, or a problem with it whose text says all.
    pub(super) fn accept<T>(&mut self, found: &Found<'_>, made: Result<T, impl Display>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(error) => self.refuse(found, error.to_string(), ""),
        }
    }

    /// Notes a problem that is not with one value.
    pub(super) fn problem(&mut self, path: &str, what: impl Into<String>, right: impl Into<String>) {
        let right = Some(right.into()).filter(|right| !right.is_empty());
        self.problems.push(Problem { path: path.to_owned(), what: what.into(), right });
    }

    /// Reads one key of the section at `path`.
    ///
    /// A key that is wrong, or absent, is its default from here on, so that the checks that follow find what else is
    /// wrong. Nothing if there is no default either.
    pub(super) fn key<T: Setting>(
        &mut self,
        path: &str,
        table: &Table,
        name: &str,
        default: Option<&Value>,
    ) -> Option<T> {
        let path = format!("{path}.{name}");
        if let Some(value) = table.get(name) {
            let read = T::read(&Found { path: path.clone(), value }, self);
            if read.is_some() {
                return read;
            }
            self.wrong.insert(path.clone());
        }
        let read = match default {
            Some(value) => T::read(&Found { path: path.clone(), value }, self),
            None => T::absent(),
        };
        if read.is_none() && !self.wrong.contains(&path) {
            self.problem(&path, "it is missing", format!("needed is {}", T::kind()));
        }
        read
    }

    /// Whether none of these keys was wrong. A check between keys asks this first: a default in the place of a wrong
    /// value proves nothing.
    pub(super) fn sound(&self, paths: &[&str]) -> bool {
        !paths.iter().any(|path| self.wrong.contains(*path))
    }

    /// Looks at a key that a later version follows. It may be there if it changes nothing.
    pub(super) fn later(&mut self, path: &str, table: &Table, name: &str, default: Option<&Value>) {
        let Some(value) = table.get(name) else { return };
        let found = Found { path: format!("{path}.{name}"), value };
        let _: Option<()> = match default {
            Some(default) if default.kind == value.kind => return,
            Some(default) => {
                let right = format!("only {} is, or leave it out", show(default));
                self.refuse(&found, format!("{} is not available in this version", show(value)), right)
            }
            None => self.refuse(&found, "it is not available in this version", "leave it out"),
        };
    }

    /// Reports the keys of `table` that are not among `known`.
    pub(super) fn refuse_unknown(&mut self, path: &str, table: &Table, known: &[&'static str]) {
        // Sorted: a hash map has no order, and the same file shall give the same report.
        let names: BTreeSet<&String> = table.keys().collect();
        for name in names.into_iter().filter(|name| !known.contains(&name.as_str())) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.problem(&path, "there is no such key", suggestion(name, known));
        }
    }
}

/// The value at a path such as `auth.jwt`. Nothing if there is none, or if what it is in is no table: that is told where
/// the latter is read.
pub(super) fn descend<'a>(root: &'a Table, path: &str) -> Option<&'a Value> {
    let Some((parent, name)) = path.rsplit_once('.') else { return root.get(path) };
    match &descend(root, parent)?.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    }
}

/// What a key that does not exist was probably meant to be.
pub(super) fn suggestion(name: &str, known: &[&'static str]) -> String {
    match did_you_mean(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The names of keys.
pub(super) fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// Declares a section: a struct whose fields are its keys, the table of these keys, and how they are read.
///
/// `name: Type = default, "meaning";` A key without a default is required unless its type says otherwise. What stands
/// in `later { … }` is known to come, and refused unless it has its default.
macro_rules! section {
    ($name:ident {
        $($field:ident: $type:ty $(= $default:expr)?, $meaning:literal;)*
    } $(later {
        $($later:ident: $later_type:ty $(= $later_default:expr)?, $later_meaning:literal;)*
    })?) => {
        #[allow(clippy::struct_field_names, reason = "they are what people write into the file")]
        pub(super) struct $name { $(pub(super) $field: $type,)* }

        impl $name {
            /// All keys, in the order of the reference.
            pub(super) fn keys() -> Vec<$crate::config::keys::Key> {
                use $crate::config::keys::{Presence, default, key};
                vec![
                    $(key::<$type>(stringify!($field), Presence::Followed, default!($($default)?), $meaning),)*
                    $($(key::<$later_type>(
                        stringify!($later), Presence::Later, default!($($later_default)?), $later_meaning,
                    ),)*)?
                ]
            }

            /// Reads all keys, and only then gives up if one of them has no value.
            pub(super) fn read(
                path: &str,
                table: &$crate::config::keys::Table,
                reader: &mut $crate::config::keys::Reader<'_>,
            ) -> Option<Self> {
                use $crate::config::keys::default;
                $(let $field = reader.key(path, table, stringify!($field), default!($($default)?).as_ref());)*
                $($(reader.later(path, table, stringify!($later), default!($($later_default)?).as_ref());)*)?
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}

/// A default as a value of the configuration.
macro_rules! default {
    () => {
        None::<::config::Value>
    };
    ($default:expr) => {
        Some(::config::Value::new(None, $default))
    };
}

/// One line of the table. For [`section!`].
pub(super) fn key<T: Setting>(
    name: &'static str,
    presence: Presence,
    default: Option<Value>,
    meaning: &'static str,
) -> Key {
    let presence = match presence {
        Presence::Followed if default.is_none() && T::absent().is_none() => Presence::Required,
        presence => presence,
    };
    Key { name, shape: T::SHAPE, kind: T::kind(), presence, default, meaning }
}

pub(super) use {default, section};
