//! A program, as the direct evaluator runs it.
//!
//! This file decides the shape of plans, and which parts of one give exactly one output. Names are gone: variables are
//! slots, definitions stand where they were called.

use jaq_core::ops::{Cmp, Math};

use super::{forms::Form, functions::Native};
use crate::map::compile::GLOBALS;

/// A lowered program.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) body: Node,
    /// How many variables there are. The first of them are the globals.
    ///
    /// Invariant: no part of a plan is under way twice at a time, so that each binding has one slot.
    pub(super) slots: usize,
    /// Which globals the program reads, in the order of [`GLOBALS`].
    pub reads: [bool; GLOBALS.len()],
}

/// A part of a program.
#[derive(Debug)]
pub(super) struct Node {
    pub op: Op,
    /// Whether it gives exactly one output, or fails.
    pub is_single: bool,
}

/// What a part does.
#[derive(Debug)]
pub(super) enum Op {
    Input,
    Recurse,
    Null,
    Bool(bool),
    Int(isize),
    Decimal(Box<str>),
    Big(Box<str>),
    Text(Box<str>),
    /// The value of a variable.
    Slot(usize),
    Path(Box<Node>, Vec<Step>),
    /// A text made of the texts of parts.
    Join(Vec<Node>),
    Array(Box<Node>),
    Object(Vec<(Name, Node)>),
    Negative(Box<Node>),
    Pipe(Box<Node>, Box<Node>),
    Bind(Box<Node>, Pattern, Box<Node>),
    Comma(Box<Node>, Box<Node>),
    Alternative(Box<Node>, Box<Node>),
    /// `or`, which a true left side decides; `and`, which a false one does.
    Logic(Box<Node>, bool, Box<Node>),
    Math(Box<Node>, Math, Box<Node>),
    Compare(Box<Node>, Cmp, Box<Node>),
    If(Vec<(Node, Node)>, Box<Node>),
    /// What comes until the first failure, and then what the second part gives of nothing.
    Try(Box<Node>, Option<Box<Node>>),
    Call(&'static Native, Vec<Node>),
    Form(Form, Vec<Node>),
}

/// One step of a path. With `?`, what cannot be stepped into gives nothing.
#[derive(Debug)]
pub(super) struct Step {
    pub part: Part,
    pub is_optional: bool,
}

/// Where a step leads.
#[derive(Debug)]
pub(super) enum Part {
    Key(Box<str>),
    Index(isize),
    Each,
    Range(Option<isize>, Option<isize>),
    /// What a single node gives of the input of the whole path.
    At(Node),
}

/// The name of a field.
#[derive(Debug)]
pub(super) enum Name {
    Fixed(Box<str>),
    /// A single node. What gives no text is jaq's.
    Computed(Node),
}

/// What a value is bound to.
#[derive(Debug)]
pub(super) enum Pattern {
    Slot(usize),
    Parts(Vec<(Part, Self)>),
}

impl Node {
    pub(super) fn new(op: Op) -> Self {
        let is_single = op.is_single();
        Self { op, is_single }
    }
}

impl Op {
    fn is_single(&self) -> bool {
        match self {
            Self::Input
            | Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Decimal(_)
            | Self::Big(_)
            | Self::Text(_)
            | Self::Slot(_)
            | Self::Array(_) => true,
            Self::Recurse | Self::Comma(..) | Self::Try(..) => false,
            Self::Path(base, steps) => {
                base.is_single && steps.iter().all(|step| !step.is_optional && !matches!(step.part, Part::Each))
            }
            Self::Join(parts) | Self::Call(_, parts) => parts.iter().all(|part| part.is_single),
            Self::Object(fields) => fields.iter().all(|(_, value)| value.is_single),
            Self::Negative(of) => of.is_single,
            Self::Pipe(l, r)
            | Self::Bind(l, _, r)
            | Self::Alternative(l, r)
            | Self::Logic(l, _, r)
            | Self::Math(l, _, r)
            | Self::Compare(l, _, r) => l.is_single && r.is_single,
            Self::If(branches, otherwise) => {
                branches.iter().all(|(test, then)| test.is_single && then.is_single) && otherwise.is_single
            }
            Self::Form(form, arguments) => form.is_single(arguments),
        }
    }
}
