//! `standpipe check`: whether a configuration is valid, and in short what it would run.

use std::{fmt::Write as _, path::Path};

use standpipe_upstream::Kind;

use crate::config::{self, Environment, Problems, Settings, Size};

/// Reads the configuration at `file`, and says in a few lines what it would run.
///
/// # Errors
/// All problems, if there is one.
pub fn check(file: &Path, environment: &Environment) -> Result<String, Problems> {
    config::load(file, environment).map(|settings| summary(file, &settings))
}

/// The problems as they are printed: a line that counts them, and one for each.
pub fn report(file: &Path, problems: &Problems) -> String {
    let count = problems.0.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    let mut out = format!("{}: {count} {noun}\n", file.display());
    for problem in &problems.0 {
        // The parts of a problem that has several lines stay together.
        let _ = writeln!(out, "  {}", problem.to_string().trim_end().replace('\n', "\n    "));
    }
    out
}

fn summary(file: &Path, settings: &Settings) -> String {
    let Settings { server, log, client, limits, drain, sources, .. } = settings;
    let mut out = format!("{}: valid\n", file.display());
    let mut line = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name:<9}{text}");
    };
    line("listen", server.listen.to_string());
    for source in sources {
        let mapped = if source.mapping.is_some() { ", mapped" } else { "" };
        line("source", format!("{}: {}{mapped}", source.name, origin(&source.kind)));
    }
    let (events, bytes) = (log.max_events, size(log.max_bytes));
    line("log", format!("{events} events, {bytes}, {:?}", log.max_age));
    let (count, subscriptions) = (limits.max_connections, limits.bounds.max_subscriptions);
    line(
        "clients",
        format!("up to {count}, {subscriptions} subscriptions each, {} waiting each", size(client.max_queue_bytes)),
    );
    line(
        "liveness",
        format!("a ping every {:?}, given up after {:?} without a receipt", client.ping_interval, client.pong_timeout),
    );
    line("memory", format!("{} planned with, {} threads", size(server.memory), server.workers));
    line("drain", format!("clients sent away over {:?}, ends after {:?}", drain.window, drain.deadline));
    out
}

fn origin(kind: &Kind) -> String {
    match kind {
        Kind::WebSocket(websocket) => websocket.url.to_string(),
        Kind::Replay(replay) => format!("replay of {}", replay.file.display()),
        Kind::Push(_) => "POST /publish".to_owned(),
    }
}

/// A size for people: whole units, rounded down.
fn size(bytes: usize) -> Size {
    let bytes = bytes as u64;
    Size(match bytes {
        0..1_000_000 => bytes,
        _ => bytes / 1_000_000 * 1_000_000,
    })
}
