//! What a frame means: the author's jq program, run within bounds.
//!
//! This file decides what a mapping is, which evaluator runs it, and how one run of it ends. The language is jq as jaq
//! implements it; its parts are in [`compile`] (text to program), [`direct`] (runs what most programs consist of),
//! [`guard`] (which functions exist for jaq, what operators cost), [`meter`] (the bounds of a run), [`facts`] (what a run
//! knows besides its input) and [`mod@event`] (the shape of an output).
//!
//! Invariant: programs are compiled and run on threads with [`STACK_BYTES`] of stack. jaq evaluates, compares and drops
//! values recursively; [`MAX_STEPS`] bounds how deep a value can be nested by a program, and this much stack is enough
//! for that depth (`the_deepest_value_that_steps_allow_is_dropped` tests it).

mod compile;
mod direct;
mod event;
mod facts;
mod guard;
mod meter;

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use bumpalo::Bump;
use jaq_core::{Ctx, Vars};
use jaq_json::Val;

use self::{
    compile::Compiled,
    direct::{Plan, Stop},
    event::{Output, output},
    meter::{Budget, Exceeded, Limits, Meter, Metered},
};
pub use self::{
    compile::MappingError,
    event::{MAX_EVENT_ID_BYTES, MAX_KEY_BYTES, ShapeError},
};
pub(crate) use self::{
    event::{Mapped, event, not_counted, not_kept, not_merged},
    facts::Facts,
};
use crate::{
    Error,
    decode::Part,
    value::{Kind, Tree, read::ReadError, write},
};

/// The stack of threads that compile or run programs. Virtual: only what is used is backed by memory.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// How much of it evaluation may use; the rest is for what recurses over values.
const EVALUATION_STACK_BYTES: usize = 32 * 1024 * 1024;

/// The most steps that a run may take for a small frame. Realistic programs take some hundred.
const STEPS: u64 = 100_000;

/// The most steps that a run may take, however big its frame.
const MAX_STEPS: u64 = 1_000_000;

/// The most bytes of values that operators may make in a run for a small frame.
const BYTES: u64 = 64 * 1024 * 1024;

/// The most outputs for one frame.
pub const MAX_OUTPUTS: usize = 1_000;

/// The most bytes of payload in all events of one frame.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// The longest answer to a feed, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The longest time that one run may take.
const MAX_TIME: Duration = Duration::from_secs(1);

/// A compiled jq program. Cheap to clone; shared by all runs.
#[derive(Clone)]
pub struct Mapping(Arc<Compiled>);

impl Mapping {
    /// Compiles `program`: jq, with the globals `$source` (the name of the source), `$conn` (the number of its
    /// connection, from 1), `$event` (what the feed calls the type of the frame, else null), `$params` (what an instance of a
    /// demand-driven source was started for, else `{}`), `$received` (when the frame arrived, in ms since 1970) and `$state`
    /// (what the latest output `{state: {…}}` of the same connection said, at first `{}`), and the function `token` (any
    /// text to one token of a topic).
    ///
    /// # Errors
    /// The first place where it is not a program, and why.
    pub fn compile(program: &str) -> Result<Self, MappingError> {
        let ours = |message: String| MappingError { line: 1, column: 1, message };
        let compiled = thread::scope(|scope| {
            let compiler = thread::Builder::new().name("compile".to_owned()).stack_size(STACK_BYTES);
            let compiler = compiler.spawn_scoped(scope, || compile::compile(program));
            let compiler = compiler.map_err(|e| ours(format!("cannot start a thread to compile it: {e}")))?;
            compiler.join().unwrap_or_else(|_| Err(ours("the jq compiler failed".to_owned())))
        })?;
        Ok(Self(Arc::new(compiled)))
    }

    /// What of the program only jaq evaluates, such as `reduce`, so that it is not run directly, which is faster.
    pub fn left_to_jaq(&self) -> Option<&str> {
        self.0.plan.as_ref().err().map(|refused| &*refused.0)
    }

