//! What `standpipe` does when it is called: one command, to its end.
//!
//! A program that brings kinds of source of its own calls [`run`], and is `standpipe` otherwise.

use std::{io::Write as _, net::SocketAddr, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use standpipe_apify::Mode;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Kinds,
    args::{Args, Command},
    check::{self, Checked},
    config::{self, Environment},
    demo, hosted, key, panics, record, selfcheck, tail, telemetry, wiring,
};

/// The configuration is not valid (`EX_CONFIG` of `sysexits.h`).
const BAD_CONFIGURATION: u8 = 78;

/// Does what the arguments of the process ask for. Configurations may name `kinds` besides the server's own.
pub fn run(kinds: Kinds) -> ExitCode {
    let environment = Environment::of_process().with_kinds(kinds);
    let ended = match Args::parse().command {
        Command::Serve { config } => serve(&config, environment),
        Command::Check(args) => check_only(&args, &environment),
        Command::Demo { listen } => show(listen),
        Command::Key { name } => make_key(&name),
        Command::Record(args) => with_runtime(1, record::run(*args, &environment)),
        Command::Tail(args) => with_runtime(1, tail::run(*args)),
    };
    ended.unwrap_or_else(|error| {
        complain(&format!("standpipe: {error:#}\n"));
        ExitCode::FAILURE
    })
}

/// `standpipe serve`: the real thing. In a run of the platform that callers are not sent to, its sources are tried instead.
fn serve(file: &Path, environment: Environment) -> anyhow::Result<ExitCode> {
    start_telemetry()?;
    let run = environment.run();
    let environment = match &run {
        Some(run) if config::takes_input(file) => {
            environment.with_input(with_runtime(1, hosted::input(run)).context("ask for the input of this run")?)
        }
        _ => environment,
    };
    let settings = match config::load(file, &environment) {
        Ok(settings) => settings,
        Err(problems) => {
            let report = check::report(file, &problems);
            complain(&report);
            if let Some(run) = &run {
                with_runtime(1, async {
                    hosted::give_up(run, &report).await;
                    Ok(())
                })?;
            }
            return Ok(ExitCode::from(BAD_CONFIGURATION));
        }
    };
    match run {
        Some(run) if environment.mode() == Mode::Once => with_runtime(1, selfcheck::run(settings, &run)),
        _ => with_runtime(settings.server.workers.get(), async {
            wiring::run(settings, listening).await.map(|()| ExitCode::SUCCESS)
        }),
    }
}

/// `standpipe check`: says what `serve` would say, or what its sources make of a recording, and binds nothing.
fn check_only(args: &check::Check, environment: &Environment) -> anyhow::Result<ExitCode> {
    match with_runtime(1, check::run(args, environment))? {
        Ok(Checked { text, is_right }) => {
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(problems) => {
            complain(&check::report(&args.config, &problems));
            Ok(ExitCode::from(BAD_CONFIGURATION))
        }
    }
}

/// `standpipe key`: says a new key, once.
fn make_key(name: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(key::make(name)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// `standpipe demo`: the same server, with an exchange of its own.
fn show(listen: Option<SocketAddr>) -> anyhow::Result<ExitCode> {
    start_telemetry()?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    with_runtime(workers, async {
        let (exchange, stop) = (TaskTracker::new(), CancellationToken::new());
        let settings = demo::start(listen, &exchange, stop.clone()).await?;
        let ended = wiring::run(settings, |address| format!("{}\n{}", listening(address), demo::banner(address))).await;
        stop.cancel();
        exchange.close();
        exchange.wait().await;
        ended.map(|()| ExitCode::SUCCESS)
    })
}

/// The first line of standard output: programs read the port from it.
fn listening(address: SocketAddr) -> String {
    format!("listening on http://{address}\n")
}

fn start_telemetry() -> anyhow::Result<()> {
    telemetry::start()?;
    panics::count_panics();
    Ok(())
}

fn with_runtime<T>(workers: usize, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(work)
}

fn complain(text: &str) {
    // There is nowhere left to say that this could not be said.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
