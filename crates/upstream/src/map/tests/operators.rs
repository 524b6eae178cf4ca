//! The operators that are counted give what jaq's own give, in its order, with its errors.

use jaq_core::{
    Compiler, Vars, data,
    load::{Arena, File, Loader},
};
use proptest::prelude::*;

use super::*;

type Texts = Vec<Result<String, String>>;

/// What jaq itself makes of it.
fn plain(program: &str, input: &str) -> Texts {
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let (arena, file) = (Arena::default(), File { code: program, path: () });
    let modules = Loader::new(definitions).load(&arena, file).unwrap_or_else(|_| panic!("{program}"));
    let filter = Compiler::default().with_funs(functions).compile(modules).unwrap_or_else(|_| panic!("{program}"));
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let mut outputs = Vec::new();
    for output in filter.id.run((context, read::value(input.as_bytes()).unwrap())).take(MAX_OUTPUTS) {
        match output {
            Ok(value) => outputs.push(Ok(value.to_string())),
            Err(exception) => {
                outputs.push(Err(exception.get_err().map_or_else(|_| "broken out".to_owned(), |e| clipped(&e))));
                break;
            }
        }
    }
    outputs
}

/// What a mapping makes of it.
fn counted(program: &str, input: &str) -> Texts {
    let mapping = Mapping::compile(program).unwrap_or_else(|e| panic!("{program}: {e}"));
    let (source, state) = (Arc::from("s"), State::default());
    let facts = facts(&source, input, &state);
    let mut shown = Shown::default();
    let (input, budget) = (read::value(input.as_bytes()).unwrap(), Budget::new(facts.limits()));
    match mapping.run_by_jaq(input, &facts, &budget, &mut shown) {
        Err(RunError::Program(error)) => shown.0.push(Err(error)),
        end => assert_eq!(end, Ok(()), "{program}"),
    }
    shown.0
}

fn assert_same(program: &str, input: &str) {
    let (plain, counted) = on_a_mapping_thread(|| (plain(program, input), counted(program, input)));
    assert_eq!(plain, counted, "{program} on {input}");
}

