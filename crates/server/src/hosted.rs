//! A run of the platform: what it is told there, and what it says of itself.
//!
//! What is told is in [`events`]: the end, above all, 15 seconds before a signal says so. What is said is one line for whoever looks
//! at the run, when it has changed, and not more often than every [`STATUS_INTERVAL`]. Whatever of this fails is logged, and clients
//! are served all the same.

mod events;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use standpipe_apify::{Api, Env, Error, Last, Machine, Notice, PATIENCE};
use standpipe_liveness::Backoff;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{service::Standpipe, session::random};

/// How often what the run says of itself may change.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long the platform is asked for what cannot be done without. It waits longer for a server to be ready.
const INSISTENCE: Duration = Duration::from_secs(30);

/// What the platform has told of the run's machine, for whoever wants to know.
#[derive(Debug, Default)]
pub(crate) struct Told {
    machine: Mutex<Option<Machine>>,
    hears: AtomicBool,
}

/// See the file's description.
pub(crate) struct Hosted {
    env: Env,
    api: Api,
    told: Arc<Told>,
}

impl Told {
    /// Of a machine that was told.
    #[cfg(test)]
    pub(crate) fn of(machine: Machine) -> Self {
        Self { machine: Mutex::new(Some(machine)), ..Self::default() }
    }

    /// How the machine is. Nothing as long as that was not told.
    pub(crate) fn machine(&self) -> Option<Machine> {
        *self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run's events socket is open.
    pub(crate) fn hears(&self) -> bool {
        self.hears.load(Relaxed)
    }
}

/// The platform's API, for this run.
pub(crate) fn api(env: &Env, patience: Duration) -> anyhow::Result<Api> {
    let endpoint = env.endpoint(patience);
    let url = Url::parse(&endpoint.base_url).context("read `APIFY_API_BASE_URL`")?;
    Ok(Api::new(&endpoint, standpipe_client::dial::tls(None, &url)?)?)
}

/// Asks until the platform answers, or for [`INSISTENCE`].
pub(crate) async fn insist<T, F: Future<Output = Result<T, Error>>>(mut ask: impl FnMut() -> F) -> Result<T, Error> {
    let (begun, mut backoff) = (Instant::now(), Backoff::new());
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = backoff.failed(random().unwrap_or_default());
        if !error.may_pass() || begun.elapsed() + wait >= INSISTENCE {
            return Err(error);
        }
        tracing::warn!(%error, "the platform is asked again");
        sleep(wait).await;
    }
}

/// What the run was given as its input. Nothing is what most runs that callers are sent to have.
///
/// # Errors
/// The platform does not answer, or the input is no object.
pub(crate) async fn input(env: &Env) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let Some(store) = &env.store else { return Ok(serde_json::Map::new()) };
    let api = api(env, PATIENCE)?;
    match insist(|| api.record(store, &env.input_key)).await? {
        None => Ok(serde_json::Map::new()),
        Some(serde_json::Value::Object(input)) => Ok(input),
        Some(_) => bail!("the input of this run is no JSON object"),
    }
}

/// Says why the run ends before it has begun. Whoever looks at it may not look at its log.
pub(crate) async fn give_up(env: &Env, why: &str) {
    let said = async {
        let api = api(env, PATIENCE)?;
        anyhow::Ok(api.say(why, Last::Word).await?)
    };
    if let Err(error) = said.await {
        tracing::warn!(%error, "the run's status is not told");
    }
}

impl Hosted {
    /// For the run that `env` describes.
    ///
    /// # Errors
    /// No call can be made.
    pub(crate) fn new(env: Env) -> anyhow::Result<Self> {
        Ok(Self { api: api(&env, PATIENCE)?, env, told: Arc::default() })
    }

    /// What it was told.
    pub(crate) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// Follows what the run is told, and cancels `leave` when that is its end; says what it is doing, and whether the platform
    /// gives it room for `max_connections`.
    pub(crate) async fn attend(self, standpipe: Arc<Standpipe>, max_connections: usize, leave: CancellationToken) {
        tokio::join!(self.follow(&leave), self.keep_saying(&standpipe), self.look_at_slots(max_connections));
    }

