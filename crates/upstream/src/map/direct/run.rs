//! Runs a plan.
//!
//! This file decides in which order parts are run and what becomes of their outputs: jaq's order, with outputs handed to
//! whoever takes them as soon as they are there. A part that gives exactly one output gives it back ([`Run::one`]); any
//! other hands on each of its outputs ([`Run::each`]).

use std::cell::Cell;

use bumpalo::{Bump, collections::Vec};
use jaq_core::ops::{Cmp, Math};
use smallvec::SmallVec;

use super::{
    indexing, math, order,
    plan::{Name, Node, Op, Part, Pattern, Plan, Step},
    texts,
};
use crate::{
    map::{compile::GLOBALS, meter::Budget},
    value::borrowed::{Array, Field, Object, Value},
};

/// The globals of a run, in the order of [`GLOBALS`]. What a program does not read is null.
pub(crate) type Globals<'a> = [Value<'a>; GLOBALS.len()];

/// Why a part is not run any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has failed. What it says is jaq's to say.
    Failed,
    /// The frame is jaq's: a bound is exceeded, or the case is one that only jaq knows.
    Leave,
    /// Whoever takes the outputs wants no more. Who that is has kept why.
    Enough,
}

/// Whether to go on.
pub(crate) type Flow = Result<(), Stop>;

/// What becomes of each output.
type Sink<'s, 'a> = &'s mut dyn FnMut(Value<'a>) -> Flow;

/// Hands each output of `plan` for `input` to `each`.
///
/// # Errors
/// The frame is jaq's, whatever was given; or what `each` said.
pub(crate) fn run<'a>(
    plan: &'a Plan,
    arena: &'a Bump,
    budget: &'a Budget,
    globals: Globals<'a>,
    input: Value<'a>,
    each: &mut dyn FnMut(Value<'a>) -> Flow,
) -> Flow {
    let slots = arena.alloc_slice_fill_with(plan.slots, |i| Cell::new(globals.get(i).copied().unwrap_or(Value::Null)));
    Run { arena, budget, slots }.each(&plan.body, input, each)
}

/// What an array or object holds besides its parts, about, in bytes.
const ARRAY: usize = 48;

/// One run of a plan.
pub(super) struct Run<'a> {
    pub(super) arena: &'a Bump,
    budget: &'a Budget,
    slots: &'a [Cell<Value<'a>>],
}

impl<'a> Run<'a> {
    /// Counts bytes that are about to be made.
    pub(super) fn charge(&self, bytes: usize) -> Flow {
        self.budget.try_charge(bytes).map_err(|_| Stop::Leave)
    }

    /// Counts a step, or an item.
    pub(super) fn step(&self) -> Flow {
        self.budget.try_step().map_err(|_| Stop::Leave)
    }

