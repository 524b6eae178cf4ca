//! Filters: whether an event is wanted, by what is in it.
//!
//! This file decides what a filter means once it is read; `docs/filters.md` holds the same as a table, which the tests
//! execute. `filter/json.rs` reads the JSON form, `query/condition.rs` the URL form, and both end here.

mod draft;
mod json;
mod operator;
mod shown;

use std::{cmp::Ordering, fmt};

use once_cell::race::OnceBox;
use smallvec::SmallVec;
use standpipe_protocol::{EventView, Json, Refusal};

pub(crate) use draft::{Draft, invalid};
pub(crate) use operator::Operator;

use crate::{
    Bounds,
    decimal::Decimal,
    fields::{Fields, Found, Slot, Slots},
    path::Path,
    value::{Set, Value},
};

/// Conditions on the fields of an event, checked and ready to be used on any number of events.
///
/// Two filters are equal if they have the same conditions in the same order. Shown and serialized as JSON that reads as
/// an equal filter.
pub struct Filter {
    root: Node,
    /// The fields it names; conditions refer to them by their place here.
    paths: Paths,
    /// What it takes to look at an event without an index. Made when first needed: in an index it never is.
    alone: OnceBox<Alone>,
}

struct Alone {
    fields: Fields,
    slots: Slots,
}

/// Most filters name one field, which takes no allocation.
type Paths = SmallVec<[Path; 1]>;

/// A part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Every one of them holds. None: everything is selected.
    All(Box<[Node]>),
    /// At least one of them holds.
    Any(Box<[Node]>),
    /// It does not hold.
    Not(Box<Node>),
    /// A condition on one field: its place among the paths, and what is asked.
    Field(u32, Test),
}

/// What is asked of a field. A field that is a list is asked for any of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// It is one of these.
    In(Set),
    /// It is none of these; true if the field is missing.
    NotIn(Set),
    /// It compares so with this number. Strings that are written like numbers count as numbers.
    Order(Comparison, Box<Decimal>),
    /// It is a string that begins so.
    Prefix(Box<str>),
    /// It is a string that ends so.
    Suffix(Box<str>),
    /// It is a string that has this in it.
    Contains(Box<str>),
    /// It is there, be it `null` or an empty list; or, with `false`, it is not.
    Exists(bool),
}

/// The four orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// `INVALID_FILTER`, with the place in the filter, the reason and what would be right. What exceeds `bounds` is
    /// refused before it is worked on.
    pub fn parse(json: &Json, bounds: &Bounds) -> Result<Self, Refusal> {
        let mut draft = Draft::new(bounds);
        let root = draft.json(json.as_str())?;
        Ok(draft.finish(root))
    }

    /// The filter for which this one and `other` have to hold.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut paths = self.paths.clone();
        let places: Vec<u32> = other.paths.iter().map(|path| place(&mut paths, path)).collect();
        let root = Node::all(vec![self.root.clone(), other.root.with_places(&places)]);
        Self { root, paths, alone: OnceBox::new() }
    }

    /// Whether it selects `event`.
    ///
    /// Reads the payload once. Where many filters look at one event, an [`crate::Index`] reads it once for all.
    pub fn matches(&self, event: EventView<'_>) -> bool {
        let alone = self.alone.get_or_init(|| {
            let mut fields = Fields::new();
            let slots = self.claim(&mut fields);
            Box::new(Alone { fields, slots })
        });
        self.holds(&alone.fields.read(event), &alone.slots)
    }

    /// Has `fields` read what this filter names, and returns where it will be found: a slot for each path.
    pub(crate) fn claim(&self, fields: &mut Fields) -> Slots {
        self.paths.iter().map(|path| fields.claim(path)).collect()
    }

    /// What [`Filter::claim`] returned.
    pub(crate) fn slots(&self, fields: &Fields) -> Slots {
        self.paths.iter().filter_map(|path| fields.slot(path)).collect()
    }

    /// Takes back what [`Filter::claim`] claimed.
    pub(crate) fn release(&self, fields: &mut Fields) {
        for path in &self.paths {
            fields.release(path);
        }
    }

    /// Whether it selects the event in which `found` was found; `slots` as [`Filter::claim`] returned them.
    pub(crate) fn holds(&self, found: &Found<'_>, slots: &[Slot]) -> bool {
        self.root.holds(found, slots)
    }

    /// The conditions of which every one has to hold.
    pub(crate) fn conjuncts(&self) -> &[Node] {
        match &self.root {
            Node::All(nodes) => nodes,
            other => std::slice::from_ref(other),
        }
    }
}

