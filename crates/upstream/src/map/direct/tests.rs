//! What is in the subset, and what is not and why. That it gives what jaq gives is tested in `map::tests::evaluators`.

use expect_test::expect;

use super::functions;
use crate::map::Mapping;

/// What of a program is left to jaq.
fn left_to_jaq(program: &str) -> Option<String> {
    let mapping = Mapping::compile(program).unwrap_or_else(|e| panic!("{program}: {e}"));
    mapping.left_to_jaq().map(str::to_owned)
}

#[test]
fn what_mappings_are_made_of_is_run_directly() {
    for program in [
        ".",
        ".a.b?[0][1:-2][]",
        ".[\"a\"]",
        ".[$conn]",
        "$state[\"\\(.[0])\"]",
        "1, -1, 1.50, \"a\\n\\(1)\"",
        "[.[] | select(.a)]",
        "{a: 1, \"b\": 2, $source, c, (.d): 3, \"e\\(1)\": 4}",
        ". as [$a, {b: $b, $c}] | $a + $b + $c",
        "..",
        "if . then 1 elif false then 2 else 3 end",
        "try error(\"x\") catch null, (.a)?, .a // .b // empty",
        "not, (1 == 2 and true or false), (1 < 2), -(.a), 1 + 2 - 3 * 4 / 5 % 6",
        "def f: .a; def g($x; h): $x | h | f; g(1, 2; .b)",
        "map(.a) | add, length, keys, to_entries, has(\"a\"), first, last, first(.[]), last(.[]), limit(2; .[]), any, all(. > 1)",
        "tostring, tonumber, ascii_downcase, split(\",\"), join(\",\"), startswith(\"a\"), ltrimstr(\"a\"), trim, token",
        "floor, round, ceil, min, max, range(3), range(1; 3), reverse, type, numbers, strings, values, fromdate, isempty(.[])",
    ] {
        assert_eq!(left_to_jaq(program), None, "{program}");
    }
}

#[test]
fn what_is_left_to_jaq_is_named() {
    let of = |program: &str| left_to_jaq(program).unwrap_or_default();
    expect!["`reduce`"].assert_eq(&of("reduce .[] as $x (0; . + $x)"));
    expect!["`|=`"].assert_eq(&of(".a |= 1"));
    expect!["`+=`"].assert_eq(&of(".a += 1"));
    expect!["`label`"].assert_eq(&of("label $out | break $out"));
    expect!["`test`"].assert_eq(&of("[.a] | map(test(\"x\"))"));
    expect!["`@base64 \"…\"`"].assert_eq(&of("@base64 \"\\(.)\""));
    expect!["`@json`"].assert_eq(&of("@json"));
    expect!["`catch` with more than a value"].assert_eq(&of("try error(1) catch ."));
    expect!["an index that may have several values"].assert_eq(&of(".[1, 2]"));
    expect!["a key of an object that may have several values"].assert_eq(&of("{(.[]): 1}"));
    expect!["the bound of a slice that is computed"].assert_eq(&of(".[.a:]"));
    expect!["the definition `f`, which calls itself or many others"].assert_eq(&of("def f: f; f"));
    let long = vec!["1"; 5000].join(",");
    expect!["more than 4096 terms, definitions counted where they are called"].assert_eq(&of(&long));
    let doubling: Vec<_> = (1..30).map(|i| format!("def f{i}: f{}, f{};", i - 1, i - 1)).collect();
    assert!(left_to_jaq(&format!("def f0: 1; {} f29", doubling.concat())).is_some());
}

/// `UPDATE_EXPECT=1` writes it.
#[test]
fn the_functions_are_those_of_the_documentation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sources.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- generated: functions -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end of generated -->").unwrap();
    let mut made = String::new();
    for name in functions::names() {
        let line = made.rsplit('\n').next().map_or(0, str::len);
        made += if made.is_empty() {
            ""
        } else if line + name.len() > 120 {
            "\n"
        } else {
            " "
        };
        made += "`";
        made += name;
        made += "`";
    }
    made.push('\n');
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, format!("{before}<!-- generated: functions -->\n{made}<!-- end of generated -->{after}"))
            .unwrap();
    } else {
        assert_eq!(found, made, "run UPDATE_EXPECT=1 cargo test -p standpipe-upstream");
    }
}
