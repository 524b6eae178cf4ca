//! Two evaluators, one language: what is run directly gives what jaq gives, output for output, and where it does not come
//! to its end it says so. jaq is the judge.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// What a run directly has given, if it came to its end.
fn directly(mapping: &Mapping, input: &str, state: &State) -> Option<Shown> {
    let source = Arc::from("feed");
    let (facts, mut shown) = (facts(&source, input, state), Shown::default());
    let budget = Budget::new(Limits { time: UNHURRIED, ..facts.limits() });
    let plan = mapping.0.plan.as_ref().unwrap_or_else(|refused| panic!("{refused}"));
    let is_whole = run_directly(plan, Part::Json(input.as_bytes()), &facts, &budget, &mut shown).unwrap();
    is_whole.then_some(shown)
}

/// What jaq gives.
fn by_jaq(mapping: &Mapping, input: &str, state: &State) -> Shown {
    let source = Arc::from("feed");
    let (facts, mut shown) = (facts(&source, input, state), Shown::default());
    let budget = Budget::new(Limits { time: UNHURRIED, ..facts.limits() });
    let input = read::value(input.as_bytes()).unwrap();
    if let Err(error) = mapping.run_by_jaq(input, &facts, &budget, &mut shown) {
        shown.0.push(Err(error.to_string()));
    }
    shown
}

/// Checks that both agree. Tells whether the direct run came to its end.
fn agree(mapping: &Mapping, program: &str, input: &str) -> bool {
    let state = State::try_from(&read::value(br#"{"17":"tBTCUSD","b":0.10}"#).unwrap()).unwrap();
    let Some(direct) = directly(mapping, input, &state) else { return false };
    assert_eq!(direct, by_jaq(mapping, input, &state), "{program}\non {input}");
    true
}

fn compiled(program: &str) -> Mapping {
    Mapping::compile(program).unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Inputs in which numbers, texts and containers are as odd as JSON lets them be.
const ODD: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "7",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "12345678901234567890123",
    "0.1000",
    "1.50e+03",
    "1e400",
    "-1E-400",
    "0.30000000000000004",
    r#""""#,
    r#""abc""#,
    r#""aéb😀c""#,
    r#"" 12""#,
    r#""12 ""#,
    r#""0.10""#,
    r#""-9223372036854775809""#,
    r#""nan""#,
    r#""a,b,,c""#,
    r#""2015-09-12T00:46:58.771Z""#,
    r#""2016-02-30T00:00:00Z""#,
    r#""\u0000\u007f\n\"\\\/é""#,
    "[]",
    "{}",
    r#"[1,"a",null,[2,[3]],{"a":4},0.50,"b",true]"#,
    r#"{"a":1,"b":{"a":[1,2,{"c":"x"}],"b":null},"a":2,"c":"12.5","d":[3,1,2],"e":false}"#,
    "{ \"a\" : [ 1 , 2 ] , \"b\" : \"\\u00e9\" }",
    r#"[0.1,0.10,1,1.0,"1",[],{},null,false]"#,
];

/// Programs, one a line, that use each part of the subset in ways that are easily got wrong.
const PROGRAMS: &str = include_str!("programs.txt");

#[test]
fn each_function_gives_what_jaq_gives_on_odd_values() {
    let (mut whole, mut all) = (0, 0);
    on_a_mapping_thread(|| {
        for program in PROGRAMS.lines() {
            let mapping = compiled(program);
            if mapping.left_to_jaq().is_some() {
                continue;
            }
            for input in ODD {
                whole += usize::from(agree(&mapping, program, input));
                all += 1;
            }
        }
    });
    assert!(whole * 10 > all * 6, "{whole} of {all}: most runs come to their end");
}

#[test]
fn what_a_direct_run_makes_is_bounded_and_then_left_to_jaq() {
    let many = "[range(20000)] as $all | (\"a,\" * 100000) as $text | [range(1000)]";
    for program in [
        "map($all | reverse | length)",
        "map($all | keys | length)",
        "map($all | to_entries | length)",
        "map($all + $all | length)",
        "map([$all[]] | length)",
        "map($all | map(.) | length)",
        "map($text | split(\",\") | length)",
        "map($text | ascii_downcase | length)",
        "map($text + $text | length)",
        "map(\"\\($text)\" | length)",
        "map(\"\\($all)\" | length)",
        "map($all | join(\",\") | length)",
        "join($text * 100) | length",
        "map($text * 10 | length)",
        "$all[] as $x | $all[] as $y | $x == $y",
    ] {
        let mapping = compiled(&format!("{many} | {program}"));
        let whole = on_a_mapping_thread(|| directly(&mapping, "{}", &State::default()));
        assert!(whole.is_none(), "{program}");
    }
}

/// Values, with what is rarely met among them.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(&ODD[..28]).prop_map(str::to_owned),
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?",
        1 => "\"[a-cé,. ]{0,6}\"",
        1 => (-3..12_i32).prop_map(|n| n.to_string()),
    ];
    let space = prop::sample::select(&["", "", "", " ", "\n"][..]);
    leaf.prop_recursive(3, 24, 5, move |inner| {
        let name = prop::sample::select(&["a", "b", "c", "d", "é\\n", ""][..]);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), space.clone())
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!(",{space}")))),
            (prop::collection::vec((name, inner), 0..5), space.clone()).prop_map(|(fields, space)| {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\"{space}:{value}")).collect();
                format!("{{{}{space}}}", fields.join(","))
            }),
        ]
    })
}

