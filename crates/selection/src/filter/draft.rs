//! A filter while it is being read, from either form: what it names so far, and how much of its bounds is used up.

use std::collections::{HashMap, hash_map};

use once_cell::race::OnceBox;
use standpipe_protocol::{ErrorCode, Refusal};

use super::{Filter, Node, Test, json};
use crate::{Bounds, path::Path, wording::bound};

/// A filter in the making.
pub(crate) struct Draft<'b> {
    pub(crate) bounds: &'b Bounds,
    /// Each path and its place, which is also how many there were before it.
    paths: HashMap<Path, u32>,
    nodes: usize,
}

impl<'b> Draft<'b> {
    pub(crate) fn new(bounds: &'b Bounds) -> Self {
        Self { bounds, paths: HashMap::new(), nodes: 0 }
    }

    /// Reads a whole filter in the JSON form.
    pub(crate) fn json(&mut self, text: &str) -> Result<Node, Refusal> {
        json::read(self, text)
    }

    /// Counts `nodes` more nodes.
    pub(crate) fn count(&mut self, nodes: usize) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(nodes);
        let max = self.bounds.max_filter_nodes;
        if self.nodes > max {
            let hint =
                format!("many values of one field take one condition: `in` with a list; {}", bound("max_filter_nodes"));
            return Err(invalid(format!("the filter has more than {max} conditions"), hint));
        }
        Ok(())
    }

    /// A condition on one field, which has been counted.
    pub(crate) fn field(&mut self, path: Path, test: Test) -> Node {
        let next = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        let place = match self.paths.entry(path) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(new) => *new.insert(next),
        };
        Node::Field(place, test)
    }

    /// The filter.
    pub(crate) fn finish(self, root: Node) -> Filter {
        let mut paths: Vec<(Path, u32)> = self.paths.into_iter().collect();
        paths.sort_unstable_by_key(|(_, place)| *place);
        Filter { root, paths: paths.into_iter().map(|(path, _)| path).collect(), alone: OnceBox::new() }
    }
}

/// A refusal of a filter: what is wrong, and what would be right.
pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidFilter, message).hint(hint)
}
