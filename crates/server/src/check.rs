//! `standpipe check`: whether a configuration is valid, and in short what it would run; or, with `--against`, what its
//! sources make of a recording ([`against`]); or, with `--live`, what they bring ([`live`]).

mod against;
pub(crate) mod live;
mod outcome;
mod topics;

use std::{
    fmt::Write as _,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use standpipe_protocol::refusal::did_you_mean;
use standpipe_upstream::{Kind, SourceConfig};

use self::outcome::Outcome;
use crate::config::{self, Environment, Problems, Settings, Sink, Size, show_duration};
use crate::terminal;

/// The arguments of `standpipe check`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("trial").args(["against", "live"]))]
pub struct Check {
    /// TOML, YAML or JSON, as the extension says
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Run the mappings over this recording, without any network: events by topic, frames that gave none, faults, times
    #[arg(long, value_name = "RECORDING")]
    pub against: Option<PathBuf>,
    /// Connect to the sources for so many seconds: events by topic, faults
    #[arg(long, value_name = "N", conflicts_with = "against")]
    pub live: Option<NonZeroU64>,
    /// Only the source of this name
    #[arg(long, value_name = "NAME", requires = "trial")]
    pub source: Option<String>,
    /// One line of JSON for each source
    #[arg(long, requires = "trial")]
    pub json: bool,
}

/// What was found of a configuration that is valid.
#[derive(Debug)]
pub struct Checked {
    /// It, as it is printed.
    pub text: String,
    /// Whether all is as it should be.
    pub is_right: bool,
}

/// Checks what `args` say.
///
/// # Errors
/// The recording cannot be read, or there is no source of that name. Within: all problems of the configuration.
pub async fn run(args: &Check, environment: &Environment) -> anyhow::Result<Result<Checked, Problems>> {
    let settings = match config::load(&args.config, environment) {
        Ok(settings) => settings,
        Err(problems) => return Ok(Err(problems)),
    };
    if args.against.is_none() && args.live.is_none() {
        return Ok(Ok(Checked { text: summary(&args.config, &settings), is_right: true }));
    }
    let tried = chosen(settings.sources, args.source.as_deref())?;
    let (outcomes, of_what) = match (&args.against, args.live) {
        (Some(recording), _) => (against::against(&tried, recording)?, format!("on {}", recording.display())),
        (None, seconds) => (live::listen(tried, over(seconds)).await?, String::new()),
    };
    let text = |outcome: &Outcome| {
        if args.json { outcome.json() } else { outcome.text(&of_what, terminal::columns()) }
    };
    Ok(Ok(Checked {
        text: outcomes.iter().map(text).collect(),
        // Of each source, because another one's mapping proves nothing of it.
        is_right: outcomes.iter().all(Outcome::is_right),
    }))
}

/// The sources that are tried: all, or the one that is named.
fn chosen(sources: Vec<SourceConfig>, named: Option<&str>) -> anyhow::Result<Vec<SourceConfig>> {
    let Some(name) = named else { return Ok(sources) };
    let near = did_you_mean(name, sources.iter().map(|source| &*source.name));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let found = sources.into_iter().find(|source| *source.name == *name);
    Ok(vec![found.ok_or_else(|| anyhow!("the configuration has no source `{name}`{hint}"))?])
}

/// The end of a trial: its time is over, or somebody has seen enough.
async fn over(seconds: Option<NonZeroU64>) {
    let time = seconds.map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.get()));
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        // Where Ctrl-C cannot be heard, it ends the process.
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
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
    let Settings { server, log, snapshot, client, limits, drain, auth, sources, .. } = settings;
    let mut out = format!("{}: valid\n", file.display());
    let mut line = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name:<10}{text}");
    };
    line("listen", server.listen.to_string());
    for source in sources {
        let mapped = if source.mapping.is_some() { ", mapped" } else { "" };
        let group = source.group.as_ref().map_or_else(String::new, |group| format!(", of group {group}"));
        line("source", format!("{}: {}{mapped}{group}", source.name, origin(&source.kind)));
    }
    let (events, bytes, age) = (log.max_events, size(log.max_bytes), show_duration(log.max_age));
    line("log", format!("up to {events} events, {bytes}, {age}"));
    line("snapshot", format!("up to {} keys, {}", snapshot.max_keys, size(snapshot.max_bytes)));
    let (count, subscriptions) = (settings.entry.guests.max_connections, limits.bounds.max_subscriptions);
    line(
        "clients",
        format!(
            "up to {count}, of each {subscriptions} subscriptions and {} waiting",
            size(client.each.max_queue_bytes)
        ),
    );
    line("queues", format!("up to {} in all that the log does not hold", size(client.max_queue_bytes_total)));
    line("auth", auth.summary());
    let (ping, patience) = (show_duration(client.each.ping_interval), show_duration(client.each.pong_timeout));
    line("liveness", format!("a ping every {ping}, gone after {patience} without a receipt"));
    line("memory", format!("{} for log, queues and snapshots; {} threads", size(server.memory), server.workers));
    if let Some(billing) = &settings.billing {
        let cap = billing.cap.map_or_else(String::new, |cap| format!(", up to ${cap}"));
        let sink = match &billing.sink {
            Sink::File { path, run, .. } => format!("charges of `{run}` to {}", path.display()),
            Sink::Apify(platform) => format!("charges of `{}` by the platform", platform.env.run),
        };
        line("billing", format!("{sink}{cap}"));
    }
    let (window, deadline) = (show_duration(drain.window), show_duration(drain.deadline));
    line("drain", format!("clients are sent away over {window}, the end after {deadline}"));
    if let Some(doubt) = settings.doubts() {
        line("doubt", doubt.to_string());
    }
    out
}

