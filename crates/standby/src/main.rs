//! The local Standby platform as a program: deploys one Actor, says where it is, and shows what its runs log.
//!
//! Until SIGINT or SIGTERM, with which all that it has started ends.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use standpipe_standby::{Actor, Memory, Platform, Pricing, Settings, Tenancy, Timing};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::{Receiver, error::RecvError},
};

/// Runs an Actor as Apify Standby does, on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask standby", about)]
struct Arguments {
    /// An Actor's folder, or a program.
    actor: PathBuf,
    /// The program's arguments, after `--`. `${NAME}` is a variable of the run. Of a folder: in place of what its Dockerfile says.
    #[arg(last = true, value_name = "ARGUMENTS")]
    words: Vec<String>,
    /// Whose the runs are.
    #[arg(long)]
    tenancy: Option<Shared>,
    /// When every run has more requests than this, another is started ahead.
    #[arg(long)]
    desired: Option<usize>,
    /// The most requests of a run. An open WebSocket is one.
    #[arg(long)]
    max: Option<usize>,
    /// After so many seconds without a request a run is finished.
    #[arg(long)]
    idle: Option<u64>,
    /// What a run is told that it has, in MiB.
    #[arg(long)]
    memory: Option<u32>,
    /// Have the system refuse a process more than that.
    #[arg(long)]
    limit_memory: bool,
    /// How many times as fast as the platform's all waiting is.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// What an event costs, such as `event-delivered=0.0003`.
    #[arg(long = "price", value_name = "EVENT=USD", value_parser = pair)]
    prices: Vec<(String, String)>,
    /// The most that a run may cost, in USD.
    #[arg(long)]
    cap: Option<String>,
    /// A JSON file that each run finds as its INPUT.
    #[arg(long)]
    input: Option<PathBuf>,
    /// A variable of the Actor's own.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// Somebody who may call.
    #[arg(long = "caller", value_name = "NAME", default_value = "developer")]
    callers: Vec<String>,
    /// Do not show what runs log.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shared {
    /// Each caller has runs of their own.
    Single,
    /// All callers share runs.
    Multi,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no `=`")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&mut io::stderr(), &format!("standby: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything is started: what is started has to be ended.
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (speed, quiet, callers) = (arguments.speed, arguments.quiet, arguments.callers.clone());
    let platform = Platform::start_with(Timing::PLATFORM.faster(speed)).await?;
    let deployment = platform.deploy(arguments.actor()?).await?;
    let mut out = io::stdout();
    tell(&mut out, &format!("state: {}", platform.api_base_url()));
    for name in callers {
        let token = platform.caller(&name)?;
        tell(&mut out, &invitation(&name, deployment.address(), &token));
    }
    let lines = platform.lines();
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        () = show(lines, quiet) => {}
    }
    platform.stop().await;
    Ok(())
}

/// How somebody calls the Actor.
fn invitation(name: &str, address: SocketAddr, token: &str) -> String {
    format!(
        "{name} calls http://{address}/ with token {token}\n  curl 'http://{address}/?token={token}'\n  \
         ws://{address}/?token={token}"
    )
}

async fn show(mut lines: Receiver<standpipe_standby::Line>, quiet: bool) {
    loop {
        match lines.recv().await {
            Ok(line) if !quiet => tell(&mut io::stderr(), &format!("{} {}", line.run, line.text)),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => tell(&mut io::stderr(), &format!("({missed} lines are not shown)")),
            // The platform holds the other end.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Whoever listened may be gone: then there is nobody to tell.
fn tell(out: &mut impl io::Write, text: &str) {
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl Arguments {
    fn actor(self) -> Result<Actor, Box<dyn std::error::Error>> {
        let mut actor = if self.actor.is_dir() {
            // The program of a folder runs in it, wherever this one does.
            Actor::of_folder(&std::path::absolute(&self.actor)?, &self.words)?
        } else {
            let name = self.actor.file_stem().unwrap_or_default().to_string_lossy();
            Actor {
                name: format!("local/{name}"),
                program: if self.actor.exists() { std::path::absolute(&self.actor)? } else { self.actor.clone() },
                arguments: self.words.into_iter().map(Into::into).collect(),
                folder: std::env::current_dir()?,
                environment: Vec::new(),
                pricing: Pricing::Other,
                max_total_charge_usd: None,
                input: None,
                settings: Settings::PLATFORM,
            }
        };
        actor.environment.extend(self.environment);
        actor.max_total_charge_usd = self.cap;
        if let Some(file) = self.input {
            let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
            let text = std::fs::read(&file).map_err(|error| unreadable(&error))?;
            actor.input = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        }
        if !self.prices.is_empty() {
            actor.pricing = Pricing::PerEvent(self.prices.into_iter().collect());
        }
        let settings = &mut actor.settings;
        settings.desired_requests = self.desired.unwrap_or(settings.desired_requests);
        settings.max_requests = self.max.unwrap_or(settings.max_requests);
        settings.idle_timeout = self.idle.map_or(settings.idle_timeout, Duration::from_secs);
        settings.memory_mbytes = self.memory.unwrap_or(settings.memory_mbytes);
        if self.limit_memory {
            settings.memory = Memory::Limited;
        }
        settings.tenancy = match self.tenancy {
            Some(Shared::Single) => Tenancy::Single,
            Some(Shared::Multi) => Tenancy::Multi,
            None => settings.tenancy,
        };
        if settings.max_requests < settings.desired_requests.max(1) {
            return Err("--max has to be at least --desired, and 1".into());
        }
        Ok(actor)
    }
}
