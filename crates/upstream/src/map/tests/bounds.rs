//! Programs that do not end, or would take all there is: stopped, with the reason, without harm to anything else.

use super::*;

/// How a run of `program` ends, with the bounds that a frame of this size has, but for the time.
fn end(program: &str, frame: &str) -> Result<(), RunError> {
    let mapping = Mapping::compile(program).unwrap_or_else(|e| panic!("{program}: {e}"));
    on_a_mapping_thread(|| {
        let (source, state) = (Arc::from("s"), State::default());
        let facts = facts(&source, frame, &state);
        let limits = Limits { time: UNHURRIED, ..facts.limits() };
        mapping.run(Part::Json(frame.as_bytes()), &facts, limits, &mut Ignored).unwrap()
    })
}

#[test]
fn programs_that_never_end_are_stopped() {
    for program in [
        "def f: f; f",
        "def f: f, f; f",
        "last(repeat(1))",
        "[repeat(1)]",
        "until(false; .)",
        "last(while(true; .))",
        "reduce repeat(1) as $x (0; .)",
        "last(foreach repeat(1) as $x (0; .))",
        "[limit(1e9; repeat(1))]",
        "last(recurse(.))",
        "last(range(0; 1; 0))",
        "last(range(1e18))",
        "[range(1e18)]",
        "try last(repeat(1)) catch 1",
        "(try last(repeat(1)) catch 1) // 2",
        "last(repeat(1))?",
        "path(last(repeat(.)))",
        ".a |= last(repeat(1))",
        "label $out | last(repeat(1))",
    ] {
        let end = end(program, "{}");
        assert!(matches!(end, Err(RunError::Exceeded(Exceeded::Steps(_) | Exceeded::Time(_)))), "{program}: {end:?}");
    }
}

#[test]
fn programs_that_recurse_too_deep_are_stopped() {
    for program in [
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: {a: f}; f",
        "def f: f as $x | $x; f",
        "def f(g): f(g | g); f(.)",
        "def f: f | f; f",
    ] {
        let end = end(program, "{}");
        assert!(matches!(end, Err(RunError::Exceeded(_))), "{program}: {end:?}");
    }
}

#[test]
fn values_that_would_fill_the_memory_are_not_made() {
    for program in [
        r#""x" * 1e12"#,
        r#""x" * 1000000000000"#,
        r#"1000000000000 * "x""#,
        r#""x" * 1000000000000000000000"#,
        r#"reduce range(60) as $i ("x"; . + .)"#,
        r#"reduce range(60) as $i ("x"; . += .)"#,
        r#"reduce range(60) as $i ("x"; . * 2)"#,
        r#"reduce range(60) as $i ("x"; . *= 2)"#,
        r#"reduce range(60) as $i ("x"; "\(.)\(.)")"#,
        r#"reduce range(60) as $i ("x"; @html "\(.)\(.)")"#,
        "reduce range(60) as $i ([1]; . + .)",
        "reduce range(60) as $i ([1]; [.[], .[]])",
        "reduce range(60) as $i (99999999999999999999; . * .)",
        r#"[range(10000)] | map("x" * 1000000)"#,
        "[range(100)] | [combinations(100)]",
        "[range(90000)] | .[0] as $x | [.[] as $y | [range(90000)]]",
    ] {
        let end = end(program, "{}");
        // jq repeats texts by whole numbers alone: `1e12` is none.
        let refused = matches!(end, Err(RunError::Exceeded(_) | RunError::Program(_)));
        assert!(refused, "{program}: {end:?}");
    }
}

#[test]
fn a_feed_cannot_make_a_harmless_program_take_all_memory() {
    let frame = r#"{"price":"30240.10","qty":1000000000000}"#;
    let end = end(".price * .qty", frame);
    assert!(matches!(end, Err(RunError::Exceeded(Exceeded::Bytes(_)))), "{end:?}");
}

#[test]
fn what_is_extended_in_place_is_charged_once() {
    let program = r#"reduce range(10000) as $i (""; . + "0123456789")"#;
    assert_eq!(end(program, "{}"), Ok(()), "copied each time, this would take 500 MB");
    assert_eq!(end("reduce range(10000) as $i ([]; . + [1])", "{}"), Ok(()));
}

#[test]
fn the_deepest_value_that_steps_allow_is_dropped() {
    // The biggest frames give the most steps; deep values are dropped, compared, written and refused natively.
    let frame = format!("[{}]", "1,".repeat(2_000_000) + "1");
    for program in [
        "reduce range(10000000) as $i (0; [.])",
        "reduce range(10000000) as $i (0; {a: .})",
        "reduce range(300000) as $i (0; [.])",
        "reduce range(150000) as $i (0; [.]) | tojson",
        "reduce range(150000) as $i (0; [.]) | error",
        "reduce range(150000) as $i (0; [.]) | try error catch (. == 1)",
        "[reduce range(150000) as $i (0; [.]), reduce range(150000) as $i (0; [.])] | .[0] == .[1], sort",
        "reduce range(100000) as $i (0; {a: .}) | [., .] | unique",
    ] {
        // How it ends is not the point: that it does is.
        let _ = end(program, &frame);
    }
    let outputs = mapped(r#"{topic: "t", data: reduce range(1000) as $i (0; [.])}"#, "1").join("");
    assert!(outputs.contains("nests deeper than"), "{outputs}");
}

#[test]
fn deeply_nested_programs_are_refused_or_compiled() {
    for unit in
        ["[", "(", "{a:", "-", "try ", "if ", "1 as $x | ", "def f: ", "\"\\(", ".a|", ".[", "reduce ", "label $x | "]
    {
        let program = unit.repeat(64 * 1024 / unit.len());
        let _ = Mapping::compile(&program);
    }
    let balanced = "[".repeat(30_000) + &"]".repeat(30_000);
    let _ = end(&balanced, "1");
}

#[test]
fn outputs_of_one_frame_are_bounded() {
    let outputs = mapped(r#"range(2000) | {topic: "t", data: .}"#, "1");
    assert_eq!(outputs.len(), MAX_OUTPUTS + 1);
    assert_eq!(outputs[MAX_OUTPUTS - 1], "t 999");
    assert!(outputs[MAX_OUTPUTS].contains("more than 1000 outputs"), "{}", outputs[MAX_OUTPUTS]);
}

#[test]
fn the_payload_of_all_events_of_a_frame_is_bounded() {
    let frame = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
    let outputs = mapped(r#". as $all | range(10) | {topic: "t", data: $all}"#, &frame);
    let refused = outputs.iter().filter(|line| line.contains("it is longer than")).count();
    assert_eq!((outputs.len(), refused), (10, 4));
}

#[test]
fn a_big_frame_may_take_more_steps_than_a_small_one() {
    let big = format!("[{}]", "1,".repeat(500_000) + "1");
    assert_eq!(end("[range(200000)]", &big), Ok(()));
    assert!(end("[range(200000)]", "[]").is_err());
}
