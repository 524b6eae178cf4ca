//! Mappings as their authors see them.

mod bounds;
mod evaluators;
mod operators;

use std::thread;

use expect_test::expect;
use standpipe_protocol::Event;

use super::*;
use crate::{carried::State, template::Params, value::read};

/// For programs that end, on a machine that may be busy with other things.
const UNHURRIED: Duration = Duration::from_secs(100);

/// Runs `test` where programs are run.
fn on_a_mapping_thread<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, test).unwrap();
        thread.join().unwrap()
    })
}

/// Takes outputs as jaq writes them.
#[derive(Debug, Default, PartialEq)]
struct Shown(Vec<Result<String, String>>);

impl Take for Shown {
    fn take(&mut self, output: &impl Tree) {
        self.0.push(Ok(output.to_val().to_string()));
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

/// Takes outputs and drops them.
struct Ignored;

impl Take for Ignored {
    fn take(&mut self, _: &impl Tree) {}

    fn forget(&mut self) {}
}

/// What is known of a frame of a test.
fn facts<'a>(source: &'a Arc<str>, frame: &str, state: &'a State) -> Facts<'a> {
    const NONE: &Params = &Params::new();
    let (received, size) = (1_618_678_133_123, frame.len());
    Facts { source, stream: source, conn: 1, event: None, params: NONE, received, size, state }
}

/// What `program` makes of `frame`: its events as lines, its faults as they are told.
fn mapped(program: &str, frame: &str) -> Vec<String> {
    mapped_with("{}", program, frame)
}

/// The same, where `state` was carried to it. What is carried on from there comes last.
fn mapped_with(state: &str, program: &str, frame: &str) -> Vec<String> {
    let mapping = Mapping::compile(program).unwrap_or_else(|e| panic!("{program}: {e}"));
    on_a_mapping_thread(|| {
        let state = State::try_from(&read::value(state.as_bytes()).unwrap()).unwrap();
        let source = Arc::from("kraken");
        let facts = facts(&source, frame, &state);
        let limits = Limits { time: UNHURRIED, ..facts.limits() };
        let Outputs { events, state, numbers, .. } =
            mapping.outputs_within(Part::Json(frame.as_bytes()), &facts, limits).unwrap();
        let line = |Mapped { event, extent }: Mapped| {
            let Event { topic, key, id, ts, n, source: _, data } = event;
            let mut line = topic.to_string();
            line.extend(key.map(|key| format!(" key={key}")));
            line.extend(id.map(|id| format!(" id={id}")));
            line.extend(ts.map(|ts| format!(" ts={ts}")));
            line.extend(n.map(|n| format!(" n={n}")));
            line.extend(extent.map(|extent| format!(" {extent:?}")));
            format!("{line} {}", data.as_str())
        };
        let lines = events.into_iter().map(|event| event.map_or_else(|error| error.to_string(), line));
        let numbers = numbers.into_iter().map(|n| format!("number {n}"));
        lines.chain(numbers).chain(state.map(|state| format!("state {state}"))).collect()
    })
}

#[test]
fn each_output_is_an_event() {
    let program = r#"
        select(type == "array") | .[3] as $pair | .[1][]
        | {topic: "trades.\($pair | token)", key: $pair, ts: (.[2] | tonumber * 1000 | floor), data: {price: .[0], qty: .[1]}}
    "#;
    let frame = r#"[337,[["1.30","0.10","1618678130.12"],["1.31","5","1618678131.5"]],"trade","ADA/USD"]"#;
    let events = mapped(program, frame).join("\n");
    expect![[r#"
        trades.ADA/USD key=ADA/USD ts=1618678130120 {"price":"1.30","qty":"0.10"}
        trades.ADA/USD key=ADA/USD ts=1618678131500 {"price":"1.31","qty":"5"}"#]]
    .assert_eq(&events);
    assert_eq!(mapped(program, r#"{"event":"heartbeat"}"#), [""; 0]);
}

#[test]
fn globals_name_the_source_the_connection_and_the_time_of_arrival() {
    let program = "{topic: $source, ts: $received, data: [$source, $conn, $event, $received]}";
    assert_eq!(mapped(program, "1"), [r#"kraken ts=1618678133123 ["kraken",1,null,1618678133123]"#]);
}

#[test]
fn what_was_carried_is_state_and_an_output_of_its_own_sets_it() {
    let program = r#"
        if type == "object" then {state: ($state + {"\(.id)": .name})}
        else {topic: "t.\($state["\(.[0])"] | token)", data: .[1]} end
    "#;
    assert_eq!(mapped(program, r#"{"id":17,"name":"a"}"#), [r#"state {"17":"a"}"#]);
    let state = r#"{"17":"a"}"#;
    assert_eq!(mapped_with(state, program, r#"{"id":18,"name":"b"}"#), [r#"state {"17":"a","18":"b"}"#]);
    assert_eq!(mapped_with(state, program, "[17,0.10]"), ["t.a 0.10"]);
    let both = r#"{state: {a: 1}}, {topic: "t", data: $state}, {state: {a: 2}}"#;
    assert_eq!(
        mapped_with(state, both, "1"),
        [r#"t {"17":"a"}"#, r#"state {"a":2}"#],
        "from the next value on, the last"
    );
    assert_eq!(mapped(".", r#"{"n":7}"#), ["number 7"], "and one that has a number alone is no event");
    assert_eq!(mapped(".", r#"{"n":null}"#), ["the mapping gave no event: the event has no `topic`"]);
    let told = |output: &str| mapped(".", output).join("\n");
    expect!["the mapping gave no event: `state` is an object, this is a number"].assert_eq(&told(r#"{"state":1}"#));
    expect!["the mapping gave no event: an event has no field `state`: give `{state: {…}}` as an output of its own"]
        .assert_eq(&told(r#"{"topic":"t","state":{},"data":1}"#));
}

#[test]
fn token_makes_one_token_of_any_text_or_number() {
    let program = r#"{topic: "t.\(. | token)", data: .}"#;
    assert_eq!(mapped(program, r#""a.b *>,""#), [r#"t.a~2Eb~20~2A~3E~2C "a.b *>,""#]);
    assert_eq!(mapped(program, r#""""#), [r#"t.~ """#]);
    assert_eq!(mapped(program, "1.50"), ["t.1~2E50 1.50"]);
    assert_eq!(mapped(program, "null"), ["the mapping failed: cannot use null as topic token (a text or a number)"]);
}

#[test]
fn numbers_keep_their_digits_and_objects_their_order() {
    let frame = r#"{"z":0.1000,"a":12345678901234567890,"m":1.50e+03,"id":9007199254740993}"#;
    assert_eq!(
        mapped(r#"{topic: "t", id, key: .z, data: .}"#, frame),
        [format!("t key=0.1000 id=9007199254740993 {frame}")]
    );
    assert_eq!(mapped(r#"{topic: "t", data: "\(.z) \(.a)"}"#, frame), [r#"t "0.1000 12345678901234567890""#]);
    assert_eq!(mapped(r#"{topic: "t", data: (.z | tostring | tonumber)}"#, frame), ["t 0.1000"]);
}

#[test]
fn what_is_no_event_is_told_with_the_field_that_is_wrong() {
    let of = |output: &str| mapped(".", output).join("\n");
    expect!["the mapping gave no event: an event is an object {topic, key?, id?, ts?, n?, data}, this is a number"]
        .assert_eq(&of("1"));
    expect!["the mapping gave no event: the event has no `topic`"].assert_eq(&of(r#"{"data":1}"#));
    expect!["the mapping gave no event: the event has no `data`"].assert_eq(&of(r#"{"topic":"t"}"#));
    expect!["the mapping gave no event: an event has no field `tpic`: did you mean `topic`?"]
        .assert_eq(&of(r#"{"tpic":"t","data":1}"#));
    expect!["the mapping gave no event: an event has no field `payload`"]
        .assert_eq(&of(r#"{"topic":"t","payload":1}"#));
    expect!["the mapping gave no event: `topic` is a text, this is null"].assert_eq(&of(r#"{"topic":null,"data":1}"#));
    expect!["the mapping gave no event: `topic`: a topic token has no '*', `a.*` has one"]
        .assert_eq(&of(r#"{"topic":"a.*","data":1}"#));
    expect!["the mapping gave no event: `key` is a text or a number, this is an object"]
        .assert_eq(&of(r#"{"topic":"t","key":{},"data":1}"#));
    expect!["the mapping gave no event: `id` is empty: leave it out, or let it name the event"]
        .assert_eq(&of(r#"{"topic":"t","id":"","data":1}"#));
    expect!["the mapping gave no event: `id` has 513 bytes, at most 512 are possible"]
        .assert_eq(&of(&format!(r#"{{"topic":"t","id":"{}","data":1}}"#, "x".repeat(513))));
    expect!["the mapping gave no event: `ts` is a whole number (milliseconds since 1970), 1.5 is not: use `floor`, or another unit"]
        .assert_eq(&of(r#"{"topic":"t","ts":1.5,"data":1}"#));
    expect!["the mapping gave no event: `ts` is a whole number (milliseconds since 1970), this is a text"]
        .assert_eq(&of(r#"{"topic":"t","ts":"1","data":1}"#));
    expect!["the mapping gave no event: `ts` is in milliseconds since 1970, 1618678133123456789 is too far away"]
        .assert_eq(&of(r#"{"topic":"t","ts":1618678133123456789,"data":1}"#));
    expect!["the mapping gave no event: `n` is below 0"].assert_eq(&of(r#"{"topic":"t","n":-1,"data":1}"#));
    expect!["the mapping gave no event: `full` is `true` or `false`, this is a text"]
        .assert_eq(&of(r#"{"topic":"t","full":"yes","data":1}"#));
    expect!["the mapping gave no event: `data` cannot be sent: NaN and infinities are not JSON"]
        .assert_eq(&mapped(r#"{topic: "t", data: nan}"#, "1").join(""));
    expect!["the mapping gave no event: `data` cannot be sent: bytes are not JSON: use `@base64`, or `tostring` if they are text"]
        .assert_eq(&mapped(r#"{topic: "t", data: ("a" | tobytes)}"#, "1").join(""));
}

#[test]
fn what_may_be_left_out_may_be_null() {
    let frame = r#"{"topic":"t","key":null,"id":null,"ts":null,"n":null,"data":null}"#;
    assert_eq!(mapped(".", frame), ["t null"]);
    assert_eq!(mapped(".", r#"{"topic":"t","n":18446744073709551615,"data":1}"#), ["t n=18446744073709551615 1"]);
    assert_eq!(mapped(r#"{topic: "t", ts: (1.5 * 2), data: 1}"#, "1"), ["t ts=3 1"]);
    assert_eq!(mapped(r#"{topic: "t", full: (true, false, null), data: 1}"#, "1"), ["t Full 1", "t Part 1", "t 1"]);
}

#[test]
fn one_bad_output_does_not_spoil_the_others() {
    let outputs = mapped(r#".[] | {topic: "t", data: .} + if . == 2 then {ts: "x"} else {} end"#, "[1,2,3]");
    assert_eq!((outputs.len(), &*outputs[0], &*outputs[2]), (3, "t 1", "t 3"));
    let outputs = mapped(r#".[] | {topic: "t", data: (. + 1)}"#, r#"[1,"a",3]"#);
    assert_eq!(outputs, ["t 2", r#"the mapping failed: cannot calculate "a" + 1"#], "a failure ends the run");
}

#[test]
fn an_error_says_where_the_program_is_wrong() {
    let of = |program: &str| Mapping::compile(program).unwrap_err().to_string();
    expect!["line 1, column 1: expected term, found the end"].assert_eq(&of(""));
    expect!["line 2, column 9: expected term, found `}`"].assert_eq(&of("\n{topic: }"));
    expect!["line 1, column 4: expected closing parenthesis"].assert_eq(&of(" (1"));
    expect!["line 1, column 2: no jq begins with this"].assert_eq(&of(".é"));
    expect!["line 2, column 8: `tokem` is not defined; did you mean `token`?"].assert_eq(&of(".a |\n \"é\" | tokem"));
    expect!["line 1, column 1: `token` is not defined with 1 arguments"].assert_eq(&of("token(1)"));
    expect![
        "line 1, column 5: the variable `$recieved` is not defined; given are $source, $conn, $event, $params, $received, $state"
    ]
    .assert_eq(&of(".a, $recieved"));
    expect!["line 1, column 1: `env` is not available in mappings"].assert_eq(&of("env"));
    expect![
        "line 1, column 1: the variable `$ENV` is not defined; given are $source, $conn, $event, $params, $received, $state"
    ]
    .assert_eq(&of("$ENV.HOME"));
    expect![[r#"line 1, column 8: expected an operator or the end, found `"a"`"#]]
        .assert_eq(&of(r#"import "a" as a; 1"#));
    let long = of(&" ".repeat(65 * 1024));
    assert!(long.contains("at most 65536"), "{long}");
}

#[test]
fn nothing_reaches_outside_of_the_frame() {
    for program in
        ["halt", "halt(1)", "halt_error", "now", "input", "inputs", "debug", "stderr", "localtime", "env.HOME"]
    {
        let error = Mapping::compile(program).unwrap_err();
        assert!(error.message.contains("not available") || error.message.contains("not defined"), "{program}: {error}");
    }
}

#[test]
fn answers_are_texts_or_json() {
    let mapping = Mapping::compile(r#"select(.event? == "ping") | "pong", {event: "pong", id}"#).unwrap();
    let answers = |frame: &'static str| {
        let (source, state) = (Arc::from("s"), State::default());
        let facts = facts(&source, frame, &state);
        let answers = mapping.answers(Part::Json(frame.as_bytes()), &facts).unwrap();
        answers.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let given = on_a_mapping_thread(|| answers(r#"{"event":"ping","id":1.50}"#));
    assert_eq!(given, ["pong", r#"{"event":"pong","id":1.50}"#]);
    assert!(on_a_mapping_thread(|| answers("[]")).is_empty());
}

#[test]
fn errors_do_not_repeat_whole_frames() {
    let frame = format!("[{}]", "1,".repeat(100_000) + "1");
    let error = mapped(".a", &frame).join("");
    assert!(error.len() < 300 && error.ends_with('…'), "{error}");
}
