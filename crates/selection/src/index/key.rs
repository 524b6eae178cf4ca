//! By which values a filter can be found.

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

/// Values of which every event that `node` selects has at least one. `None` if there is no such list.
///
/// Invariant: the same for the same node, because what was inserted by these keys is removed by them.
pub(super) fn keys(node: &Node) -> Option<Vec<Key<'_>>> {
    match node {
        Node::Field(field, Test::In(set)) => {
            Some(set.values().iter().map(|value| Key { field: *field, value }).collect())
        }
        Node::All(nodes) => nodes.iter().filter_map(keys).min_by_key(Vec::len),
        Node::Any(nodes) => {
            let alternatives: Option<Vec<_>> = nodes.iter().map(keys).collect();
            Some(alternatives?.into_iter().flatten().collect())
        }
        Node::Field(..) | Node::Not(_) => None,
    }
}