fn origin(kind: &Kind) -> String {
    match kind {
        Kind::WebSocket(websocket) => websocket.url.to_string(),
        Kind::Sse(sse) => sse.http.url.to_string(),
        Kind::HttpPoll(poll) => format!("{} every {}", poll.http.url, show_duration(poll.every)),
        Kind::Exec(exec) => format!("the program {}", exec.program.display()),
        Kind::Replay(replay) => format!("replay of {}", replay.file.display()),
        Kind::Push(_) => "POST /publish".to_owned(),
        Kind::Own(own) => format!("a {} of this program's own", own.word),
    }
}

/// A size for people: as it would be written, where that is exact, else in whole MiB.
fn size(bytes: usize) -> Size {
    const MIB: u64 = 1 << 20;
    let bytes = bytes as u64;
    let exact = bytes < MIB || bytes.is_multiple_of(MIB) || bytes.is_multiple_of(1_000_000);
    Size(if exact { bytes } else { bytes / MIB * MIB })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_valid_file_is_told_in_short_and_without_secrets() {
        let text = r#"
            [server]
            memory = "512MiB"
            workers = 2
            [[source]]
            name = "feed"
            kind = "websocket"
            url = "wss://me:hunter2@feed.example/v1?key=hunter3"
            map = "."
            [[source]]
            name = "in"
            kind = "push"
        "#;
        let settings = config::parse_toml(text, &Environment::default()).unwrap();
        expect![[r"
            a.toml: valid
              listen    127.0.0.1:8080
              source    feed: wss://feed.example/v1, mapped
              source    in: POST /publish
              log       up to 1000000 events, 256MiB, 15m
              snapshot  up to 100000 keys, 64MiB
              clients   up to 15000, of each 128 subscriptions and 1MB waiting
              queues    up to 128MiB in all that the log does not hold
              auth      nobody is asked for a credential
              liveness  a ping every 25s, gone after 20s without a receipt
              memory    512MiB for log, queues and snapshots; 2 threads
              drain     clients are sent away over 8s, the end after 14s
        "]]
        .assert_eq(&summary(Path::new("a.toml"), &settings));
    }

    #[test]
    fn a_file_that_is_not_valid_is_told_with_all_its_problems() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        std::fs::write(&file, "[client]\npings = 1\n[drain]\nwindow = \"20s\"\n[[source]]\nkind = \"push\"\n").unwrap();
        let problems = config::load(&file, &Environment::default()).unwrap_err();
        expect![[r"
            a.toml: 3 problems
              `client.pings`: there is no such key; there are max_queue_bytes, max_queue_bytes_total, max_queue_age, max_unconfirmed_bytes, max_unconfirmed_frames, max_frame, ping_interval, pong_timeout, heartbeat, receipt_interval, resume_within, first_step, idle, write_timeout, flush_interval, confirm, overflow
              `source[0].name`: it is missing; needed is a text
              `drain.window`: 20s is not shorter than `drain.deadline`, 14s; clients that are sent away last need time to read it
        "]].assert_eq(&report(Path::new("a.toml"), &problems));
        std::fs::write(&file, "[client\n").unwrap();
        let problems = config::load(&file, &Environment::default()).unwrap_err();
        assert!(report(&file, &problems).lines().skip(1).all(|line| line.starts_with("  ")), "{problems}");
    }
}
