//! What a frame means: the author's jq program, run within bounds.
//!
//! This file decides what a mapping is and how one run of it ends. The language is jq as jaq implements it; its parts
//! are in [`compile`] (text to program), [`guard`] (which functions exist, what operators cost), [`meter`] (the bounds
//! of a run) and [`event`] (the shape of an output).
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
use standpipe_protocol::Event;

pub(crate) use self::event::event;
use self::meter::{Budget, Exceeded, Limits, Meter, Metered};
pub use self::{
    compile::MappingError,
    event::{MAX_EVENT_ID_BYTES, MAX_KEY_BYTES, ShapeError},
};

/// The stack of threads that compile or run programs. Virtual: only what is used is backed by memory.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// How much of it evaluation may use; the rest is for what recurses over values.
const EVALUATION_STACK_BYTES: usize = 32 * 1024 * 1024;

/// The most steps that a run may take, however big its frame.
const MAX_STEPS: u64 = 1_000_000;

/// The most outputs for one frame.
pub const MAX_OUTPUTS: usize = 1_000;

/// The most bytes of payload in all events of one frame.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// The longest time that one run may take.
const MAX_TIME: Duration = Duration::from_secs(1);

/// A compiled jq program. Cheap to clone; shared by all runs.
#[derive(Clone)]
pub struct Mapping(Arc<Filter<Metered>>);

impl Mapping {
    /// Compiles `program`: jq, with the globals `$source` (the name of the source) and `$received` (when the frame
    /// arrived, in ms since 1970) and the function `token` (any text to one token of a topic).
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

    /// Runs the program on `input`, giving its outputs to `each`, until it ends, fails, exceeds a bound of `limits` or
    /// has given [`MAX_OUTPUTS`].
    fn run(&self, input: Val, globals: &Globals, limits: Limits, mut each: impl FnMut(Val)) -> Result<(), RunError> {
        // What is unwound through is dropped or immutable: see `meter`.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let budget = Budget::new(limits);
            let meter = Meter { lut: &self.0.lut, budget: &budget };
            let context = Ctx::<Metered>::new(meter, Vars::new([globals.source.clone(), Val::from(globals.received)]));
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

/// What a program may read besides its input.
pub(crate) struct Globals {
    source: Val,
    received: isize,
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