#[test]
fn programs_give_what_jaq_gives() {
    let inputs = [r#"{"a":1,"b":"x","c":[1,2,3],"d":{"e":null}}"#, "[1,[2,3],\"y\"]", "null", "\"text\"", "7"];
    let programs = [
        "(1, 2) + (10, 20)",
        "(1, 2) * (10, 20)",
        "[.[]?] + [1]",
        "{} + {a: 1} * {a: {b: 2}}",
        r#""\(1, 2)-\(3, 4)""#,
        r#"@json "a\("x")b\([1])", @base64 "\("hello")""#,
        r#""plain", "", "tab\tquote\"""#,
        ".a += 1, .a *= 3, .b += \"y\"",
        "(.a, .c?) += (1, 2)",
        ".c[]? += 1",
        ". + 1",
        ". * 2",
        "null + null, 1 + null, null + \"a\"",
        r#""a" * 3, 3 * "a", "a" * 0, "a" * -1"#,
        "[], [1], [[], [[]]], [range(3)]",
        "[.[]? | select(. == 1)]",
        "[.c[]? as $x | $x, $x * 2]",
        "path([1])?, (try path(1 + 1) catch .)",
        "try ([1] |= 2) catch .",
        "range(5), range(2; 4), range(0; 10; 3), range(5; 0; -2), (try range(0; 1; \"a\") catch .)",
        "[range(0, 1; 3, 4)]",
        "add, add(.[]?), (try join(\",\") catch .)",
        "[1, 2] | combinations?, ([[1, 2], [3, 4]] | [combinations])",
        "reduce (1, 2, 3) as $x (0; . + $x), [foreach (1, 2, 3) as $x (0; . + $x)]",
        "def f(g): g + g; f(1, 2)",
        "def f($x; g): $x * g; f(2, 3; 4, 5)",
        ". as {a: $x} | $x + 1",
        r#"if . == 7 then . + 1 elif . == null then [.] else "\(.)!" end"#,
        "label $out | 1 + (2, break $out, 3)",
        "(1 + error(\"x\"))?, 2",
        "try (1 + error([1])) catch (. + [2])",
        "[limit(3; range(10))], first(range(5)), [skip(2; range(4))]",
        "to_entries?, (with_entries(.value += 1))?",
        "tojson, tostring, ([1, \"a\"] | @sh)?",
        r#""1.50" | tonumber, ("[1,2]" | fromjson), (try ("x" | tonumber) catch "no")"#,
        "[.. | numbers] | map(. * 2 + 1)",
        "1 + 2 * 3 - 4 / 2 % 3, -(1 + 2), -\"a\"?",
        "pick(.a)?, (.c? // [] | .[1:] + .[:1])",
        "ascii_downcase?, (\"aXbX\" | gsub(\"X\"; \"-\"), sub(\"X\"; \"\\(.)\"), [scan(\".\")], split(\"X\"))",
        "100 | scalb(.; 2), significand, logb",
        "def f: if . > 100 then . else (. + 1 | f) end; 1 | f",
        "[1, 2, 3] | (.[] | select(. > 1)) |= . * 10",
        "{(\"a\" + \"b\"): 1 + 1, \"c\\(1)\": [2]}",
        ".[\"a\" + \"\"]?, .c[0 + 1]?",
        "until(. == null or . == 7 or true; 1 + .)",
        "getpath([\"a\" + \"\"])?, ([paths] | length)",
    ];
    for program in programs {
        for input in inputs {
            assert_same(program, input);
        }
    }
}

/// The one known difference: operands are evaluated before the call, so that the fault of the left one ends it.
#[test]
fn a_left_operand_that_fails_is_told_although_the_right_one_gives_nothing() {
    let (plain, counted) = on_a_mapping_thread(|| (plain(".a + .[]?", "3"), counted(".a + .[]?", "3")));
    assert_eq!(plain, []);
    assert_eq!(counted, [Err("cannot index 3 with \"a\"".to_owned())]);
}

/// Small programs over operators, nested in each other and in what binds, loops and updates.
fn program() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(".".to_owned()),
        Just(".a".to_owned()),
        // Never nothing: see `a_left_operand_that_fails_is_told_although_the_right_one_gives_nothing`.
        Just("(.[]? // 9)".to_owned()),
        Just("null".to_owned()),
        Just("$x".to_owned()),
        (-3..10_i32).prop_map(|n| format!("({n})")),
        "[a-c]{0,2}".prop_map(|s| format!("\"{s}\"")),
        Just("0.12345678901234567890".to_owned()),
        Just("1.50".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            (two(), prop_oneof![Just("+"), Just("*"), Just("-"), Just(","), Just("|"), Just("//"), Just("==")])
                .prop_map(|((l, r), op)| format!("({l} {op} {r})")),
            inner.clone().prop_map(|f| format!("[{f}]")),
            two().prop_map(|(l, r)| format!("\"\\({l})-\\({r})\"")),
            two().prop_map(|(l, r)| format!("({l} as $x | {r})")),
            two().prop_map(|(l, r)| format!("(reduce ({l}) as $x ({r}; . + $x))")),
            two().prop_map(|(l, r)| format!("{{a: {l}, b: {r}}}")),
            inner.clone().prop_map(|f| format!("(.a? += {f})")),
            inner.clone().prop_map(|f| format!("((.a?, .b?) *= {f})")),
            inner.clone().prop_map(|f| format!("(.a? |= {f})")),
            inner.clone().prop_map(|f| format!("(try ({f}) catch .)")),
            two().prop_map(|(l, r)| format!("(if {l} then {r} else [{l}] end)")),
            two().prop_map(|(l, r)| format!("(def f(g): g + {l}; f({r}))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn generated_programs_give_what_jaq_gives(body in program(), input in prop_oneof![
        Just(r#"{"a":1,"b":"x"}"#), Just(r#"{"a":[1,{"a":2}]}"#), Just("[1,\"a\",null]"), Just("3"), Just("\"ab\""),
    ]) {
        assert_same(&format!("1 as $x | {body}"), input);
    }
}
