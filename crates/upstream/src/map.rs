//! What a frame means: the author's jq program, run within bounds.
//!
//! This file decides what a mapping is and how one run of it ends. The language is jq as jaq implements it; its parts
//! are in [`compile`] (text to program), [`guard`] (which functions exist, what operators cost), [`meter`] (the bounds
//! of a run) and [`mod@event`] (the shape of an output).
//!
//! Invariant: programs are compiled and run on threads with [`STACK_BYTES`] of stack. jaq evaluates, compares and drops
//! values recursively; [`MAX_STEPS`] bounds how deep a value can be nested by a program, and this much stack is enough
//! for that depth (`the_deepest_value_that_steps_allow_is_dropped` tests it).

mod compile;
mod event;
mod guard;
mod meter;

use std::{
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use jaq_core::{Ctx, Filter, Vars};
use jaq_json::Val;

pub(crate) use self::event::{Mapped, event, not_counted, not_kept, not_merged};
pub use self::{
    compile::MappingError,
    event::{MAX_EVENT_ID_BYTES, MAX_KEY_BYTES, ShapeError},
};
use self::{
    event::{Output, output},
    meter::{Budget, Exceeded, Limits, Meter, Metered},
};
use crate::{Error, template::Params, value::write};

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
pub struct Mapping(Arc<Filter<Metered>>);

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
        let filter = thread::scope(|scope| {
            let compiler = thread::Builder::new().name("compile".to_owned()).stack_size(STACK_BYTES);
            let compiler = compiler.spawn_scoped(scope, || compile::compile(program));
            let compiler = compiler.map_err(|e| ours(format!("cannot start a thread to compile it: {e}")))?;
            compiler.join().unwrap_or_else(|_| Err(ours("the jq compiler failed".to_owned())))
        })?;
        Ok(Self(Arc::new(filter)))
    }

    /// What the program gives for one value of a frame. Where it fails or exceeds a bound, that comes last, behind what
    /// it gave until then.
    pub(crate) fn outputs(&self, input: Val, facts: &Facts<'_>) -> Outputs {
        self.outputs_within(input, facts, facts.limits())
    }

    fn outputs_within(&self, input: Val, facts: &Facts<'_>, limits: Limits) -> Outputs {
        let mut outputs = Outputs::default();
        let mut room = MAX_OUTPUT_BYTES;
        let end = self.run(input, facts, limits, |given| match output(&given, facts.stream, room) {
            Ok(Output::Event(mapped)) => {
                room -= mapped.event.data.as_str().len().min(room);
                outputs.events.push(Ok(mapped));
            }
            Ok(Output::State(state)) => outputs.state = Some(state),
            Ok(Output::Number(n)) => outputs.numbers.push(n),
            Err(error) => outputs.events.push(Err(error.into())),
        });
        outputs.events.extend(end.err().map(|error| Err(error.into())));
        outputs
    }

    /// The answers to one value of a frame: texts as they are, other values as JSON.
    pub(crate) fn answers(&self, input: Val, facts: &Facts<'_>) -> Vec<Result<String, Error>> {
        let mut answers = Vec::new();
        let end = self.run(input, facts, facts.limits(), |output| {
            answers.push(match &output {
                Val::TStr(text) => Ok(String::from_utf8_lossy(text).into_owned()),
                other => write::text(other, MAX_ANSWER_BYTES)
                    .map_err(|e| Error::Program(format!("an answer cannot be sent: {e}"))),
            });
        });
        answers.extend(end.err().map(|error| Err(error.into())));
        answers
    }

    /// Runs the program on `input`, giving its outputs to `each`, until it ends, fails, exceeds a bound of `limits` or
    /// has given [`MAX_OUTPUTS`].
    fn run(&self, input: Val, facts: &Facts<'_>, limits: Limits, mut each: impl FnMut(Val)) -> Result<(), RunError> {
        // What is unwound through is dropped or immutable: see `meter`.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let budget = Budget::new(limits);
            let meter = Meter { lut: &self.0.lut, budget: &budget };
            let globals = facts.globals();
            let context = Ctx::<Metered>::new(meter, Vars::new(globals));
            for (i, output) in self.0.id.run((context, input)).enumerate() {
                if i == MAX_OUTPUTS {
                    return Err(RunError::Outputs);
                }
                each(output.map_err(|exception| match exception.get_err() {
                    Ok(error) => RunError::Program(clipped(&error)),
                    Err(_) => RunError::Program("the program broke out of itself".to_owned()),
                })?);
            }
            Ok(())
        }));
        outcome.unwrap_or_else(|payload| match payload.downcast::<Exceeded>() {
            Ok(exceeded) => Err(RunError::Exceeded(*exceeded)),
            Err(_) => Err(RunError::Panicked),
        })
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
}

impl Outputs {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.state.is_none() && self.numbers.is_empty()
    }
}

/// What is known of a value besides itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The name of its source, for the program.
    pub source: &'a Arc<str>,
    /// The name that its events bear.
    pub stream: &'a Arc<str>,
    /// The number of the connection that it came over, from 1: another one after each reconnect.
    pub conn: u64,
    /// What its feed calls the type of its frame.
    pub event: Option<&'a str>,
    /// What its instance of a demand-driven source was started for.
    pub params: &'a Params,
    /// When its frame arrived, in ms since 1970; under replay, when it arrived at the recorder.
    pub received: i64,
    /// The size of its frame, in bytes.
    pub size: usize,
    /// What was carried here from earlier values of the connection: an object.
    pub state: &'a Val,
}

impl Facts<'_> {
    /// In the order of [`compile::GLOBALS`].
    fn globals(&self) -> [Val; compile::GLOBALS.len()] {
        let conn = isize::try_from(self.conn).map_or(Val::Null, Val::from);
        let event = self.event.map_or(Val::Null, |event| Val::from(event.to_owned()));
        [Val::from(self.source.to_string()), conn, event, self.params(), self.received(), self.state.clone()]
    }

    fn params(&self) -> Val {
        let text = |text: &String| Val::utf8_str(text.clone());
        Val::obj(self.params.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    fn received(&self) -> Val {
        isize::try_from(self.received).map_or(Val::Null, Val::from)
    }

    /// Bigger frames may cost more, up to a bound.
    fn limits(&self) -> Limits {
        let size = u64::try_from(self.size).unwrap_or(u64::MAX);
        Limits {
            steps: STEPS.saturating_add(size / 4).min(MAX_STEPS),
            bytes: BYTES.saturating_add(size.saturating_mul(8)),
            time: MAX_TIME,
            stack: EVALUATION_STACK_BYTES,
        }
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
