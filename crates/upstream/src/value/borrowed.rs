//! Values that point into the frame they were read from.
//!
//! This file decides how such values are held: in an arena that is given back as a whole when the frame is done, so that
//! none of them is counted, dropped or copied. Text that needs no unescaping is the frame's own, numbers that are not
//! computed with keep their digits, and an array or object that was read remembers its text as long as that is what would
//! be written of it.

use std::borrow::Cow;

use bumpalo::{Bump, collections::Vec};
use jaq_json::{Num, Rc, Val};

use super::{
    Kind, Tree,
    read::{Build, Integer, Span},
};

/// A value. Its parts live in the frame, in the program or in the arena.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(isize),
    /// What was computed.
    Float(f64),
    /// As it was written: a decimal, or an integer that is too long to be computed with.
    Decimal(&'a str),
    /// The digits of an integer that the machine's do not hold.
    Big(&'a str),
    Text(&'a str),
    Array(Array<'a>),
    Object(&'a Object<'a>),
}

/// An array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a>(&'a Items<'a>);

#[derive(Debug)]
struct Items<'a> {
    items: &'a [Value<'a>],
    verbatim: Option<&'a str>,
}

/// An object. No name stands twice in it.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: &'a [Field<'a>],
    /// The places of the fields in the order of their names, where there are more than [`FEW`].
    order: &'a [u32],
    verbatim: Option<&'a str>,
}

/// A name and what it stands for.
pub(crate) type Field<'a> = (&'a str, Value<'a>);

/// So many fields are looked through one by one.
const FEW: usize = 32;

impl<'a> Array<'a> {
    /// An array of `items`.
    pub(crate) fn new(arena: &'a Bump, items: &'a [Value<'a>]) -> Self {
        Self(arena.alloc(Items { items, verbatim: None }))
    }

    pub(crate) fn items(self) -> &'a [Value<'a>] {
        self.0.items
    }
}

impl<'a> Object<'a> {
    /// An object of `fields`, of which a name may stand twice: its last value counts, at its first place.
    pub(crate) fn new(arena: &'a Bump, fields: &[Field<'a>]) -> &'a Self {
        let (fields, order, _) = arranged(arena, fields);
        arena.alloc(Self { fields, order, verbatim: None })
    }

    /// The same, of fields that are in the arena.
    pub(crate) fn of(arena: &'a Bump, fields: Vec<'a, Field<'a>>) -> &'a Self {
        if fields.len() > FEW || repeat(&fields) {
            return Self::new(arena, &fields);
        }
        arena.alloc(Self { fields: fields.into_bump_slice(), order: &[], verbatim: None })
    }

    pub(crate) fn fields(&self) -> &'a [Field<'a>] {
        self.fields
    }

    /// What `name` stands for.
    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        if self.order.is_empty() {
            return self.fields.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        }
        let name_at = |place: u32| self.fields.get(place as usize).map_or("", |(name, _)| name);
        let found = self.order.binary_search_by(|place| name_at(*place).cmp(name)).ok()?;
        let place = *self.order.get(found)?;
        self.fields.get(place as usize).map(|(_, value)| *value)
    }
}

