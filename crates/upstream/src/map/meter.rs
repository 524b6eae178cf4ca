//! What one run of a program may use up: steps, bytes, time and stack.
//!
//! This file decides when a run has gone too far and how it is stopped. jaq asks for the look-up table of its terms once
//! per evaluated term ([`HasLut::lut`]), so a [`Meter`] that hands it out sees every step, however the program loops.
//! What grows values natively, between two steps, is charged by the functions in `guard`.
//!
//! Nothing in jaq can be told to stop, so a run that exceeds its budget is *unwound*: [`resume_unwind`] (which calls no
//! panic hook and prints nothing) up to [`std::panic::catch_unwind`] in `Mapping::run`. That is sound without any
//! `UnwindSafe` bound, because what the unwinding passes through is either dropped by it (the values and iterators of
//! this run) or immutable (the compiled program); nothing that was half changed can be seen afterwards. `try` in a
//! program cannot catch it. It needs `panic = "unwind"`, the default, in every profile.

#[cfg(panic = "abort")]
compile_error!("a run that exceeds its budget is stopped by unwinding: build with panic = \"unwind\"");

use std::{
    cell::Cell,
    panic::resume_unwind,
    time::{Duration, Instant},
};

use jaq_core::{DataT, Lut, data::HasLut};
use jaq_json::Val;

/// The bounds of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Evaluated terms, and elements made natively.
    pub steps: u64,
    /// Bytes of texts and arrays made by operators.
    pub bytes: u64,
    /// Time on the clock.
    pub time: Duration,
    /// Stack, counted from where the run begins, in bytes.
    pub stack: usize,
}

/// Which bound a run has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("it took more than {0} steps")]
    Steps(u64),
    #[error("it made more than {0} bytes of values")]
    Bytes(u64),
    #[error("it took longer than {0:?}")]
    Time(Duration),
    #[error("it recursed deeper than {0} bytes of stack")]
    Stack(usize),
}

/// What one run has left. Lives on the stack of the run; shared by reference with everything the run calls.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    steps: Cell<u64>,
    bytes: Cell<u64>,
    deadline: Instant,
    base: usize,
}

/// The clock is read once in this many steps: reading it costs as much as a step.
const STEPS_PER_LOOK: u64 = 128;

impl Budget {
    /// A full budget for a run that begins here and now.
    pub(crate) fn new(limits: Limits) -> Self {
        let here = 0_u8;
        let base = std::ptr::from_ref(&here).addr();
        let (steps, bytes) = (Cell::new(limits.steps), Cell::new(limits.bytes));
        Self { limits, steps, bytes, deadline: Instant::now() + limits.time, base }
    }

    /// Steps and bytes anew, for the same run begun once more. Its time goes on.
    pub(crate) fn refill(&self) {
        self.steps.set(self.limits.steps);
        self.bytes.set(self.limits.bytes);
    }

    /// Counts one step, if there is one left.
    pub(crate) fn try_step(&self) -> Result<(), Exceeded> {
        let Some(left) = self.steps.get().checked_sub(1) else { return Err(Exceeded::Steps(self.limits.steps)) };
        self.steps.set(left);
        let here = 0_u8;
        if self.base.abs_diff(std::ptr::from_ref(&here).addr()) > self.limits.stack {
            return Err(Exceeded::Stack(self.limits.stack));
        }
        if left.is_multiple_of(STEPS_PER_LOOK) && Instant::now() > self.deadline {
            return Err(Exceeded::Time(self.limits.time));
        }
        Ok(())
    }

    /// Counts `bytes` that are about to be made, if there are so many left.
    pub(crate) fn try_charge(&self, bytes: usize) -> Result<(), Exceeded> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(left) = self.bytes.get().checked_sub(bytes) else { return Err(Exceeded::Bytes(self.limits.bytes)) };
        self.bytes.set(left);
        Ok(())
    }

    /// Counts one step; unwinds when there are none left.
    pub(crate) fn step(&self) {
        self.try_step().unwrap_or_else(|bound| exceed(bound));
    }

    /// Counts `bytes` that are about to be made; unwinds when there are not so many left.
    pub(crate) fn charge(&self, bytes: usize) {
        self.try_charge(bytes).unwrap_or_else(|bound| exceed(bound));
    }
}

fn exceed(bound: Exceeded) -> ! {
    resume_unwind(Box::new(bound))
}

/// The kind of data that our programs run over: jaq's JSON values, with a budget.
pub(crate) struct Metered;

/// The look-up table of a program and the budget of this run of it.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    /// What jaq asks for at every step.
    pub lut: &'a Lut<Metered>,
    /// What is left.
    pub budget: &'a Budget,
}

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Meter<'a>;
}

impl<'a> HasLut<'a, Metered> for Meter<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.budget.step();
        self.lut
    }
}
