//! By which values a filter can be found.
//!
//! Invariant: the same for the same node, because what was inserted by its keys is removed by them.

use crate::{
    fields::Slot,
    filter::{Node, Test},
    value::Scalar,
};

/// A field, by its place among the paths of its filter, and a value.
#[derive(Debug)]
pub(super) struct Key<'f> {
    field: u32,
    pub(super) value: &'f Scalar,
}

impl Key<'_> {
    /// Where the field is found; `slots` are those of the filter.
    pub(super) fn slot(&self, slots: &[Slot]) -> Option<Slot> {
        slots.get(self.field as usize).copied()
    }
}

/// How many keys `node` has: values of which every event that it selects has at least one. `None` if there are no such
/// values.
pub(super) fn count(node: &Node) -> Option<usize> {
    match node {
        Node::Field(_, Test::In(set)) => Some(set.values().len()),
        Node::All(nodes) => nodes.iter().filter_map(count).min(),
        Node::Any(nodes) => nodes.iter().map(count).sum(),
        Node::Field(..) | Node::Not(_) => None,
    }
}

/// Visits the keys that [`count`] counts.
pub(super) fn each<'f>(node: &'f Node, visit: &mut dyn FnMut(&Key<'f>)) {
    match node {
        Node::Field(field, Test::In(set)) => {
            set.values().iter().for_each(|value| visit(&Key { field: *field, value }));
        }
        Node::All(nodes) => {
            let counted = nodes.iter().filter_map(|node| Some((count(node)?, node)));
            if let Some((_, fewest)) = counted.min_by_key(|(count, _)| *count) {
                each(fewest, visit);
            }
        }
        Node::Any(nodes) => nodes.iter().for_each(|node| each(node, visit)),
        Node::Field(..) | Node::Not(_) => {}
    }
}

/// Whether every event that has one of the keys is one that `node` selects.
pub(super) fn prove(node: &Node) -> bool {
    match node {
        Node::Field(_, Test::In(_)) => true,
        Node::Any(nodes) => nodes.iter().all(prove),
        Node::Field(..) | Node::All(_) | Node::Not(_) => false,
    }
}