/// `fields` in the arena, each name once; their places by name, where there are many; and whether a name stood twice.
fn arranged<'a>(arena: &'a Bump, fields: &[Field<'a>]) -> (&'a [Field<'a>], &'a [u32], bool) {
    if fields.len() <= FEW {
        if !repeat(fields) {
            return (arena.alloc_slice_copy(fields), &[], false);
        }
        let mut once: Vec<'_, Field<'_>> = Vec::with_capacity_in(fields.len(), arena);
        for (name, value) in fields {
            match once.iter_mut().find(|(other, _)| other == name) {
                Some(earlier) => earlier.1 = *value,
                None => once.push((name, *value)),
            }
        }
        return (once.into_bump_slice(), &[], true);
    }
    let order = by_name(arena, fields);
    let name_at = |place: &u32| fields.get(*place as usize).map(|(name, _)| *name);
    if order.windows(2).all(|pair| pair.first().and_then(name_at) != pair.last().and_then(name_at)) {
        return (arena.alloc_slice_copy(fields), order, false);
    }
    let mut once: indexmap::IndexMap<&str, Value<'_>> = indexmap::IndexMap::with_capacity(fields.len());
    once.extend(fields.iter().copied());
    let fields = arena.alloc_slice_fill_iter(once);
    let order = if fields.len() > FEW { by_name(arena, fields) } else { &[] };
    (fields, order, true)
}

fn by_name<'a>(arena: &'a Bump, fields: &[Field<'_>]) -> &'a [u32] {
    // A frame has less than 2^32 bytes, and so less fields.
    let order = arena.alloc_slice_fill_with(fields.len(), |place| u32::try_from(place).unwrap_or(u32::MAX));
    order.sort_unstable_by_key(|place| fields.get(*place as usize).map(|(name, _)| *name));
    order
}

/// Whether a name stands twice. Most names are told apart by a glance at each.
fn repeat(fields: &[Field<'_>]) -> bool {
    let mut seen = 0_u64;
    for (i, (name, _)) in fields.iter().enumerate() {
        let byte = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or_default());
        let bytes = name.as_bytes();
        let glance =
            bytes.len() * 7 + byte(bytes.first()) * 5 + byte(bytes.get(bytes.len() / 2)) * 3 + byte(bytes.last());
        let mark = 1 << (glance % 64);
        if seen & mark != 0 && fields.iter().take(i).any(|(other, _)| other == name) {
            return true;
        }
        seen |= mark;
    }
    false
}

/// Reads values into an arena.
pub(crate) struct Builder<'a> {
    arena: &'a Bump,
    /// The items and fields of what is not closed yet, the innermost last.
    items: Vec<'a, Value<'a>>,
    fields: Vec<'a, Field<'a>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(arena: &'a Bump) -> Self {
        Self { arena, items: Vec::new_in(arena), fields: Vec::new_in(arena) }
    }
}

impl<'a> Build<'a> for Builder<'a> {
    type Value = Value<'a>;
    type Items = usize;
    type Fields = usize;

    fn null(&mut self) -> Value<'a> {
        Value::Null
    }

    fn bool(&mut self, is: bool) -> Value<'a> {
        Value::Bool(is)
    }

    fn number(&mut self, digits: &'a str, integer: Integer) -> Value<'a> {
        match integer {
            Integer::No => Value::Decimal(digits),
            Integer::Yes => digits.parse().map_or(Value::Big(digits), Value::Int),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Value<'a> {
        Value::Text(self.kept(text))
    }

    fn items(&mut self) -> usize {
        self.items.len()
    }

    fn item(&mut self, _: &mut usize, item: Value<'a>) {
        self.items.push(item);
    }

    fn array(&mut self, from: usize, span: Span<'a>) -> Value<'a> {
        let items = self.arena.alloc_slice_copy(self.items.get(from..).unwrap_or_default());
        self.items.truncate(from);
        Value::Array(Array(self.arena.alloc(Items { items, verbatim: span.0 })))
    }

    fn fields(&mut self) -> usize {
        self.fields.len()
    }

    fn field(&mut self, _: &mut usize, name: Cow<'a, str>, value: Value<'a>) {
        let name = self.kept(name);
        self.fields.push((name, value));
    }

    fn object(&mut self, from: usize, span: Span<'a>) -> (Value<'a>, bool) {
        let (fields, order, repeats) = arranged(self.arena, self.fields.get(from..).unwrap_or_default());
        self.fields.truncate(from);
        let verbatim = span.0.filter(|_| !repeats);
        (Value::Object(self.arena.alloc(Object { fields, order, verbatim })), repeats)
    }
}

impl<'a> Builder<'a> {
    fn kept(&self, text: Cow<'a, str>) -> &'a str {
        match text {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => self.arena.alloc_str(&text),
        }
    }
}

impl Tree for Value<'_> {
    fn kind(&self) -> Kind<'_> {
        match *self {
            Self::Null => Kind::Null,
            Self::Bool(is) => Kind::Bool(is),
            Self::Int(n) => Kind::Int(n),
            Self::Float(f) => Kind::Float(f),
            Self::Decimal(digits) => Kind::Decimal(digits),
            Self::Big(digits) => Kind::Big(Cow::Borrowed(digits)),
            Self::Text(text) => Kind::Text(text.as_bytes()),
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    fn items(&self) -> &[Self] {
        if let Self::Array(array) = self { array.items() } else { &[] }
    }

    fn fields(&self) -> impl ExactSizeIterator<Item = (Option<&[u8]>, &Self)> {
        let fields = if let Self::Object(object) = self { object.fields() } else { &[] };
        fields.iter().map(|(name, value)| (Some(name.as_bytes()), value))
    }

    fn verbatim(&self) -> Option<&str> {
        match self {
            Self::Array(array) => array.0.verbatim,
            Self::Object(object) => object.verbatim,
            _ => None,
        }
    }

    fn to_val(&self) -> Val {
        match *self {
            Self::Null => Val::Null,
            Self::Bool(is) => Val::Bool(is),
            Self::Int(n) => Val::from(n),
            Self::Float(f) => Val::from(f),
            Self::Decimal(digits) => Val::Num(Num::Dec(Rc::new(digits.to_owned()))),
            Self::Big(digits) => Val::Num(Num::from_str_radix(digits, 10).unwrap_or(Num::Float(f64::NAN))),
            Self::Text(text) => Val::from(text.to_owned()),
            Self::Array(array) => array.items().iter().map(Self::to_val).collect(),
            Self::Object(object) => {
                let fields = object.fields().iter();
                Val::obj(fields.map(|(name, value)| (Val::from((*name).to_owned()), value.to_val())).collect())
            }
        }
    }
}
