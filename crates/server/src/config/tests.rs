//! The configuration as a whole: what is valid, what is not, and what is said about it.

use std::{fs, path::PathBuf};

use expect_test::{Expect, expect};
use standpipe_upstream::Kind;

use super::*;

/// The smallest configuration there is.
const SMALLEST: &str = "[[source]]\nname = \"in\"\nkind = \"push\"\n";

fn nothing() -> Environment {
    Environment::default()
}

fn valid(text: &str) -> Settings {
    parse_toml(text, &nothing()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str, environment: &Environment) -> String {
    parse_toml(text, environment).map(|settings| format!("valid: {settings:?}")).unwrap_err().to_string()
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&problems(text, &nothing()));
}

fn documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

/// The complete file of the documentation, in a directory where the recording that it names is.
fn complete_file() -> (tempfile::TempDir, String) {
    let text = fs::read_to_string(documentation()).unwrap();
    let (_, behind) = text.split_once("```toml\n").unwrap();
    let (file, _) = behind.split_once("```\n").unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("kraken.jsonl.gz"), "").unwrap();
    (directory, file.to_owned())
}

fn load_in(directory: &Path, name: &str, text: &str) -> Result<Settings, Problems> {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    load(&path, &nothing())
}

#[test]
fn the_complete_file_is_a_configuration() {
    let (directory, text) = complete_file();
    let settings = load_in(directory.path(), "all.toml", &text).unwrap();
    assert_eq!(settings.sources.len(), text.matches("[[source]]").count());
}