/// What generated programs are made of.
const LEAVES: &str = r#"
    . . .a .a? .b .[0] .[-1]? .[] .[]? .[1:] .[:-1]? .a.b? .a[]? null true false 1 -1 1.50 1e400
    9223372036854775807 "" "a" "é,b" [] {} $x $source $conn $state empty length type tostring tonumber keys add
    first last min max reverse to_entries ascii_downcase floor round not token fromdate numbers strings values any
    all .. range(3) error trim
"#;

const OPERATORS: &str = "+ - * / % , | | // == != < <= > >= and or";

const FUNCTIONS: &str =
    "select map first last any all isempty add has split join startswith endswith ltrimstr rtrimstr error range";

/// Programs of the subset.
fn program() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES.split_whitespace().collect::<Vec<_>>());
    leaf.prop_map(str::to_owned).prop_recursive(5, 32, 3, |inner| {
        let two = || (inner.clone(), inner.clone());
        let operator = prop::sample::select(OPERATORS.split_whitespace().collect::<Vec<_>>());
        let function = prop::sample::select(FUNCTIONS.split_whitespace().collect::<Vec<_>>());
        prop_oneof![
            6 => (inner.clone(), operator, inner.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            4 => (function, inner.clone()).prop_map(|(name, f)| format!("{name}({f})")),
            1 => two().prop_map(|(l, r)| format!("limit({l}; {r})")),
            1 => two().prop_map(|(l, r)| format!("range({l}; {r})")),
            2 => inner.clone().prop_map(|f| format!("[{f}]")),
            2 => two().prop_map(|(l, r)| format!("{{a: {l}, b: {r}}}")),
            1 => two().prop_map(|(l, r)| format!("{{\"k\\({l})\": {r}, a}}")),
            1 => two().prop_map(|(l, r)| format!("({l})[{r}]?")),
            1 => inner.clone().prop_map(|f| format!("({f})[1:3]")),
            2 => two().prop_map(|(l, r)| format!("\"\\({l})-\\({r})\"")),
            2 => two().prop_map(|(l, r)| format!("({l} as $x | {r})")),
            1 => two().prop_map(|(l, r)| format!("({l} as [$x, {{b: $y}}] | {r}, $y)")),
            2 => inner.clone().prop_map(|f| format!("(try ({f}))")),
            1 => two().prop_map(|(l, _)| format!("(try ({l}) catch 7)")),
            2 => (two(), inner.clone()).prop_map(|((l, r), e)| format!("(if {l} then {r} else {e} end)")),
            1 => two().prop_map(|(l, r)| format!("(def f(g): [g], {l}; f({r}))")),
            1 => two().prop_map(|(l, r)| format!("(def f($x): {l}; f({r}))")),
            1 => inner.prop_map(|f| format!("-({f})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn generated_programs_give_what_jaq_gives(body in program(), inputs in prop::collection::vec(json(), 1..6)) {
        let program = format!("1 as $x | {body}");
        let mapping = compiled(&program);
        if mapping.left_to_jaq().is_none() {
            on_a_mapping_thread(|| {
                for input in &inputs {
                    agree(&mapping, &program, input);
                }
            });
        }
    }
}

/// The mappings that stand in the files of this repository: of presets, of the documentation, of the benchmark.
fn written_mappings() -> Vec<(String, Mapping)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = vec![std::fs::read_to_string(root.join("docs/sources.md")).unwrap()];
    texts.push(std::fs::read_to_string(root.join("tests/src/bin/upstream/main.rs")).unwrap());
    for preset in std::fs::read_dir(root.join("deploy/presets")).unwrap() {
        texts.push(std::fs::read_to_string(preset.unwrap().path()).unwrap());
    }
    let mut mappings = Vec::new();
    for text in texts {
        for rest in text.split("map = '''").skip(1) {
            let program = rest.split("'''").next().unwrap();
            mappings.push((program.to_owned(), compiled(program)));
        }
    }
    mappings
}

#[test]
fn the_mappings_of_this_repository_are_run_directly() {
    let mappings = written_mappings();
    assert!(mappings.len() > 15, "{}", mappings.len());
    for (program, mapping) in mappings {
        assert_eq!(mapping.left_to_jaq(), None, "{program}");
    }
}

/// The frames of a recording, evenly chosen so that there are about `count`.
fn some_frames(file: &Path, count: usize) -> Vec<String> {
    let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(File::open(file).unwrap()))).lines();
    let mut lines: Vec<String> = lines.map(Result::unwrap).collect();
    if file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".geojson")) {
        // One answer, with more in it than may come of a frame.
        let mut answer: Json = serde_json::from_str(&lines.join("")).unwrap();
        answer["features"].as_array_mut().unwrap().truncate(300);
        lines = vec![answer.to_string()];
    }
    let frames = lines.iter().filter_map(|line| {
        let row: Json = serde_json::from_str(line).ok()?;
        if row.get("t").is_none() {
            return Some(line.clone());
        }
        Some(row.get("data").filter(|_| row["t"] == "recv" || row["t"] == "http")?.as_str()?.to_owned())
    });
    let frames: Vec<String> = frames.collect();
    let step = frames.len().div_ceil(count).max(1);
    frames.into_iter().step_by(step).filter(|frame| frame.len() < 2_000_000).collect()
}

#[test]
fn recorded_feeds_are_mapped_as_jaq_maps_them() {
    let feeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/feeds");
    let Ok(folder) = std::fs::read_dir(&feeds) else {
        eprintln!("SKIPPED: {} is absent", feeds.display());
        return;
    };
    let mappings = written_mappings();
    let recordings = folder.map(|entry| entry.unwrap().path());
    let recordings: Vec<PathBuf> = recordings.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    on_a_mapping_thread(|| {
        for recording in recordings {
            let mut whole = 0;
            for frame in some_frames(&recording, 40) {
                if read::value(frame.as_bytes()).is_ok() {
                    whole += mappings.iter().filter(|(program, mapping)| agree(mapping, program, &frame)).count();
                }
            }
            assert!(whole > 0, "{}: no run came to its end", recording.display());
        }
    });
}
