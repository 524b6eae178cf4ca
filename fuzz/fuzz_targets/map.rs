//! Mappings: a program and a frame, run by both evaluators. What is run directly to its end is what jaq gives, output for
//! output; and whatever the program and the frame, no more is made than a run may make.
//!
//! The first byte says which program: one of those that the unit tests run, which are compiled once; or, beyond them, what
//! stands before the first line feed. The rest is the frame.

#![no_main]

// The modules of the evaluators, and not their crate: see `decoding`.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../crates/upstream/src"]
#[rustfmt::skip]
mod upstream {
    pub(crate) mod value;
    pub(crate) mod map {
        pub(crate) mod compile;
        pub(crate) mod direct;
        pub(crate) mod guard;
        pub(crate) mod meter;
    }
}

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
    time::Duration,
};

use bumpalo::Bump;
use jaq_core::{Ctx, Vars};
use jaq_json::Val;
use libfuzzer_sys::fuzz_target;

// Where the modules look for each other.
use upstream::{map, value};

use map::{
    compile::{Compiled, GLOBALS, compile},
    direct,
    meter::{Budget, Limits, Meter, Metered},
};
use value::{
    Tree as _,
    borrowed::{Builder, Value},
    read,
};

static PROGRAMS: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let programs = include_str!("../../crates/upstream/src/map/tests/programs.txt").lines();
    programs.map(|program| compile(program).unwrap_or_else(|error| panic!("{program}: {error}"))).collect()
});

/// What a run may take here, where the stack is that of any thread.
const LIMITS: Limits =
    Limits { steps: 5_000, bytes: 1024 * 1024, time: Duration::from_secs(4), stack: 2 * 1024 * 1024 };

/// What may be made of a frame and a program beside what is counted: values of the frame, and what a step makes.
const MAX_ARENA: usize = 16 * 1024 * 1024;

/// The longest program that is read from an input.
const MAX_PROGRAM: usize = 200;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    if let Some(compiled) = PROGRAMS.get(usize::from(*choice)) {
        return compare(compiled, rest);
    }
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let (Some(program), Some(frame)) = (parts.next(), parts.next()) else { return };
    let Ok(program) = std::str::from_utf8(program) else { return };
    if program.len() <= MAX_PROGRAM
        && let Ok(compiled) = compile(program)
    {
        compare(&compiled, frame);
    }
});

fn compare(compiled: &Compiled, frame: &[u8]) {
    let Ok(plan) = &compiled.plan else { return };
    let arena = Bump::new();
    let (direct, budget) = (read::read(frame, &mut Builder::new(&arena)), Budget::new(LIMITS));
    let jaq = read::value(frame);
    let (direct, jaq) = match (direct, jaq) {
        (Ok(direct), Ok(jaq)) => (direct, jaq),
        (direct, jaq) => return assert_eq!(direct.err(), jaq.err(), "both ways of holding a value read the same"),
    };
    let mut outputs = Vec::new();
    let end = direct::run(plan, &arena, &budget, [Value::Null; GLOBALS.len()], direct, &mut |output| {
        outputs.push(output.to_val().to_string());
        Ok(())
    });
    assert!(arena.allocated_bytes() < MAX_ARENA, "{} bytes", arena.allocated_bytes());
    if end.is_ok()
        && let Some(right) = by_jaq(compiled, jaq)
    {
        assert_eq!(Ok(outputs), right);
    }
}

/// What jaq gives, unless it exceeds a bound.
fn by_jaq(compiled: &Compiled, input: Val) -> Option<Result<Vec<String>, String>> {
    // What is unwound through is dropped or immutable.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let budget = Budget::new(LIMITS);
        let meter = Meter { lut: &compiled.filter.lut, budget: &budget };
        let context = Ctx::<Metered>::new(meter, Vars::new([const { Val::Null }; GLOBALS.len()]));
        let outputs = compiled.filter.id.run((context, input));
        outputs.map(|output| output.map(|value| value.to_string()).map_err(|error| format!("{error:?}"))).collect()
    }));
    outcome.ok()
}
