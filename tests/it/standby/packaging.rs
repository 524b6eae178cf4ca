//! Actors as `cargo xtask actor` makes them: what is in their folders, what the platform's own validators say of it, and what their
//! mappings make of frames.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use standpipe_packaging::{Form, Order, Packed, Push, pack};
use standpipe_standby::Dockerfile;
use standpipe_tests::{
    Server, Socket,
    foreign::{Language, node_packages, node_script, values},
    language, paths,
    server::standpipe,
};
use tempfile::TempDir;
use toml::Table;

use crate::config::run;

/// The Actors of `deploy/actors`.
pub(super) const ACTORS: [&str; 2] = ["crypto-twitter-tracker", "dexscreener-realtime-monitor"];

/// An Actor's folder.
pub(super) fn packed(name: &str, form: Form) -> (TempDir, PathBuf, Packed) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join(name);
    let (root, server) = (paths::root(), standpipe());
    let order = Order { root: &root, name, out: &out, form, server: Path::new(server.get_program()) };
    let packed = pack(&order).unwrap_or_else(|error| panic!("{error}"));
    (folder, out, packed)
}

fn json(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What the platform's schemas say against a folder.
async fn faults(folder: &Path) -> Vec<Value> {
    let mut told = values(node_script("schemas.mjs").arg(folder)).await;
    assert_eq!(told.pop(), Some(json!({"files": 4})));
    told
}

/// The platform's command line, in a folder: its exit code, and what it says.
async fn validated(folder: &Path) -> (i32, String) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("node");
    command.arg(node_packages().join("apify-cli/dist/apify.js")).arg("validate-schema").current_dir(folder);
    for name in ["APIFY_CLI_DISABLE_TELEMETRY", "APIFY_CLI_SKIP_UPDATE_CHECK", "APIFY_DISABLE_KEYRING"] {
        command.env(name, "1");
    }
    let (code, out, err) = run(command.env("HOME", home.path())).await;
    (code, out + &err)
}

#[tokio::test]
async fn every_actor_is_what_the_platforms_own_validators_want() {
    language!(Language::Node);
    for name in ACTORS {
        let (_folder, out, _) = packed(name, Form::Prebuilt);
        assert_eq!(faults(&out).await, Vec::<Value>::new(), "{name}");
        let (code, told) = validated(&out).await;
        assert_eq!((code, told.matches("is valid").count()), (0, 3), "{name}: {told}");
        let actor = json(&out.join(".actor/actor.json"));
        assert_eq!((&actor["name"], &actor["usesStandbyMode"]), (&name.into(), &true.into()));
        for (key, file) in [("dockerfile", "Dockerfile"), ("readme", "README.md"), ("changelog", "CHANGELOG.md")] {
            assert_eq!(actor[key], format!("../{file}"));
            assert!(out.join(file).exists(), "{name}: {file}");
        }
        // The contract's own test holds this against its specification, and against what a server says.
        let contract = out.join(".actor").join(actor["webServerSchema"].as_str().expect("a path"));
        assert_eq!(json(&contract), json(&paths::root().join("docs/openapi.json")));
    }
}

#[tokio::test]
async fn the_validators_find_what_is_wrong() {
    language!(Language::Node);
    let (_folder, out, _) = packed(ACTORS[0], Form::Prebuilt);
    for (file, pointer, wrong) in [
        ("actor.json", "/version", json!("one")),
        ("input_schema.json", "/properties/log__max_age/editor", json!("nonsense")),
        ("dataset_schema.json", "/actorSpecification", json!(9)),
        ("output_schema.json", "/actorOutputSchemaVersion", json!("1")),
    ] {
        let path = out.join(".actor").join(file);
        let right = fs::read_to_string(&path).expect("a file");
        let mut changed = json(&path);
        *changed.pointer_mut(pointer).expect("a member") = wrong;
        fs::write(&path, changed.to_string()).expect("a file");
        let told = faults(&out).await;
        assert!(!told.is_empty() && told.iter().all(|fault| fault["file"] == file), "{file}: {told:?}");
        if file == "input_schema.json" {
            let (code, told) = validated(&out).await;
            assert!(code == 5 && told.contains("log__max_age.editor"), "{code}: {told}");
        }
        fs::write(&path, right).expect("a file");
    }
    assert_eq!(faults(&out).await, Vec::<Value>::new(), "all is as it was");
}

#[test]
fn an_actor_comes_as_sources_or_as_a_program_and_both_images_are_told_the_same() {
    let images = [Form::Source, Form::Prebuilt].map(|form| {
        let (_folder, out, packed) = packed(ACTORS[1], form);
        let is_source = form == Form::Source;
        assert_eq!(packed.push, if is_source { Push::Files } else { Push::Archive }, "{packed:?}");
        assert_eq!(
            (out.join("crates/server/src/main.rs").exists(), out.join("standpipe").exists()),
            (is_source, !is_source)
        );
        let dockerfile = Dockerfile::read(&fs::read_to_string(out.join("Dockerfile")).expect("a Dockerfile"));
        let [build, image] = &dockerfile.stages[..] else { panic!("two stages: {dockerfile:?}") };
        let base = build.base.split_once(':').expect("a tag").1;
        assert!(base.starts_with(|first: char| first.is_ascii_digit()), "{base} is no version");
        if is_source {
            let command = build.last("RUN").expect("a command");
            assert!(command.starts_with("cargo build --locked"), "{command}");
            let lock: Table = fs::read_to_string(out.join("Cargo.lock")).expect("a lock").parse().expect("TOML");
            let names: Vec<_> =
                lock["package"].as_array().expect("packages").iter().filter_map(|p| p["name"].as_str()).collect();
            assert!(names.contains(&"standpipe-server") && !names.contains(&"proptest"), "{names:?}");
        }
        (image.base.clone(), image.command(), image.last("USER").map(str::to_owned))
    });
    assert_eq!(images[0], images[1]);
}