    /// An array of what was made for it.
    ///
    /// Invariant: whatever stays in the arena is charged, because it stays until the frame is done. What is made at a time
    /// is bounded by steps, or by the size of a value that is there.
    pub(super) fn array(&self, items: Vec<'a, Value<'a>>) -> Result<Value<'a>, Stop> {
        self.charge(ARRAY + size_of_val(&*items))?;
        Ok(Value::Array(Array::new(self.arena, items.into_bump_slice())))
    }

    /// A part of an array as an array.
    pub(super) fn part(&self, items: &'a [Value<'a>]) -> Result<Value<'a>, Stop> {
        self.charge(ARRAY)?;
        Ok(Value::Array(Array::new(self.arena, items)))
    }

    /// An object of fields, of which a name may stand twice.
    pub(super) fn object(&self, fields: &[Field<'a>]) -> Result<Value<'a>, Stop> {
        self.charge(ARRAY + size_of_val(fields))?;
        Ok(Value::Object(Object::new(self.arena, fields)))
    }

    /// A text of its own.
    pub(super) fn text(&self, text: &str) -> Result<&'a mut str, Stop> {
        self.charge(text.len())?;
        Ok(self.arena.alloc_str(text))
    }

    /// The one output of a node that is single.
    pub(super) fn one(&self, node: &'a Node, input: Value<'a>) -> Result<Value<'a>, Stop> {
        self.step()?;
        Ok(match &node.op {
            Op::Input => input,
            Op::Null => Value::Null,
            Op::Bool(is) => Value::Bool(*is),
            Op::Int(n) => Value::Int(*n),
            Op::Decimal(digits) => Value::Decimal(digits),
            Op::Big(digits) => Value::Big(digits),
            Op::Text(text) => Value::Text(text),
            Op::Slot(slot) => self.slots.get(*slot).map_or(Value::Null, Cell::get),
            Op::Path(base, steps) => self.walked(base, steps, input)?,
            Op::Join(parts) => self.joined(parts, input)?,
            Op::Array(items) => self.collected(items, input)?,
            Op::Object(fields) => self.composed(fields, input)?,
            Op::Negative(of) => math::negative(self, self.one(of, input)?)?,
            Op::Pipe(l, r) => self.one(r, self.one(l, input)?)?,
            Op::Bind(source, pattern, body) => {
                self.bind(pattern, self.one(source, input)?)?;
                self.one(body, input)?
            }
            Op::Alternative(l, r) => match self.one(l, input)? {
                Value::Null | Value::Bool(false) => self.one(r, input)?,
                value => value,
            },
            Op::Logic(l, decisive, r) => {
                let decided = is_true(self.one(l, input)?) == *decisive;
                Value::Bool(if decided { *decisive } else { is_true(self.one(r, input)?) })
            }
            Op::Math(l, math, r) => math::calculate(self, self.one(l, input)?, *math, self.one(r, input)?)?,
            Op::Compare(l, cmp, r) => compare(self.one(l, input)?, *cmp, self.one(r, input)?)?,
            Op::If(branches, otherwise) => {
                for (test, then) in branches {
                    if is_true(self.one(test, input)?) {
                        return self.one(then, input);
                    }
                }
                self.one(otherwise, input)?
            }
            Op::Call(native, arguments) => match &**arguments {
                [] => (native.run)(self, input, &[])?,
                [only] => (native.run)(self, input, &[self.one(only, input)?])?,
                // There is no such function.
                _ => return Err(Stop::Leave),
            },
            Op::Form(form, arguments) => form.one(self, arguments, input)?,
            // Never single.
            Op::Recurse | Op::Comma(..) | Op::Try(..) => return Err(Stop::Leave),
        })
    }

    // These are not part of `one`, whose stack is needed once per level, so that it stays small.

    #[inline(never)]
    fn joined(&self, parts: &'a [Node], input: Value<'a>) -> Result<Value<'a>, Stop> {
        let mut values = SmallVec::<[Value<'_>; 8]>::new();
        for part in parts {
            values.push(self.one(part, input)?);
        }
        texts::join(self, &values)
    }

    #[inline(never)]
    fn composed(&self, fields: &'a [(Name, Node)], input: Value<'a>) -> Result<Value<'a>, Stop> {
        let mut made = Vec::with_capacity_in(fields.len(), self.arena);
        for (name, value) in fields {
            made.push((self.name(name, input)?, self.one(value, input)?));
        }
        self.charge(ARRAY + size_of_val(&*made))?;
        Ok(Value::Object(Object::of(self.arena, made)))
    }

    /// Hands each output of a node to `sink`.
    pub(super) fn each(&self, node: &'a Node, input: Value<'a>, sink: Sink<'_, 'a>) -> Flow {
        if node.is_single {
            return sink(self.one(node, input)?);
        }
        self.step()?;
        match &node.op {
            Op::Recurse => self.descend(input, sink),
            Op::Path(base, steps) => self.each(base, input, &mut |value| {
                let mut computed = SmallVec::<[Value<'_>; 2]>::new();
                for step in steps {
                    if let Part::At(at) = &step.part {
                        computed.push(self.one(at, input)?);
                    }
                }
                self.walk(steps, &computed, value, sink)
            }),
            Op::Join(parts) => self.each_of(parts, input, &mut |values| sink(texts::join(self, values)?)),
            Op::Object(fields) => {
                let mut made = SmallVec::new();
                certain(self.objects(fields, input, &mut made, sink))
            }
            Op::Negative(of) => self.each(of, input, &mut |value| sink(math::negative(self, value)?)),
            Op::Pipe(l, r) => self.each(l, input, &mut |value| self.each(r, value, sink)),
            Op::Bind(source, pattern, body) => self.each(source, input, &mut |value| {
                self.bind(pattern, value)?;
                self.each(body, input, sink)
            }),
            Op::Comma(l, r) => {
                self.each(l, input, sink)?;
                self.each(r, input, sink)
            }
            Op::Alternative(l, r) => {
                let mut any = false;
                self.each(l, input, &mut |value| {
                    if !is_true(value) {
                        return Ok(());
                    }
                    any = true;
                    sink(value)
                })?;
                if any { Ok(()) } else { self.each(r, input, sink) }
            }
            Op::Logic(l, decisive, r) => self.each(l, input, &mut |l| {
                if is_true(l) == *decisive {
                    return sink(Value::Bool(*decisive));
                }
                self.each(r, input, &mut |r| sink(Value::Bool(is_true(r))))
            }),
            Op::Math(l, math, r) => {
                let outcome = self
                    .each(l, input, &mut |l| self.each(r, input, &mut |r| sink(math::calculate(self, l, *math, r)?)));
                if matches!(math, Math::Add | Math::Mul) { outcome } else { certain(outcome) }
            }
            Op::Compare(l, cmp, r) => {
                certain(self.each(l, input, &mut |l| self.each(r, input, &mut |r| sink(compare(l, *cmp, r)?))))
            }
            Op::If(branches, otherwise) => self.branch(branches, otherwise, input, sink),
            Op::Try(body, catch) => self.attempt(body, catch.as_deref(), input, sink),
            Op::Call(native, arguments) => {
                self.each_of(arguments, input, &mut |values| sink((native.run)(self, input, values)?))
            }
            Op::Form(form, arguments) => form.each(self, arguments, input, sink),
            // Always single.
            _ => sink(self.one(node, input)?),
        }
    }

    /// Hands each output of a node to `take`, until it has had enough. Tells whether it had.
    pub(super) fn until(
        &self,
        node: &'a Node,
        input: Value<'a>,
        take: &mut dyn FnMut(Value<'a>) -> Result<Wanted, Stop>,
    ) -> Result<bool, Stop> {
        let mut had_enough = false;
        let outcome = self.each(node, input, &mut |value| match take(value)? {
            Wanted::More => Ok(()),
            Wanted::NoMore => {
                had_enough = true;
                Err(Stop::Enough)
            }
        });
        match outcome {
            Err(Stop::Enough) if had_enough => Ok(true),
            outcome => outcome.map(|()| false),
        }
    }

    /// Hands each combination of the outputs of `nodes` to `sink`, the first of them varying slowest.
    fn each_of(&self, nodes: &'a [Node], input: Value<'a>, sink: &mut dyn FnMut(&[Value<'a>]) -> Flow) -> Flow {
        self.combined(nodes, input, &mut SmallVec::new(), sink)
    }

    fn combined(
        &self,
        nodes: &'a [Node],
        input: Value<'a>,
        values: &mut SmallVec<[Value<'a>; 8]>,
        sink: &mut dyn FnMut(&[Value<'a>]) -> Flow,
    ) -> Flow {
        let Some((first, rest)) = nodes.split_first() else { return sink(values) };
        self.each(first, input, &mut |value| {
            values.push(value);
            let flow = self.combined(rest, input, values, sink);
            values.pop();
            flow
        })
    }

    fn objects(
        &self,
        fields: &'a [(Name, Node)],
        input: Value<'a>,
        made: &mut SmallVec<[Field<'a>; 12]>,
        sink: Sink<'_, 'a>,
    ) -> Flow {
        let Some(((name, value), rest)) = fields.split_first() else {
            return sink(self.object(made)?);
        };
        let name = self.name(name, input)?;
        self.each(value, input, &mut |value| {
            made.push((name, value));
            let flow = self.objects(rest, input, made, sink);
            made.pop();
            flow
        })
    }

    fn name(&self, name: &'a Name, input: Value<'a>) -> Result<&'a str, Stop> {
        match name {
            Name::Fixed(name) => Ok(name),
            Name::Computed(node) => match self.one(node, input)? {
                Value::Text(name) => Ok(name),
                _ => Err(Stop::Leave),
            },
        }
    }

    fn collected(&self, items: &'a Node, input: Value<'a>) -> Result<Value<'a>, Stop> {
        let mut made = Vec::new_in(self.arena);
        self.each(items, input, &mut |item| {
            made.push(item);
            Ok(())
        })?;
        self.array(made)
    }

    fn branch(&self, branches: &'a [(Node, Node)], otherwise: &'a Node, input: Value<'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some(((test, then), rest)) = branches.split_first() else { return self.each(otherwise, input, sink) };
        self.each(test, input, &mut |value| {
            if is_true(value) { self.each(then, input, sink) } else { self.branch(rest, otherwise, input, sink) }
        })
    }

    /// A failure of `body` ends it; one of whoever takes its outputs is not its own.
    fn attempt(&self, body: &'a Node, catch: Option<&'a Node>, input: Value<'a>, sink: Sink<'_, 'a>) -> Flow {
        let mut refused = None;
        let outcome = self.each(body, input, &mut |value| {
            sink(value).map_err(|stop| {
                refused = Some(stop);
                Stop::Enough
            })
        });
        match (outcome, refused, catch) {
            (_, Some(stop), _) => Err(stop),
            (Err(Stop::Failed), None, Some(catch)) => self.each(catch, Value::Null, sink),
            (Err(Stop::Failed), None, None) => Ok(()),
            (outcome, None, _) => outcome,
        }
    }

    /// A value and all that is in it, what holds before what is held.
    fn descend(&self, value: Value<'a>, sink: Sink<'_, 'a>) -> Flow {
        self.step()?;
        sink(value)?;
        match value {
            Value::Array(array) => array.items().iter().try_for_each(|item| self.descend(*item, sink)),
            Value::Object(object) => object.fields().iter().try_for_each(|(_, value)| self.descend(*value, sink)),
            _ => Ok(()),
        }
    }

    /// The end of a path that leads to one place.
    fn walked(&self, base: &'a Node, steps: &'a [Step], input: Value<'a>) -> Result<Value<'a>, Stop> {
        let mut value = self.one(base, input)?;
        for step in steps {
            value = match &step.part {
                Part::At(at) => indexing::at(value, self.one(at, input)?)?,
                part => indexing::into(self, value, part)?,
            };
        }
        Ok(value)
    }

    /// Hands on what `steps` lead to from `value`. `computed` is what computed steps are, in order.
    fn walk(&self, steps: &'a [Step], computed: &[Value<'a>], value: Value<'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some((step, rest)) = steps.split_first() else { return sink(value) };
        let (found, computed) = match (&step.part, computed.split_first()) {
            (Part::Each, _) => {
                let children = indexing::children(value);
                return match children {
                    Err(Stop::Failed) if step.is_optional => Ok(()),
                    Err(stop) => Err(stop),
                    Ok(mut children) => children.try_for_each(|child| {
                        self.step()?;
                        self.walk(rest, computed, child, sink)
                    }),
                };
            }
            (Part::At(_), Some((at, computed))) => (indexing::at(value, *at), computed),
            (part, _) => (indexing::into(self, value, part), computed),
        };
        match found {
            Err(Stop::Failed) if step.is_optional => Ok(()),
            found => self.walk(rest, computed, found?, sink),
        }
    }

    fn bind(&self, pattern: &'a Pattern, value: Value<'a>) -> Flow {
        match pattern {
            Pattern::Slot(slot) => {
                if let Some(slot) = self.slots.get(*slot) {
                    slot.set(value);
                }
                Ok(())
            }
            Pattern::Parts(parts) => {
                parts.iter().try_for_each(|(part, pattern)| self.bind(pattern, indexing::into(self, value, part)?))
            }
        }
    }
}

/// Whether more outputs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    NoMore,
}

pub(super) fn is_true(value: Value<'_>) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn compare<'a>(l: Value<'a>, cmp: Cmp, r: Value<'a>) -> Result<Value<'a>, Stop> {
    let order = order::compare(l, r)?;
    Ok(Value::Bool(match cmp {
        Cmp::Eq => order.is_eq(),
        Cmp::Ne => order.is_ne(),
        Cmp::Lt => order.is_lt(),
        Cmp::Le => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::Ge => order.is_ge(),
    }))
}

/// Where jaq combines outputs of two parts, a failure of the first is forgotten if the second gives nothing. Which of the
/// two it is here is not known: a failure is left to jaq.
fn certain(outcome: Flow) -> Flow {
    outcome.map_err(|stop| if stop == Stop::Failed { Stop::Leave } else { stop })
}
