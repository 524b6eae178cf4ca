//! Functions whose arguments are parts of a program: they decide how often, and on what, those are run.

use bumpalo::collections::Vec;

use super::{
    indexing, math,
    plan::Node,
    run::{Flow, Run, Stop, Wanted, is_true},
};
use crate::value::borrowed::Value;

type Outcome<'a> = Result<Value<'a>, Stop>;

/// A function of parts of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Empty,
    Error,
    Select,
    Map,
    First,
    Last,
    Limit,
    Range,
    Any,
    All,
    IsEmpty,
    Add,
}

impl Form {
    /// Whether it gives exactly one output, or fails.
    pub(super) fn is_single(self, arguments: &[Node]) -> bool {
        match self {
            Self::Map | Self::IsEmpty | Self::Any | Self::All | Self::Add => true,
            Self::Error => arguments.iter().all(|argument| argument.is_single),
            Self::Empty | Self::Select | Self::First | Self::Last | Self::Limit | Self::Range => false,
        }
    }

    /// The one output of a form that is single.
    pub(super) fn one<'a>(self, run: &Run<'a>, arguments: &'a [Node], input: Value<'a>) -> Outcome<'a> {
        let Some(of) = arguments.first() else { return Err(Stop::Failed) };
        match self {
            Self::Map => {
                let mut items = Vec::new_in(run.arena);
                for child in indexing::children(input)? {
                    run.each(of, child, &mut |item| {
                        items.push(item);
                        Ok(())
                    })?;
                }
                run.array(items)
            }
            Self::IsEmpty => run.until(of, input, &mut |_| Ok(Wanted::NoMore)).map(|found| Value::Bool(!found)),
            Self::Any | Self::All => {
                let decisive = self == Self::Any;
                for child in indexing::children(input)? {
                    let wanted = |value| Ok(if is_true(value) == decisive { Wanted::NoMore } else { Wanted::More });
                    if run.until(of, child, &mut { wanted })? {
                        return Ok(Value::Bool(decisive));
                    }
                }
                Ok(Value::Bool(!decisive))
            }
            Self::Add => {
                let mut sum = Value::Null;
                run.each(of, input, &mut |value| {
                    sum = math::plus(run, sum, value)?;
                    Ok(())
                })?;
                Ok(sum)
            }
            Self::Error => run.one(of, input).and(Err(Stop::Failed)),
            // Never single.
            Self::Empty | Self::Select | Self::First | Self::Last | Self::Limit | Self::Range => Err(Stop::Leave),
        }
    }

    /// Hands each output to `sink`.
    pub(super) fn each<'a>(
        self,
        run: &Run<'a>,
        arguments: &'a [Node],
        input: Value<'a>,
        sink: &mut dyn FnMut(Value<'a>) -> Flow,
    ) -> Flow {
        match (self, arguments) {
            (Self::Empty, _) => Ok(()),
            (Self::Select, [test]) => {
                run.each(test, input, &mut |value| if is_true(value) { sink(input) } else { Ok(()) })
            }
            (Self::Error, [message]) => run.each(message, input, &mut |_| Err(Stop::Failed)),
            (Self::First, [of]) => {
                let mut found = None;
                run.until(of, input, &mut |value| {
                    found = Some(value);
                    Ok(Wanted::NoMore)
                })?;
                found.map_or(Ok(()), sink)
            }
            (Self::Last, [of]) => {
                let mut found = None;
                run.each(of, input, &mut |value| {
                    found = Some(value);
                    Ok(())
                })?;
                found.map_or(Ok(()), sink)
            }
            (Self::Limit, [count, of]) => run.each(count, input, &mut |count| {
                let Value::Int(mut left) = count else { return Err(Stop::Leave) };
                if left <= 0 {
                    return Ok(());
                }
                run.until(of, input, &mut |value| {
                    sink(value)?;
                    left -= 1;
                    Ok(if left == 0 { Wanted::NoMore } else { Wanted::More })
                })?;
                Ok(())
            }),
            (Self::Range, [to]) => run.each(to, input, &mut |to| range(run, Value::Int(0), to, sink)),
            (Self::Range, [from, to]) => {
                run.each(from, input, &mut |from| run.each(to, input, &mut |to| range(run, from, to, sink)))
            }
            _ => sink(self.one(run, arguments, input)?),
        }
    }
}

fn range<'a>(run: &Run<'a>, from: Value<'a>, to: Value<'a>, sink: &mut dyn FnMut(Value<'a>) -> Flow) -> Flow {
    let (Value::Int(from), Value::Int(to)) = (from, to) else { return Err(Stop::Leave) };
    for n in from..to {
        run.step()?;
        sink(Value::Int(n))?;
    }
    Ok(())
}
