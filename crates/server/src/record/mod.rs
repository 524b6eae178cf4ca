//! `standpipe record`: what a feed sends, into a file that `replay` plays.
//!
//! This module decides what is recorded, for how long, and what is told meanwhile. The file's form is in [`sheet`];
//! connecting, and connecting again, is the collector's.

mod sheet;

use std::{
    io::Write as _,
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use standpipe_protocol::{SourceNews, SourceState, SourceTurn, refusal::did_you_mean};
use standpipe_upstream::{Kind, SourceConfig, Tape};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::sheet::{Feed, Sheet};
use crate::{
    check,
    config::{self, Environment, Problems},
    shutdown::Signals,
    terminal::text::harmless,
};

/// What a source is called that stands in no configuration.
const UNNAMED: &str = "recorded";

/// How much of a recording is lost if the machine goes down, at most.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// How long the source may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Changes of the source that wait to be told.
const CHANGES: usize = 16;

/// The arguments of `standpipe record`.
#[derive(Debug, Clone, clap::Args)]
pub struct Record {
    /// The feed: ws(s):// for a WebSocket, http(s):// for server-sent events, or with --every for a resource that is polled
    #[arg(value_name = "URL", required_unless_present = "source", conflicts_with_all = ["source", "config"])]
    pub url: Option<String>,
    /// The source of this name in the configuration
    #[arg(long, value_name = "NAME", requires = "config")]
    pub source: Option<String>,
    /// TOML, YAML or JSON, as the extension says
    #[arg(long, value_name = "FILE", requires = "source")]
    pub config: Option<PathBuf>,
    /// A text frame to send to the WebSocket at URL after connecting. Repeatable
    #[arg(long, value_name = "TEXT", requires = "url")]
    pub send: Vec<String>,
    /// Poll URL, so long from one request to the next, such as 2s
    #[arg(long, value_name = "DURATION", requires = "url")]
    pub every: Option<String>,
    /// Where the recording goes, compressed if it ends in .gz. A file that is there is not written over
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// End after so many seconds; without any bound, with Ctrl-C
    #[arg(long, value_name = "N")]
    pub seconds: Option<NonZeroU64>,
    /// End after so many frames
    #[arg(long, value_name = "N")]
    pub frames: Option<NonZeroU64>,
}

/// A source to record, and the frames that it sends as they are written down: without the values of variables.
struct Chosen {
    config: SourceConfig,
    sends: Vec<String>,
}

/// Records until a bound is reached or a signal comes.
///
/// # Errors
/// There is no such source, or the file cannot be written.
pub async fn run(args: Record, environment: &Environment) -> anyhow::Result<ExitCode> {
    let Chosen { config, sends } = chosen(&args, environment)?;
    if let Kind::Push(_) | Kind::Replay(_) = config.kind {
        bail!("a source of kind `{}` has no feed that could be recorded", config.kind.as_str());
    }
    let mut signals = Signals::listen().context("take over SIGTERM and SIGINT")?;
    let shown = args.out.display();
    let failed = || format!("cannot write {shown}");
    let feed = Feed { source: config.name.to_string(), kind: config.kind.as_str(), address: address(&config), sends };
    let mut sheet = Sheet::create(&args.out, feed).with_context(failed)?;

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (changes, mut changed) = mpsc::channel(CHANGES);
    let mut tape = Tape::start(&config, &changes, &tasks, &stop).context("start the source")?;
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.get()));
    let over = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut flush = interval(FLUSH_INTERVAL);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let recorded = loop {
        tokio::select! {
            // The ends first: a feed that never pauses would keep them waiting; then what is told, which is little.
            biased;
            _ = signals.next() => break Ok(()),
            () = &mut over => break Ok(()),
            Some(change) = changed.recv() => tell(&change, &tape),
            _ = flush.tick() => if let Err(error) = sheet.flush() { break Err(error) },
            taken = tape.next() => {
                let Some(taken) = taken else { break Ok(()) };
                if let Err(error) = sheet.frame(&taken) {
                    break Err(error);
                }
                if args.frames.is_some_and(|most| sheet.frames() >= most.get()) {
                    break Ok(());
                }
            }
        }
    };
    stop.cancel();
    tasks.close();
    // It has had its time: what it holds is not waited for.
    let _ = timeout(FAREWELL, tasks.wait()).await;
    let (frames, bytes) = (sheet.frames(), sheet.bytes());
    recorded.and_then(|()| sheet.finish()).with_context(failed)?;
    note(&format!("{frames} frames of {bytes} bytes are in {shown}"));
    Ok(if frames > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(args: &Record, environment: &Environment) -> anyhow::Result<Chosen> {
    if let (Some(file), Some(name)) = (&args.config, &args.source) {
        return of_file(file, name, environment);
    }
    let url = args.url.as_deref().ok_or_else(|| anyhow!("name a URL, or a source of a configuration"))?;
    let text = configuration(url, &args.send, args.every.as_deref())?;
    let parsed = config::parse_toml(&text, environment);
    let mut settings = parsed.map_err(|problems| wrong(Path::new("the arguments"), &problems))?;
    let config = settings.sources.pop().ok_or_else(|| anyhow!("there is no source"))?;
    Ok(Chosen { config, sends: args.send.clone() })
}

fn of_file(file: &Path, name: &str, environment: &Environment) -> anyhow::Result<Chosen> {
    let mut settings = config::load(file, environment).map_err(|problems| wrong(file, &problems))?;
    let Some(at) = settings.sources.iter().position(|source| *source.name == *name) else {
        let near = did_you_mean(name, settings.sources.iter().map(|source| &*source.name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("{} has no source `{name}`{hint}", file.display());
    };
    let sends = config::written_sends(file, environment, name);
    Ok(Chosen { config: settings.sources.swap_remove(at), sends })
}

/// What is wrong with what was said in `place`.
fn wrong(place: &Path, problems: &Problems) -> anyhow::Error {
    anyhow!("{}", check::report(place, problems).trim_end().to_owned())
}

/// A configuration with one source at `url`: what is not said has the defaults that it has in a file.
fn configuration(url: &str, sends: &[String], every: Option<&str>) -> anyhow::Result<String> {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    let kind = match (is_web, every) {
        (true, Some(_)) => "http_poll",
        (true, None) => "sse",
        (false, _) => "websocket",
    };
    // Texts and lists of texts are written in TOML as in JSON.
    let mut lines = vec!["[[source]]".to_owned(), format!("name = \"{UNNAMED}\""), format!("kind = \"{kind}\"")];
    lines.push(format!("url = {}", serde_json::to_string(url)?));
    if let Some(every) = every {
        lines.push(format!("every = {}", serde_json::to_string(every)?));
    }
    if !sends.is_empty() {
        lines.push(format!("send = {}", serde_json::to_string(sends)?));
    }
    Ok(lines.join("\n"))
}

/// Where the feed is, without credentials and query.
fn address(config: &SourceConfig) -> Option<String> {
    match &config.kind {
        Kind::WebSocket(websocket) => Some(websocket.url.to_string()),
        Kind::Sse(sse) => Some(sse.http.url.to_string()),
        Kind::HttpPoll(poll) => Some(poll.http.url.to_string()),
        Kind::Exec(_) | Kind::Replay(_) | Kind::Push(_) | Kind::Own(_) => None,
    }
}

/// What happens to the source, on standard error.
fn tell(news: &SourceNews, tape: &Tape) {
    // A gap is one of a mapping's numbers, and nothing is mapped here.
    let SourceTurn::State(state) = news.turn else { return };
    let why = match (state, tape.status().last_error) {
        (SourceState::Down, Some(fault)) => format!(": {}", fault.message),
        _ => String::new(),
    };
    note(&format!("source {} is {}{why}", news.source, state.as_str()));
}

fn note(text: &str) {
    // There is nowhere left to say that this could not be said.
    let _ = writeln!(std::io::stderr(), "standpipe: {}", harmless(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, sends: &[&str], every: Option<&str>) -> anyhow::Result<Chosen> {
        let args = Record {
            url: Some(url.to_owned()),
            source: None,
            config: None,
            send: sends.iter().map(|text| (*text).to_owned()).collect(),
            every: every.map(str::to_owned),
            out: PathBuf::new(),
            seconds: None,
            frames: None,
        };
        chosen(&args, &Environment::from_iter([("KEY", "hunter2")]))
    }

    #[test]
    fn a_url_and_a_few_words_are_a_source() {
        for (url, every, kind) in [
            ("wss://feed.example/v1?a=b", None, "websocket"),
            ("https://feed.example/stream", None, "sse"),
            ("http://feed.example/page", Some("2s"), "http_poll"),
        ] {
            assert_eq!(of(url, &[], every).unwrap().config.kind.as_str(), kind);
        }
        let chosen = of("wss://feed.example/", &[r#"{"key":"${KEY}","quote":"\""}"#], None).unwrap();
        let Kind::WebSocket(websocket) = &chosen.config.kind else { panic!("{:?}", chosen.config) };
        assert_eq!(websocket.send, [r#"{"key":"hunter2","quote":"\""}"#]);
        assert_eq!(chosen.sends, [r#"{"key":"${KEY}","quote":"\""}"#], "as written down: without the secret");
    }

    #[test]
    fn what_is_wrong_with_it_is_told() {
        for (url, every, told) in [
            ("ftp://feed.example", None, "`ws://` or `wss://`"),
            ("https://feed.example", Some("1ms"), "not asked more often"),
            ("https://feed.example", Some("soon"), "every"),
        ] {
            let error = of(url, &[], every).err().unwrap().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