    /// What the program gives for one value of a frame. Where it fails or exceeds a bound, that comes last, behind what
    /// it gave until then.
    pub(crate) fn outputs(&self, input: Part<'_>, facts: &Facts<'_>) -> Result<Outputs, ReadError> {
        self.outputs_within(input, facts, facts.limits())
    }

    fn outputs_within(&self, input: Part<'_>, facts: &Facts<'_>, limits: Limits) -> Result<Outputs, ReadError> {
        let mut taken = Collected { outputs: Outputs::default(), stream: facts.stream, room: MAX_OUTPUT_BYTES };
        let end = self.run(input, facts, limits, &mut taken)?;
        taken.outputs.events.extend(end.err().map(|error| Err(error.into())));
        Ok(taken.outputs)
    }

    /// The answers to one value of a frame: texts as they are, other values as JSON.
    pub(crate) fn answers(&self, input: Part<'_>, facts: &Facts<'_>) -> Result<Vec<Result<String, Error>>, ReadError> {
        let mut answers = Answers(Vec::new());
        let end = self.run(input, facts, facts.limits(), &mut answers)?;
        answers.0.extend(end.err().map(|error| Err(error.into())));
        Ok(answers.0)
    }

    /// Runs the program on `input`, giving its outputs to `take`, until it ends, fails, exceeds a bound of `limits` or
    /// has given [`MAX_OUTPUTS`].
    ///
    /// # Errors
    /// The input is not JSON. The inner error is how the run ended.
    fn run(
        &self,
        input: Part<'_>,
        facts: &Facts<'_>,
        limits: Limits,
        take: &mut impl Take,
    ) -> Result<Result<(), RunError>, ReadError> {
        // What is unwound through is dropped or immutable: see `meter`.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let budget = Budget::new(limits);
            if let Ok(plan) = &self.0.plan
                && run_directly(plan, input, facts, &budget, take)?
            {
                return Ok(Ok(()));
            }
            take.forget();
            budget.refill();
            Ok(self.run_by_jaq(input.to_val()?, facts, &budget, take))
        }));
        outcome.unwrap_or_else(|payload| match payload.downcast::<Exceeded>() {
            Ok(exceeded) => Ok(Err(RunError::Exceeded(*exceeded))),
            Err(_) => Ok(Err(RunError::Panicked)),
        })
    }

    fn run_by_jaq(&self, input: Val, facts: &Facts<'_>, budget: &Budget, take: &mut impl Take) -> Result<(), RunError> {
        let filter = &self.0.filter;
        let meter = Meter { lut: &filter.lut, budget };
        let context = Ctx::<Metered>::new(meter, Vars::new(facts.globals()));
        for (i, output) in filter.id.run((context, input)).enumerate() {
            if i == MAX_OUTPUTS {
                return Err(RunError::Outputs);
            }
            take.take(&output.map_err(|exception| match exception.get_err() {
                Ok(error) => RunError::Program(clipped(&error)),
                Err(_) => RunError::Program("the program broke out of itself".to_owned()),
            })?);
        }
        Ok(())
    }
}

/// Runs a program without jaq. Tells whether it came to its end: if not, what was taken is not what the program gives.
fn run_directly(
    plan: &Plan,
    input: Part<'_>,
    facts: &Facts<'_>,
    budget: &Budget,
    take: &mut impl Take,
) -> Result<bool, ReadError> {
    in_arena(|arena| {
        let input = input.borrowed(arena)?;
        let Some(globals) = facts.borrowed_globals(arena, plan.reads) else { return Ok(false) };
        let mut left = MAX_OUTPUTS;
        let end = direct::run(plan, arena, budget, globals, input, &mut |output| {
            left = left.checked_sub(1).ok_or(Stop::Leave)?;
            take.take(&output);
            Ok(())
        });
        Ok(end.is_ok())
    })
}

/// What a source without a mapping gives for one value of a frame: the value.
pub(crate) fn unmapped(input: Part<'_>, facts: &Facts<'_>) -> Result<Outputs, ReadError> {
    in_arena(|arena| {
        let event = event(&input.borrowed(arena)?, facts.stream, MAX_OUTPUT_BYTES);
        Ok(Outputs { events: vec![event.map_err(Error::from)], ..Outputs::default() })
    })
}