/// Where nothing has been built yet this takes its time; the packages are those that the workspace has.
#[test]
fn the_sources_of_an_actor_are_all_that_the_server_is_built_from() {
    // In one place, so that what was built there before need not be built again.
    let out = paths::target().join("actors/checked");
    let (root, server) = (paths::root(), standpipe());
    let order =
        Order { root: &root, name: ACTORS[1], out: &out, form: Form::Source, server: Path::new(server.get_program()) };
    pack(&order).unwrap_or_else(|error| panic!("{error}"));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["check", "--quiet", "--locked", "--offline", "--bin", "standpipe"]).current_dir(&out);
    let output = cargo.env("CARGO_TARGET_DIR", paths::target()).output().expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_readme_says_how_to_come_back_and_what_is_charged() {
    for name in ACTORS {
        let (_folder, out, _) = packed(name, Form::Source);
        let readme = fs::read_to_string(out.join("README.md")).expect("a README");
        for (event, price) in json(&out.join(".actor/pay_per_event.json")).as_object().expect("prices") {
            assert!(readme.contains(&format!("| `{event}` | {} |", price["eventPriceUsd"])), "{name}: {event}");
        }
        for part in [
            "| 4200 | `RESTART` | now |",
            "after=<epoch>:<seq>",
            "curl ",
            "websockets",
            "import WebSocket from \"ws\"",
            "?token=",
        ] {
            assert!(readme.contains(part), "{name}: {part}");
        }
        assert!(!readme.contains("{{"), "{name}");
    }
}

/// The configuration of an Actor with these frames in the place of its feed, and nobody who pays.
fn replayed(name: &str, frames: &[Value]) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("frames.jsonl");
    let lines: Vec<_> =
        frames.iter().map(|frame| json!({"t": "recv", "ts": 1.0, "data": frame.to_string()}).to_string()).collect();
    fs::write(&file, lines.join("\n")).expect("a temporary file");
    let text = fs::read_to_string(paths::root().join("deploy/actors").join(name).join("actor.toml")).expect("a file");
    let mut config: Table = text.parse().expect("TOML");
    let map = config["source"][0]["map"].clone();
    config.retain(|section, _| section == "limits");
    let source = BTreeMap::from([
        ("name", "feed".into()),
        ("kind", "replay".into()),
        ("file", file.display().to_string().into()),
        ("map", map),
    ]);
    config.insert("source".to_owned(), vec![source].into());
    (folder, toml::to_string(&config).expect("a table"))
}

/// The forms that the provider's documentation has: one post, a list, talk about the connection.
#[tokio::test]
async fn the_trackers_mapping_takes_each_form_of_its_provider() {
    let post = |id: &str, handle: &str| {
        json!({
            "id": id, "text": "gm", "createdAt": "Sat Mar 15 05:31:28 +0000 2025", "likeCount": 2, "retweetCount": 0, "replyCount": 1,
            "author": {"id": "1", "userName": handle, "name": "A Name"},
        })
    };
    let frames = [
        json!({"event_type": "connected", "timestamp": 1}),
        json!({"event_type": "tweet", "rule_id": "r", "tweets": [post("1956497529412931693", "Saylor"), post("1956497561898147871", "b_c")]}),
        json!({"event_type": "ping", "timestamp": 2}),
        json!({"event_type": "fast_tweet", "tweet": post("1956498427035922799", "d")}),
        post("1956498438356672658", "e"),
    ];
    let (_frames, config) = replayed(ACTORS[0], &frames);
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=posts.*&after=earliest").await;
    let first = client.until("event").await;
    assert_eq!((&first["topic"], &first["key"]), (&"posts.saylor".into(), &"saylor".into()));
    assert_eq!((&first["id"], &first["ts"]), (&"1956497529412931693".into(), &1_755_300_335_635_u64.into()));
    let right = json!({
        "id": "1956497529412931693", "author": "saylor", "handle": "Saylor", "name": "A Name", "text": "gm",
        "url": "https://x.com/Saylor/status/1956497529412931693", "likes": 2, "reposts": 0, "replies": 1,
    });
    assert_eq!(first["data"], right);
    for author in ["b_c", "d", "e"] {
        assert_eq!(client.until("event").await["data"]["author"], author);
    }
    let source = server.get("/sources").await.json()["sources"][0].clone();
    assert_eq!((&source["unmapped"], &source["ignored"]), (&0.into(), &2.into()), "{source}");
}
