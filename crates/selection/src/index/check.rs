//! What a candidate's event still has to pass: the filter without what has found the candidate.
//!
//! Candidates are many and lie far apart in memory, so that the cost of one is the cost of fetching it. Hence what
//! remains of most filters, one comparison with a number, is held in one piece.

use std::sync::Arc;

use super::key;
use crate::{
    Filter,
    decimal::Decimal,
    fields::{Found, Slot, Slots},
    filter::{Comparison, Node, Test},
};

/// What an event has to pass.
#[derive(Debug)]
pub(super) enum Check {
    /// One comparison.
    Order { slot: Slot, comparison: Comparison, bound: Decimal },
    /// Anything else. In a box, because most checks are a comparison, and should be no larger than one.
    Conjuncts(Box<Conjuncts>),
}

/// All conjuncts of a filter but the one that is proven.
#[derive(Debug)]
pub(super) struct Conjuncts {
    filter: Arc<Filter>,
    slots: Slots,
    but: Option<usize>,
}

impl Check {
    /// What is left of `filter` for an entry that is found by the keys of the conjunct `found_by`, or by none. `None` if
    /// nothing is left.
    pub(super) fn new(filter: &Arc<Filter>, slots: &Slots, found_by: Option<usize>) -> Option<Self> {
        let conjuncts = filter.conjuncts();
        let but = found_by.filter(|place| conjuncts.get(*place).is_some_and(key::prove));
        let mut rest = others(conjuncts, but);
        let first = rest.next()?;
        if let (Node::Field(field, Test::Order(comparison, bound)), None) = (first, rest.next())
            && let Some(slot) = slots.get(*field as usize)
        {
            return Some(Self::Order { slot: *slot, comparison: *comparison, bound: (**bound).clone() });
        }
        Some(Self::Conjuncts(Box::new(Conjuncts { filter: Arc::clone(filter), slots: slots.clone(), but })))
    }

    /// Whether the event in which `found` was found passes.
    pub(super) fn holds(&self, found: &Found<'_>) -> bool {
        match self {
            Self::Order { slot, comparison, bound } => comparison.holds_for_any(found.of(*slot), bound),
            Self::Conjuncts(conjuncts) => {
                let Conjuncts { filter, slots, but } = &**conjuncts;
                others(filter.conjuncts(), *but).all(|node| node.holds(found, slots))
            }
        }
    }
}

fn others(conjuncts: &[Node], but: Option<usize>) -> impl Iterator<Item = &Node> {
    conjuncts.iter().enumerate().filter(move |(place, _)| Some(*place) != but).map(|(_, node)| node)
}
