//! The direct evaluator: runs the part of jq that most mappings are written in, over values that borrow from the frame.
//!
//! jaq makes a value of its own of each intermediate result, and a boxed iterator of each step. This evaluator makes
//! neither: a program is lowered once to a [`plan::Plan`], outputs are handed on as they come, and values live in an arena
//! that is given back with the frame. The language stays jaq's: its lexer and parser read programs, its compiler has
//! accepted them before they come here, and whatever is not in the subset is jaq's to run.
//!
//! ```text
//! program ─jaq's parser─▶ term ─┬─ lower ─▶ plan ─ run ─▶ outputs
//!                               │             │  └─ an error, an odd number, a bound: once more, from the beginning
//!                               └─ guard, jaq's compiler ─▶ filter ◀───────────────┘
//! ```
//!
//! Invariant: a run that comes to its end has given what jaq would have given. Errors are not told here at all: where one
//! would come out, the frame is jaq's, from its beginning. So is what is rarely met and easily got wrong (integers that the
//! machine's do not hold, indexing by objects). That costs such a frame both evaluators, and keeps one author of messages.
//!
//! Invariant: nothing here recurses deeper than a plan is nested, or a value: plans have at most [`lower::MAX_NODES`] nodes,
//! no definition calls itself, and nothing accumulates values from item to item.

mod collections;
mod dates;
mod forms;
mod functions;
mod indexing;
mod lower;
mod math;
mod order;
mod plan;
mod run;
mod texts;

pub(crate) use self::{
    lower::{Refused, lower},
    plan::Plan,
    run::{Globals, Stop, run},
};

#[cfg(test)]
mod tests;
