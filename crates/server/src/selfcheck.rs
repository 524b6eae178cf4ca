//! A run of the platform that callers are not sent to: somebody has pressed "Start". It tries what would be served, reports what came
//! of that, says where the service is, and ends.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use standpipe_apify::{Api, Env, Last, PATIENCE};
use tokio::time::sleep;

use crate::{
    check::live::{self, Outcome},
    config::Settings,
    hosted::{self, insist},
    shutdown::Signals,
    terminal,
};

/// How long the sources are listened to. Within it, each has had the time for an attempt to connect that fails.
const LISTENING: Duration = Duration::from_secs(20);

/// How many rows are put into the dataset in one call.
const ROWS: usize = 500;

/// Tries the sources, and reports to the run's dataset, its status message, and standard output.
///
/// # Errors
/// The sources cannot be started, or the report reaches nobody.
pub(crate) async fn run(settings: Settings, env: &Env) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("take over SIGTERM and SIGINT")?;
    let api = hosted::api(env, PATIENCE)?;
    say(&format!("this is not a run that callers are sent to: its sources are tried for {} s\n", LISTENING.as_secs()));
    let outcomes = live::listen(settings.sources, async {
        tokio::select! {
            () = sleep(LISTENING) => {}
            signal = signals.next() => tracing::info!(signal, "the trial ends before its time"),
        }
    })
    .await?;
    for outcome in &outcomes {
        say(&outcome.text("", terminal::columns()));
    }
    let is_right = outcomes.iter().all(Outcome::is_right);
    let verdict = verdict(&outcomes, env.standby_url.as_deref());
    say(&format!("{verdict}\n"));
    report(&api, env, &outcomes).await?;
    insist(|| api.say(&verdict, Last::Word)).await?;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of it, in a line.
fn verdict(outcomes: &[Outcome], service: Option<&str>) -> String {
    let tried = outcomes.iter().filter(|outcome| outcome.is_tried()).count();
    let events: u64 = outcomes.iter().map(Outcome::events).sum();
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_right()).map(Outcome::name).collect();
    let faults = if wrong.is_empty() { "no faults".to_owned() } else { format!("faults in {}", wrong.join(", ")) };
    let callers = service.map(|url| format!(". Callers connect to {url}")).unwrap_or_default();
    format!(
        "{tried} of {} sources tried for {} s: {events} events, {faults}{callers}",
        outcomes.len(),
        LISTENING.as_secs()
    )
}

async fn report(api: &Api, env: &Env, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let Some(dataset) = &env.dataset else {
        tracing::warn!("the environment names no dataset: the report is in this log only");
        return Ok(());
    };
    let rows: Vec<_> = outcomes.iter().flat_map(Outcome::rows).collect();
    for rows in rows.chunks(ROWS) {
        insist(|| api.push(dataset, rows)).await?;
    }
    Ok(())
}

fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // Whoever started the run may not be reading; the dataset has it, too.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