    async fn follow(&self, leave: &CancellationToken) {
        let Some(address) = &self.env.events else {
            tracing::warn!("the environment names no events socket: the end of this run will be told by SIGTERM only");
            return;
        };
        let url = match Url::parse(address) {
            Ok(url) => url,
            Err(error) => {
                tracing::warn!(%error, "`ACTOR_EVENTS_WEBSOCKET_URL` is no address");
                return;
            }
        };
        events::follow(&url, &self.told.hears, |notice| match notice {
            Notice::Machine(machine) => {
                *self.told.machine.lock().unwrap_or_else(PoisonError::into_inner) = Some(machine);
            }
            // What is to be kept is on the disk already: the journal is written before anything is charged.
            Notice::Persist => {}
            Notice::Aborting => {
                tracing::info!("the platform ends this run");
                leave.cancel();
            }
            Notice::Migrating { left } => {
                tracing::info!(left_s = left.map(|left| left.as_secs()), "the platform moves this run");
                leave.cancel();
            }
        })
        .await;
    }

    /// Says what the run is doing, whenever that has changed.
    async fn keep_saying(&self, standpipe: &Standpipe) {
        let mut said = String::new();
        let mut ticks = interval(STATUS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (live, all) = standpipe.live_sources();
            let status = status(standpipe.sessions.registry.len(), live, all);
            if status == said {
                continue;
            }
            match self.api.say(&status, Last::No).await {
                Ok(()) => said = status,
                Err(error) => tracing::debug!(%error, "the run's status is not told"),
            }
        }
    }

    /// Warns if the platform sends this run fewer requests than the server has room for: an open socket is one.
    async fn look_at_slots(&self, max_connections: usize) {
        let Some(actor) = &self.env.actor else { return };
        match insist(|| self.api.slots(actor)).await {
            Ok(Some(slots)) if slots.max_requests_per_actor_run < max_connections => tracing::warn!(
                max_requests = slots.max_requests_per_actor_run,
                max_connections,
                "the platform lets a run have fewer requests than `limits.max_connections`, and an open socket is one: \
                 raise `actorStandby.maxRequestsPerActorRun`, and `desiredRequestsPerActorRun` with it"
            ),
            Ok(Some(slots)) => tracing::debug!(max_requests = slots.max_requests_per_actor_run, "room on the platform"),
            Ok(None) => {}
            // A run of somebody else may not be allowed to ask.
            Err(error) => tracing::info!(%error, "how many sockets the platform lets this run have is not known"),
        }
    }
}

fn status(clients: usize, live: usize, all: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let sources =
        if live == all { format!("{all} source{} live", plural(all)) } else { format!("{live} of {all} sources live") };
    format!("{clients} active client{}, {sources}", plural(clients))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_in_one_line_who_is_there() {
        for (numbers, said) in [
            ((37, 4, 4), "37 active clients, 4 sources live"),
            ((1, 1, 1), "1 active client, 1 source live"),
            ((0, 0, 1), "0 active clients, 0 of 1 sources live"),
        ] {
            assert_eq!(status(numbers.0, numbers.1, numbers.2), said);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_done_without_is_asked_for_again_and_not_for_ever() {
        let refused = |status| Error::Answered { what: "ask", status, message: String::new() };
        let (begun, mut asked) = (Instant::now(), 0);
        let told = insist(|| {
            asked += 1;
            let answer = if asked < 3 { Err(refused(503)) } else { Ok(asked) };
            async { answer }
        });
        assert_eq!(told.await.unwrap(), 3);
        assert!(insist::<(), _>(|| async { Err(refused(500)) }).await.is_err());
        assert!(begun.elapsed() < 2 * INSISTENCE);
        let mut asked = 0;
        let told = insist::<(), _>(|| {
            asked += 1;
            async { Err(refused(404)) }
        });
        assert!(told.await.is_err());
        assert_eq!(asked, 1, "what is refused for good is not asked for again");
    }
}