#[test]
fn what_this_version_offers_of_the_complete_file_is_valid() {
    let (directory, text) = complete_file();
    let blocks = text.split("[[source]]").filter(|block| !block.contains("params"));
    let text = blocks.collect::<Vec<_>>().join("[[source]]");
    let settings = load_in(directory.path(), "most.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<_> = settings.sources.iter().map(|source| (&*source.name, source.kind.as_str())).collect();
    assert_eq!(names, [("kraken", "websocket"), ("tape", "replay"), ("mine", "exec"), ("in", "push")]);
    let [kraken, tape, ..] = &settings.sources[..] else { panic!("{names:?}") };
    assert!(kraken.mapping.is_some() && kraken.dedupe == 10_000 && kraken.group.as_deref() == Some("kraken"));
    assert!(matches!(&tape.kind, Kind::Replay(replay) if replay.file == directory.path().join("kraken.jsonl.gz")));
}

#[test]
fn the_complete_file_states_the_defaults() {
    let (_directory, text) = complete_file();
    let (sections, _) = text.split_once("[[source]]").unwrap();
    assert_eq!(format!("{:?}", valid(&format!("{sections}{SMALLEST}"))), format!("{:?}", valid(SMALLEST)));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    check(
        r#"
        clinet = {}
        [server]
        listen = "localhost:8080"
        memory = "lots"
        workers = 0
        [client]
        ping_intervall = "25s"
        max_queue_age = 10
        max_frame = "1mb"
        heartbeat = "0s"
        first_step = "-5s"
        max_unconfirmed_frames = -1
        overflow = "catchup"
        confirm = 5
        [limits]
        max_connections = "many"
        max_filter_depth = 1000
        [auth]
        mode = "jwt"
        allowed_origins = ["https://a.example", "a.example/"]
        [billing]
        sink = "apfy"
        [admin]
        listen = "127.0.0.1:9"
        [[source]]
        name = "a b"
        kind = "push"
        url = "ws://here"
        [[source]]
        kind = "websockt"
        [[source]]
        name = "feed"
        kind = "websocket"
        url = "https://feed.example/"
        send = "hello"
        decode = ["json", "gzip"]
        map = "{topic: "
        dedup = 5
        merge = 1
        [[source]]
        name = "feed"
        kind = "replay"
        file = "nowhere.jsonl"
        speed = 0
        repeat = "yes"
        "#,
        &expect![[r#"
            `clinet`: there is no such key; did you mean `client`?
            `server.listen`: found "localhost:8080"; write an address and a port such as "127.0.0.1:8080", "0.0.0.0:8080" or "[::]:8080"
            `server.memory`: found "lots"; it is `auto` or a size
            `server.workers`: found 0; it is a whole number from 1 to 256
            `client.ping_intervall`: there is no such key; did you mean `ping_interval`?
            `client.max_queue_age`: found 10: it has no unit; write a duration such as "25s"; units are ms, s, m, h, d
            `client.max_unconfirmed_frames`: found -1; it is a whole number from 1
            `client.max_frame`: found "1mb": its unit is not known; write "1MB"
            `client.heartbeat`: it is zero; it is a duration such as "25s", longer than nothing
            `client.first_step`: found "-5s": it is negative; write a duration such as "25s"
            `client.confirm`: found 5; it is `pong` or `ack`
            `client.overflow`: found "catchup"; did you mean "catch_up"?
            `limits.max_connections`: found "many"; it is a whole number from 1
            `limits.max_filter_depth`: found 1000; it is a whole number from 1 to 128
            `auth.allowed_origins[1]`: an origin is `scheme://host[:port]` without a path, or `null`; `a.example/` is not
            `billing.sink`: found "apfy"; did you mean "apify"?
            `admin.listen`: it is not available in this version; leave it out
            `source[0].url`: `push` has no such key, only websocket and sse and http_poll has
            `source[0].name`: found "a b"; a name has 1 to 64 letters, digits, `-` and `_`
            `source[1].name`: it is missing; needed is a text
            `source[1].kind`: found "websockt"; did you mean "websocket"?
            `source.feed.dedup`: there is no such key; did you mean `dedupe`?
            `source.feed.map`: the program does not compile: line 1, column 9: expected closing brace
            `source.feed.merge`: found 1; it is `true` or `false`
            `source.feed.url`: a URL of this kind begins with `ws://` or `wss://`, this one with `https:`; write a URL such as "wss://ws.example.com/v1"
            `source.feed.send`: found "hello"; it is a list, each a text
            `source.feed.decode`: nothing can follow `json`
            `source.feed.name`: another source has this name; names are unique
            `source.feed.file`: there is no file nowhere.jsonl
            `source.feed.speed`: found 0; it is `recorded`, `max` or a number above 0
            `source.feed.repeat`: found "yes"; it is `true` or `false`
            `auth.jwt.algorithm`: it is missing; write the one that your issuer signs by: "HS256", "RS256", "ES256" or "EdDSA""#]],
    );
}

#[test]
fn keys_have_to_go_together() {
    for (text, expected) in [
        (
            "[client]\nping_interval = \"1s\"",
            expect![
                "`client.pong_timeout`: 20s is longer than `client.ping_interval`, which is 1s; make it at most as long: a ping is answered or given up before the next one is due"
            ],
        ),
        (
            "[client]\nflush_interval = \"1s\"\nmax_frame = \"1GiB\"",
            expect![[r#"
            `client.max_frame`: found "1GiB"; it is a size from 1KiB to 16MiB
            `client.flush_interval`: found "1s"; it is `auto` or a duration up to 100ms"#]],
        ),
        (
            "[drain]\nwindow = \"20s\"",
            expect![
                "`drain.window`: 20s is not shorter than `drain.deadline`, 14s; clients that are sent away last need time to read it"
            ],
        ),
        (
            "[server]\nmemory = \"1MiB\"\n[log]\nmax_bytes = \"2MiB\"",
            expect![[r#"
                `log.max_bytes`: 2MiB is more than all of `server.memory`, which is 1MiB; leave room for the queues, or write "auto"
                `snapshot.max_bytes`: 128KiB, with 2MiB for the log, is more than all of `server.memory`, which is 1MiB; leave room for the queues, or write "auto""#]],
        ),
    ] {
        check(&format!("{text}\n{SMALLEST}"), &expected);
    }
}

#[test]
fn the_place_in_a_program_is_told() {
    let text = "[[source]]\nname = \"x\"\nkind = \"push\"\nmap = '''\n{topic: 1}\n| frobnicate'''";
    check(
        text,
        &expect!["`source.x.map`: the program does not compile: line 2, column 3: `frobnicate` is not defined"],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_too() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("a.toml", "[server\n"), ("b.json", "{"), ("c.yaml", "a: [b"), ("d.ini", "a=b")] {
        let problems = load_in(directory.path(), name, text).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.0[0].path.ends_with(name), "{problems}");
    }
    assert!(load(&directory.path().join("none.toml"), &nothing()).is_err());
    for text in ["", "[server]", "source = 1", "[source]\nname = \"x\"", "[[source]]\n", "source = [1]", "server = 5"] {
        assert!(parse_toml(text, &nothing()).is_err(), "{text}");
    }
}

#[test]
fn all_formats_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let texts = [
        (
            "a.toml",
            "[client]\nping_interval = \"30s\"\n[log]\nmax_events = 10\n[[source]]\nname = \"in\"\nkind = \"push\"\nmap = '.'\n",
        ),
        (
            "a.json",
            r#"{"client": {"ping_interval": "30s"}, "log": {"max_events": 10}, "source": [{"name": "in", "kind": "push", "map": "."}]}"#,
        ),
        (
            "a.yaml",
            "client:\n  ping_interval: 30s\nlog:\n  max_events: 10\nsource:\n  - name: in\n    kind: push\n    map: |\n      .\n",
        ),
    ];
    let read = texts.map(|(name, text)| format!("{:?}", load_in(directory.path(), name, text).unwrap()));
    assert!(read.iter().all(|settings| *settings == read[0]), "{read:#?}");
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[[source]]\nname = \"my-feed\"\nkind = \"websocket\"\nurl = \"ws://file\"\n\
                [plan.free-tier]\nevent_rate = \"1/s\"\n[plan.pro]\n";
    let environment = Environment::from_iter([
        ("STANDPIPE__PLAN__FREE_TIER__EVENT_RATE", "20/s"),
        ("STANDPIPE__PLAN__pro__MAX_CONNECTIONS", "3"),
        ("STANDPIPE__SERVER__LISTEN", "127.0.0.1:2"),
        ("STANDPIPE__LOG__MAX_EVENTS", "12_345"),
        ("STANDPIPE__SERVER__WORKERS", "auto"),
        ("STANDPIPE__CLIENT__PING_INTERVAL", "30s"),
        ("STANDPIPE__SOURCE__MY_FEED__URL", "ws://environment"),
        ("STANDPIPE__SOURCE__my-feed__SEND", r#"["a", "b"]"#),
        ("STANDPIPE__SOURCE__MY_FEED__DEDUPE", "7"),
        ("STANDPIPE__AUTH__ALLOWED_ORIGINS", r#"["https://a.example"]"#),
        ("OTHER", "x"),
    ]);
    let settings = parse_toml(text, &environment).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(settings.server.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(settings.log.max_events, 12_345);
    assert_eq!(settings.client.each.ping_interval.as_secs(), 30);
    let Kind::WebSocket(feed) = &settings.sources[0].kind else { panic!() };
    assert_eq!((feed.url.to_string().as_str(), feed.send.len()), ("ws://environment/", 2));
    assert_eq!(settings.sources[0].dedupe, 7);
    let (free, pro) = (&settings.plans["free-tier"], &settings.plans["pro"]);
    assert_eq!(free.client.event_rate.map(|rate| rate.to_string()).as_deref(), Some("20/s"));
    assert_eq!(pro.allowance.max_connections.map(usize::from), Some(3));
}

#[test]
fn an_override_that_means_nothing_is_a_problem() {
    let environment = Environment::from_iter([
        ("STANDPIPE__CLIENT", "x"),
        ("STANDPIPE__CLIENT__PING_INTERVALL", "x"),
        ("STANDPIPE__CLIENTS__PING_INTERVAL", "x"),
        ("STANDPIPE__CLIENT__PING_INTERVAL", "25"),
        ("STANDPIPE__LOG__MAX_EVENTS", "00123"),
        ("STANDPIPE__SOURCE__OUT__MAP", "."),
        ("STANDPIPE__SOURCE__IN", "."),
        ("STANDPIPE__SOURCE__IN__URI", "."),
        ("STANDPIPE__SOURCE__IN__PARAMS", "a,b"),
        ("STANDPIPE__PLAN__FREE", "x"),
        ("STANDPIPE__PLAN__FREE__EVENT_RATE", "1/s"),
    ]);
    expect![[r#"
        `STANDPIPE__CLIENT`: it names no key; it takes a section and a key of it, SECTION__KEY
        `STANDPIPE__CLIENTS__PING_INTERVAL`: there is no section `clients`; did you mean `client`?
        `STANDPIPE__CLIENT__PING_INTERVALL`: there is no key `ping_intervall`; did you mean `ping_interval`?
        `STANDPIPE__PLAN__FREE`: it names no key; it takes a name and a key, PLAN__<name>__KEY
        `STANDPIPE__PLAN__FREE__EVENT_RATE`: there is no plan `FREE`; only the file adds one
        `STANDPIPE__SOURCE__IN`: it names no key; it takes a name and a key, SOURCE__<name>__KEY
        `STANDPIPE__SOURCE__IN__URI`: there is no key `uri`; did you mean `url`?
        `STANDPIPE__SOURCE__OUT__MAP`: there is no source `OUT`; only the file adds one
        `STANDPIPE__LOG__MAX_EVENTS`: found "00123"; it is a whole number from 1
        `STANDPIPE__CLIENT__PING_INTERVAL`: found "25": it has no unit; write a duration such as "25s"; units are ms, s, m, h, d
        `STANDPIPE__SOURCE__IN__PARAMS`: found "a,b"; it is a list, each a text"#]].assert_eq(&problems(SMALLEST, &environment));
}

#[test]
fn variables_are_replaced_and_their_values_never_shown() {
    let environment = Environment::from_iter([("KEY", "hunter2"), ("WHOLE", "hunter3:x")]);
    let text = r#"
        [admin]
        token = "${KEY}"
        [[source]]
        name = "x"
        kind = "websocket"
        url = "wss://feed.example/${KEY}?k=${KEY}"
        send = ['{"key":"${KEY}"}', "$${KEY}"]
    "#;
    let settings = parse_toml(text, &environment).unwrap();
    let Kind::WebSocket(feed) = &settings.sources[0].kind else { panic!() };
    assert_eq!(feed.send, [r#"{"key":"hunter2"}"#, "${KEY}"]);
    assert!(matches!(&settings.entry.operations, standpipe_entry::Operations::Token(token) if token.0 == "hunter2"));
    let wrong = r#"
        [admin]
        token = "${NOWHERE}"
        [[source]]
        name = "x"
        kind = "websocket"
        url = "${WHOLE}"
        send = ["${KEY", "${OTHER}", 5]
    "#;
    let told = problems(wrong, &environment);
    expect![[r#"
        `admin.token`: the environment has no variable `NOWHERE`
        `source.x.url`: with its variables replaced, it is no address of a feed; write a URL such as "wss://ws.example.com/v1"
        `source.x.send[0]`: `${` without a name and `}` behind it; write `$${` for `${` itself
        `source.x.send[1]`: the environment has no variable `OTHER`
        `source.x.send[2]`: found 5; it is a text"#]].assert_eq(&told);
    assert!(!told.contains("hunter"));
}

#[test]
fn the_reference_in_the_documentation_is_the_table_in_the_code() {
    const MARKS: [&str; 2] = ["<!-- generated -->\n", "<!-- /generated -->"];
    let text = fs::read_to_string(documentation()).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (reference, after) = rest.split_once(MARKS[1]).unwrap();
    let made = format!("\n{}", reference::markdown());
    if reference != made && std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(documentation(), format!("{before}{}{made}{}{after}", MARKS[0], MARKS[1])).unwrap();
        return;
    }
    assert_eq!(reference, made, "run the tests with UPDATE_EXPECT=1");
}

#[test]
fn what_sources_of_a_group_do_not_agree_on_is_told() {
    let push = |name: &str, more: &str| format!("[[source]]\nname = \"{name}\"\nkind = \"push\"\n{more}\n");
    let agreed =
        push("a", "group = \"g\"") + &push("b", "group = \"g\"\ndedupe = 10_000") + &push("h", "group = \"h\"");
    assert!(valid(&agreed).sources.iter().all(|source| source.dedupe == 10_000));
    check(
        &[
            push("a", "group = \"g\"\ndedupe = 5"),
            push("b", "group = \"g\"\nnumbers = \"key\""),
            push("c", "group = \"g\"\ndedupe = 0"),
            push("d", "group = \"x\""),
            push("x", ""),
            push("e", "group = \"a b\""),
        ]
        .concat(),
        &expect![[r#"
            `source.e.group`: found "a b"; a name has 1 to 64 letters, digits, `-` and `_`
            `source.b.dedupe`: 10000 is not what `source.a` says, which is 5; sources of a group have one memory: write the same
            `source.b.numbers`: it is not what `source.a` says; numbers of a group are the feed's: write the same
            `source.c.dedupe`: sources of a group bring the same events, which are known by their ids; give the number of ids by which they can be apart, or leave it out
            `source.c.dedupe`: 0 is not what `source.a` says, which is 5; sources of a group have one memory: write the same
            `source.d.group`: `x` is the name of a source that is not of this group; clients would take the two for one: choose another name"#]],
    );
}

#[test]
fn what_each_kind_of_source_needs_is_told() {
    check(
        r#"
        [[source]]
        name = "a"
        kind = "sse"
        url = "wss://feed.example/"
        headers = { Host = "b" }
        [[source]]
        name = "b"
        kind = "http_poll"
        url = "https://feed.example/#part"
        every = "50ms"
        headers = { "X-Key" = 5 }
        [[source]]
        name = "c"
        kind = "exec"
        command = []
        [[source]]
        name = "d"
        kind = "websocket"
        url = "https://feed.example/"
        subprotocols = ["a, b"]
        silence = "5s"
        [[source]]
        name = "e"
        kind = "exec"
    "#,
        &expect![[r#"
            `source.a.url`: a URL of this kind begins with `http://` or `https://`, this one with `wss:`; write a URL such as "https://api.example.com/v1"
            `source.a.headers`: host belongs to the connection: it is set as that needs it
            `source.b.url`: a feed's URL has no fragment (`#…`); write a URL such as "https://api.example.com/v1"
            `source.b.headers.X-Key`: it is not a text
            `source.c.command`: it is empty; write the program and its arguments
            `source.d.silence`: `websocket` has no such key, only sse has
            `source.d.url`: a URL of this kind begins with `ws://` or `wss://`, this one with `https:`; write a URL such as "wss://ws.example.com/v1"
            `source.d.subprotocols[0]`: found "a, b"; a subprotocol has letters, digits and none of ()<>@,;:\"/[]?={}
            `source.e.command`: it is missing; needed is a list, each a text"#]],
    );
}

#[test]
fn a_program_is_found_from_the_directory_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[source]]\nname = \"a\"\nkind = \"exec\"\ncommand = [\"./mine\", \"--live\"]\n\
                [[source]]\nname = \"b\"\nkind = \"exec\"\ncommand = [\"zcat\"]\n";
    let settings = load_in(directory.path(), "file.toml", text).unwrap();
    let [Kind::Exec(mine), Kind::Exec(theirs)] = [&settings.sources[0].kind, &settings.sources[1].kind] else {
        panic!("{settings:?}")
    };
    assert_eq!((&*mine.program, &*mine.arguments), (&*directory.path().join("./mine"), &["--live".to_owned()][..]));
    assert_eq!((&*theirs.program, &*theirs.directory), (Path::new("zcat"), directory.path()));
}

#[test]
fn a_run_of_the_platform_listens_where_callers_are_sent_to() {
    let run = |variables: &[(&'static str, &'static str)]| {
        let home = [("APIFY_IS_AT_HOME", "1"), ("ACTOR_RUN_ID", "Run1"), ("APIFY_TOKEN", "t")];
        home.into_iter().chain(variables.iter().copied()).collect::<Environment>()
    };
    let text = format!("[server]\nlisten = \"127.0.0.1:1\"\n{SMALLEST}");
    for (variables, listen) in [
        (&[][..], "0.0.0.0:4321"),
        (&[("ACTOR_WEB_SERVER_PORT", "5000"), ("APIFY_META_ORIGIN", "STANDBY")], "0.0.0.0:5000"),
        (&[("ACTOR_WEB_SERVER_PORT", "5000"), ("STANDPIPE__SERVER__LISTEN", "127.0.0.1:2")], "127.0.0.1:2"),
    ] {
        let settings = parse_toml(&text, &run(variables)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(settings.server.listen.to_string(), listen);
        assert_eq!(settings.entry.origins, standpipe_entry::Origins::Any);
    }
    let named = format!("[auth]\nallowed_origins = [\"https://a.example\"]\n{SMALLEST}");
    let settings = parse_toml(&named, &run(&[])).unwrap();
    assert!(matches!(settings.entry.origins, standpipe_entry::Origins::Named(_)), "the file's word counts");
    expect!["`server.listen`: ACTOR_WEB_SERVER_PORT: \"http\" is no port; the platform sets it for each run"]
        .assert_eq(problems(&text, &run(&[("ACTOR_WEB_SERVER_PORT", "http")])).trim_end());
}

#[test]
fn a_grant_names_parameters_that_there_are() {
    let text = |params: &str| {
        format!(
            "[auth]\nmode = \"keys\"\n[[auth.key]]\nname = \"a\"\nhash = \"sha256:{}\"\nsubscribe = [\">\"]\nparams = {params}\n\
             [[source]]\nname = \"pairs\"\nkind = \"http_poll\"\nparams = [\"pair\"]\nurl = \"https://feed.example/{{pair}}\"\nevery = \"1s\"\n",
            "a".repeat(64)
        )
    };
    assert!(parse_toml(&text("{ pair = [\"BTC\"] }"), &nothing()).is_ok());
    check(
        &text("{ piar = [\"BTC\"] }"),
        &expect!["`auth.key.a.params.piar`: there is no such parameter; did you mean `pair`?"],
    );
    check(
        &text("{ pair = \"BTC\" }"),
        &expect![[r#"`auth.key.a.params.pair`: found "BTC"; it is a list, each a text"#]],
    );
}

#[test]
fn what_a_run_of_the_platform_owes_is_kept_under_its_name() {
    let text = format!("[billing]\nsink = \"file\"\n{SMALLEST}");
    let home = [("APIFY_IS_AT_HOME", "1"), ("ACTOR_RUN_ID", "Run1"), ("APIFY_TOKEN", "t")];
    let settings = parse_toml(&text, &Environment::from_iter(home)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(settings.billing.unwrap().journal, Path::new("journal-Run1.jsonl"));
    assert_eq!(valid(&text).billing.unwrap().journal, Path::new("journal.jsonl"));
}

/// What is made of a file that allows `allow` when its run has this input.
fn with_input(allow: &str, input: serde_json::Value) -> Result<Settings, String> {
    let serde_json::Value::Object(input) = input else { panic!("{input} is no object") };
    let text = format!(
        "[input]\nallow = {allow}\n[[source]]\nname = \"feed\"\nkind = \"websocket\"\nurl = \"ws://feed.example\"\nsend = [\"a\"]\n"
    );
    parse_toml(&text, &nothing().with_input(input)).map_err(|problems| problems.to_string())
}

#[test]
fn the_input_of_a_run_sets_what_the_file_allows() {
    let allow = r#"["log.max_age", "source.feed.send", "limits.max_subscriptions"]"#;
    let input = serde_json::json!({
        "log__max_age": "1h", "source__feed__send": ["b", "c"], "limits__max_subscriptions": "7",
    });
    let settings = with_input(allow, input).unwrap();
    assert_eq!(settings.log.max_age, std::time::Duration::from_secs(3600));
    assert_eq!(settings.limits.bounds.max_subscriptions, 7);
    let Kind::WebSocket(websocket) = &settings.sources[0].kind else { panic!() };
    assert_eq!(websocket.send, ["b", "c"]);
    let left = with_input(allow, serde_json::json!({ "log__max_age": null })).unwrap();
    assert_eq!(left.log.max_age, std::time::Duration::from_secs(900), "a field that was left empty says nothing");
}

#[test]
fn the_input_of_a_run_sets_nothing_else() {
    let told = with_input(
        r#"["log.max_age", "source.feed.send"]"#,
        serde_json::json!({
            "log__max_age": "soon", "server__listen": "0.0.0.0:1", "source__feed__send": ["${APIFY_TOKEN}"],
        }),
    );
    expect![[r#"
        `INPUT.server__listen`: the input may not set this; it may set log__max_age, source__feed__send
        `INPUT.source__feed__send`: it has `${` in it; an input cannot ask for variables of the environment
        `INPUT.log__max_age`: found "soon": it is not a whole number and a unit; write a duration such as "25s"
    "#]]
    .assert_eq(&format!("{}\n", told.unwrap_err().trim_end()));
}

#[test]
fn nobody_can_allow_an_input_to_say_where_to_connect_what_to_run_or_who_pays() {
    for closed in [
        "source.feed.url",
        "source.feed.headers",
        "source.feed.kind",
        "source.feed.ca_file",
        "source.feed.allow",
        "source.feed.private_addresses",
        "server.listen",
        "auth.mode",
        "auth.jwt.secret",
        "billing.payer",
        "admin.token",
        "input.allow",
        "limits.trusted_proxies",
        "limits.proxy_header",
        "plan.free.max_connections",
        "log",
    ] {
        let told = with_input(&format!("[{closed:?}]"), serde_json::json!({})).unwrap_err();
        assert!(told.starts_with("`input.allow[0]`: found "), "{closed}: {told}");
    }
    expect![[r"
        `input.allow[0]`: there is no key `max_ag`; did you mean `max_age`?
        `input.allow[1]`: there is no source `fed`; only the file adds one
    "]]
    .assert_eq(&format!(
        "{}\n",
        with_input(r#"["log.max_ag", "source.fed.send"]"#, serde_json::json!({})).unwrap_err().trim_end()
    ));
}
