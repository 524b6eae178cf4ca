//! JSON text to the values that programs run over, and back.
//!
//! [`read`] and [`mod@write`] are the only places where bytes from outside become values and values become text. A value
//! is held in one of two ways: as jaq's [`Val`], or as a [`borrowed::Value`] that points into the frame it was read from.
//! What has to be the same for both (what is written, what is an event) asks for a [`Tree`].

pub(crate) mod borrowed;
pub(crate) mod read;
pub(crate) mod write;

use std::borrow::Cow;

use jaq_json::{Num, Val};

/// A JSON value, however it is held.
pub(crate) trait Tree: Sized {
    /// What it is.
    fn kind(&self) -> Kind<'_>;

    /// Its items, if it is an array.
    fn items(&self) -> &[Self];

    /// Its fields in order, if it is an object: name and value. A name that is no text is none.
    fn fields(&self) -> impl ExactSizeIterator<Item = (Option<&[u8]>, &Self)>;

    /// The text that would be written of it, if that is known: of what was read and has not been changed.
    fn verbatim(&self) -> Option<&str>;

    /// The same value for jaq.
    fn to_val(&self) -> Val;
}

/// What a value is. Numbers are told apart by how they are held.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'v> {
    Null,
    Bool(bool),
    /// An integer of the machine.
    Int(isize),
    /// What was computed.
    Float(f64),
    /// As it was written.
    Decimal(&'v str),
    /// The digits of an integer that the machine's do not hold.
    Big(Cow<'v, str>),
    /// Bytes that are no text.
    Bytes,
    /// Text; programs can make some that is not UTF-8.
    Text(&'v [u8]),
    Array,
    Object,
}

impl Tree for Val {
    fn kind(&self) -> Kind<'_> {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(is) => Kind::Bool(*is),
            Self::Num(Num::Int(n)) => Kind::Int(*n),
            Self::Num(Num::Float(f)) => Kind::Float(*f),
            Self::Num(Num::Dec(digits)) => Kind::Decimal(digits),
            Self::Num(big @ Num::BigInt(_)) => Kind::Big(big.to_string().into()),
            Self::BStr(_) => Kind::Bytes,
            Self::TStr(text) => Kind::Text(text),
            Self::Arr(_) => Kind::Array,
            Self::Obj(_) => Kind::Object,
        }
    }

    fn items(&self) -> &[Self] {
        if let Self::Arr(items) = self { items } else { &[] }
    }

    fn fields(&self) -> impl ExactSizeIterator<Item = (Option<&[u8]>, &Self)> {
        let entries = if let Self::Obj(entries) = self { entries.as_slice() } else { Default::default() };
        entries.iter().map(|(name, value)| (if let Self::TStr(name) = name { Some(&***name) } else { None }, value))
    }

    fn verbatim(&self) -> Option<&str> {
        None
    }

    fn to_val(&self) -> Val {
        self.clone()
    }
}

#[cfg(test)]
mod tests;
