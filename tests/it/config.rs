//! A configuration that is wrong: every problem at once, with its path, before anything is bound.

use std::{process::Command, time::Duration};

use standpipe_tests::{
    PATIENCE, Server,
    process::Process,
    server::{standpipe, write_config},
};
use tokio::net::TcpListener;

use crate::PUSH;

/// Runs the program to its end. Its exit code, and what it wrote to standard output and standard error.
pub(crate) async fn run(command: &mut Command) -> (i32, String, String) {
    let mut process = Process::start("standpipe", command);
    let code = process.exit_within(PATIENCE).await.code().expect("it ended by itself");
    (code, process.stdout().join("\n"), process.stderr().join("\n"))
}

async fn with_config(subcommand: &str, text: &str) -> (i32, String, String) {
    in_environment(subcommand, text, &[]).await
}

/// The same, with these variables in the environment.
pub(crate) async fn in_environment(
    subcommand: &str,
    text: &str,
    environment: &[(&str, &str)],
) -> (i32, String, String) {
    let (_folder, file) = write_config(text);
    run(standpipe().arg(subcommand).arg("--config").arg(file).envs(environment.iter().copied())).await
}

const WRONG: &str = r#"
[server]
listen = "nowhere"

[client]
pong_timeuot = "2s"
overflow = "explode"

[[source]]
name = "a"
kind = "websocket"
url = "https://example.com/feed"

[[source]]
name = "b"
kind = "push"
map = '''
{topic: "x",
 data: .a | }
'''
"#;

#[tokio::test]
async fn every_problem_is_told_with_its_path_and_nothing_is_bound() {
    for subcommand in ["serve", "check"] {
        let (code, out, err) = with_config(subcommand, WRONG).await;
        assert_eq!(code, 78, "{subcommand}: {err}");
        let told = format!("{out}\n{err}");
        for path in
            ["server.listen", "client.pong_timeuot", "pong_timeout", "client.overflow", "source.a.url", "source.b.map"]
        {
            assert!(told.contains(path), "{subcommand} names {path}:\n{told}");
        }
        assert!(!told.contains("listening on"), "{subcommand}: {told}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_compile_is_told_with_its_place() {
    let (code, _, err) =
        with_config("serve", &format!("{PUSH}map = '''\n{{topic: \"x\",\n data: frobnicate}}\n'''\n")).await;
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("source.in.map") && err.contains("line 2") && err.contains("frobnicate"), "{err}");
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    let (code, out, err) = with_config("serve", &format!("[server]\nlisten = \"{address}\"\n{PUSH}")).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&address) && err.to_lowercase().contains("in use"), "{err}");
    assert!(!out.contains("listening"), "{out}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told() {
    let (code, _, err) = run(standpipe().args(["serve", "--config", "/nowhere/standpipe.toml"])).await;
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("/nowhere/standpipe.toml"), "{err}");
}

#[tokio::test]
async fn check_says_what_a_valid_file_would_run_and_binds_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    let (code, out, err) = with_config("check", &format!("[server]\nlisten = \"{address}\"\n{PUSH}")).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("valid") && out.contains("in: "), "{out}");
}

#[tokio::test]
async fn variables_override_the_file_and_are_checked_like_it() {
    let (_folder, file) = write_config(&format!("[client]\nheartbeat = \"15s\"\n{PUSH}"));
    let serve = |variable: &str, value: &str| {
        let mut command = standpipe();
        command.arg("serve").arg("--config").arg(&file).env("STANDPIPE__SERVER__LISTEN", "127.0.0.1:0");
        command.env(variable, value);
        command
    };
    let (code, _, err) = run(&mut serve("STANDPIPE__CLIENT__HEARTBAET", "1s")).await;
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("STANDPIPE__CLIENT__HEARTBAET"), "{err}");

    let mut server = Process::start("standpipe", &mut serve("STANDPIPE__CLIENT__HEARTBEAT", "3s"));
    let listening = |line: &str| line.strip_prefix("listening on http://")?.parse().ok();
    let addr = server.line("the line with its address", PATIENCE, listening).await;
    let mut client = standpipe_tests::Socket::open(addr, "/ws").await;
    assert_eq!(client.message().await["heartbeat_interval_ms"], 3_000);
}

#[tokio::test]
async fn a_server_of_a_valid_file_ends_well_when_it_is_told_to() {
    let mut server = Server::start(PUSH).await;
    server.signal(standpipe_tests::process::Signal::INT);
    assert!(server.exit_within(Duration::from_secs(5)).await.success());
}