/// The largest arena that a thread keeps from run to run, in bytes. Frames of usual size need less.
const MAX_KEPT_ARENA: usize = 64 * 1024;

thread_local! {
    /// The arena of the runs on this thread: to ask for one each time costs more than many a run.
    static ARENA: Cell<Option<Bump>> = const { Cell::new(None) };
}

/// Does `work` with an arena that is empty before and after.
fn in_arena<T>(work: impl FnOnce(&Bump) -> T) -> T {
    let mut arena = ARENA.take().unwrap_or_default();
    let done = work(&arena);
    arena.reset();
    if arena.allocated_bytes() <= MAX_KEPT_ARENA {
        ARENA.set(Some(arena));
    }
    done
}

/// Takes the outputs of a run.
trait Take {
    /// The next output.
    fn take(&mut self, output: &impl Tree);

    /// The run begins anew: nothing was taken.
    fn forget(&mut self);
}

/// Outputs, as a source needs them.
struct Collected<'a> {
    outputs: Outputs,
    stream: &'a Arc<str>,
    /// How many bytes of payload are left.
    room: usize,
}

impl Take for Collected<'_> {
    fn take(&mut self, given: &impl Tree) {
        match output(given, self.stream, self.room) {
            Ok(Output::Event(mapped)) => {
                self.room -= mapped.event.data.as_str().len().min(self.room);
                self.outputs.events.push(Ok(mapped));
            }
            Ok(Output::State(state)) => self.outputs.state = Some(state),
            Ok(Output::Number(n)) => self.outputs.numbers.push(n),
            Err(error) => self.outputs.events.push(Err(error.into())),
        }
    }

    fn forget(&mut self) {
        self.outputs = Outputs { by_jaq: true, ..Outputs::default() };
        self.room = MAX_OUTPUT_BYTES;
    }
}

/// Outputs, as texts to be sent.
struct Answers(Vec<Result<String, Error>>);

impl Take for Answers {
    fn take(&mut self, output: &impl Tree) {
        self.0.push(match output.kind() {
            Kind::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => write::text(output, MAX_ANSWER_BYTES)
                .map_err(|e| Error::Program(format!("an answer cannot be sent: {e}"))),
        });
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mapping")
    }
}

/// What a mapping has given for one value.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// Its events, in order, each with why it is none where it is none.
    pub events: Vec<Result<Mapped, Error>>,
    /// What is to be `$state` from the next value on, if it says so. Of several, the last counts.
    pub state: Option<Val>,
    /// Running numbers of what is no event.
    pub numbers: Vec<u64>,
    /// Whether it was left to jaq to evaluate it.
    pub by_jaq: bool,
}

impl Outputs {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.state.is_none() && self.numbers.is_empty()
    }
}

/// Why a run did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the mapping failed: {0}")]
    Program(String),
    #[error("the mapping was stopped: {0}")]
    Exceeded(Exceeded),
    #[error("the mapping was stopped: it gave more than {MAX_OUTPUTS} outputs for one frame")]
    Outputs,
    #[error("the jq interpreter failed")]
    Panicked,
}

/// How much of an error's text is kept: it holds whole values.
const MAX_ERROR_BYTES: usize = 200;

/// The beginning of what `error` says. Values in it are not written further than that, however big they are.
fn clipped(error: &impl fmt::Display) -> String {
    struct Clip(String);
    impl fmt::Write for Clip {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                if self.0.len() + c.len_utf8() > MAX_ERROR_BYTES {
                    self.0.push('…');
                    return Err(fmt::Error);
                }
                self.0.push(c);
            }
            Ok(())
        }
    }
    let mut clip = Clip(String::new());
    // The error is that of `Clip`: enough was written.
    let _ = write!(clip, "{error}");
    clip.0
}

#[cfg(test)]
mod tests;