impl Node {
    /// The conjunction. One of a conjunction is the same conjunction, and one of a single node is that node.
    pub(crate) fn all(nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single(flat).unwrap_or_else(|flat| Self::All(flat.into()))
    }

    /// The disjunction, likewise.
    pub(crate) fn any(nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single(flat).unwrap_or_else(|flat| Self::Any(flat.into()))
    }

    /// The same, where the fields have other places: `places` has the new one of each.
    fn with_places(&self, places: &[u32]) -> Self {
        let all = |nodes: &[Self]| nodes.iter().map(|node| node.with_places(places)).collect();
        match self {
            Self::All(nodes) => Self::All(all(nodes)),
            Self::Any(nodes) => Self::Any(all(nodes)),
            Self::Not(node) => Self::Not(Box::new(node.with_places(places))),
            Self::Field(place, test) => {
                // Invariant: every field of a filter has a place.
                let place = places.get(*place as usize).copied().unwrap_or(u32::MAX);
                Self::Field(place, test.clone())
            }
        }
    }

    /// Whether it holds for the event in which `found` was found.
    pub(crate) fn holds(&self, found: &Found<'_>, slots: &[Slot]) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(found, slots)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(found, slots)),
            Self::Not(node) => !node.holds(found, slots),
            Self::Field(place, test) => {
                let values = slots.get(*place as usize).map(|slot| found.of(*slot)).unwrap_or_default();
                test.holds(values)
            }
        }
    }
}

/// The place of `path`, which is added if it has none.
fn place(paths: &mut Paths, path: &Path) -> u32 {
    let known = paths.iter().position(|known| known == path);
    let place = known.unwrap_or_else(|| {
        paths.push(path.clone());
        paths.len() - 1
    });
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// The only node, or all of them back.
fn single(mut nodes: Vec<Node>) -> Result<Node, Vec<Node>> {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => Ok(only),
        Some(last) => {
            nodes.push(last);
            Err(nodes)
        }
        None => Err(nodes),
    }
}

impl Test {
    fn holds(&self, values: &[(Slot, Value<'_>)]) -> bool {
        let any = |holds: &dyn Fn(&Value<'_>) -> bool| values.iter().any(|(_, value)| holds(value));
        let any_text = |holds: &dyn Fn(&str) -> bool| any(&|value| value.as_text().is_some_and(holds));
        match self {
            Self::In(set) => any(&|value| set.has(value)),
            Self::NotIn(set) => !any(&|value| set.has(value)),
            Self::Order(comparison, bound) => comparison.holds_for_any(values, bound),
            Self::Prefix(part) => any_text(&|text| text.starts_with(&**part)),
            Self::Suffix(part) => any_text(&|text| text.ends_with(&**part)),
            Self::Contains(part) => any_text(&|text| text.contains(&**part)),
            Self::Exists(wanted) => values.is_empty() != *wanted,
        }
    }
}

impl Comparison {
    /// Whether one of the values of a field compares so with `bound`.
    pub(crate) fn holds_for_any(self, values: &[(Slot, Value<'_>)], bound: &Decimal) -> bool {
        values.iter().filter_map(|(_, value)| value.as_number()).any(|number| self.holds(number.cmp(bound)))
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root && self.paths == other.paths
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}

#[cfg(test)]
mod tests;
