//! The life of a run: started, asked whether it is ready, restarted if it crashes, and ended.
//!
//! ```text
//!          crash, ≤ 3 in a minute
//!        ┌───────────────────────┐
//!        ▼                       │
//!    Starting ──an answer──▶ Ready ──idle, replaced, aborted──▶ Ending ──▶ Ended
//!        └────── no answer for `start`, or its own end ────────────────────▲
//! ```
//!
//! Who goes there is decided in `fleet`; what is said to callers meanwhile, in `proxy`.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Timing,
    actor::OnCrash,
    container::{self, Container},
    date,
    deployment::Shared,
    hosted::{Ending, How, News, Order, Phase, Purpose},
    log::Log,
    probe,
    usage::Usage,
};

/// One run, until it has ended.
pub(crate) struct Life {
    pub(crate) host: Arc<Shared>,
    pub(crate) purpose: Purpose,
    pub(crate) run: String,
    pub(crate) log: Log,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) phase: watch::Sender<Phase>,
}

/// What ends a run that serves.
enum Happened {
    Stopped,
    Ordered(Order),
    Exited(String, bool),
    Deaf,
    Idle,
}

/// How a wait for a process that was told to end came to its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// The process has ended.
    Gone,
    /// It has not, and the time is over.
    Late,
    /// Nothing more is waited for.
    Forced,
}

impl Life {
    /// Lives it.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let ending = self.live(&stop).await;
        self.log.say(&format!("the run has ended: {} ({})", ending.how.word(), ending.message));
        self.host.ended(&self.run, &ending);
        self.phase.send_replace(Phase::Ended(ending));
    }

    async fn live(&mut self, stop: &CancellationToken) -> Ending {
        let mut crashes = Crashes::default();
        loop {
            let started = container::free_port().and_then(|address| {
                let variables = self.host.variables(&self.run, address);
                let container = Container::start(&self.host.actor, variables, &self.log, &self.host.tasks, stop)?;
                Ok((address, container))
            });
            let (address, mut container) = match started {
                Ok(started) => started,
                Err(error) => {
                    return Ending { how: How::Unstartable, message: format!("it cannot be started: {error}") };
                }
            };
            self.host.began(&self.run, container.group());
            let happened = self.until_something_happens(&mut container, address, stop).await;
            let end = |how, message: &str| Ending { how, message: message.to_owned() };
            let ending = match happened {
                Happened::Exited(status, false)
                    if self.purpose == Purpose::Serve
                        && self.host.actor.settings.on_crash == OnCrash::Restart
                        && crashes.may_restart(Instant::now(), self.host.timing.restart_window) =>
                {
                    self.log.say(&format!("the process has ended ({status}) and is started again"));
                    self.host.restarted(&self.run);
                    self.phase.send_replace(Phase::Starting);
                    continue;
                }
                Happened::Exited(status, is_success) => end(
                    if is_success { How::Succeeded } else { How::Failed },
                    &format!("the process has ended: {status}"),
                ),
                Happened::Deaf => end(How::Deaf, "nothing answered on the port that it was given"),
                Happened::Stopped | Happened::Ordered(Order::Abort) => end(How::Aborted, "it was aborted"),
                Happened::Ordered(Order::AbortGracefully) => {
                    self.log.say("the run is aborted, gracefully");
                    self.warn("ABORTING");
                    self.wait(&mut container, self.host.timing.abort_grace, stop).await;
                    end(How::Aborted, "it was aborted")
                }
                Happened::Ordered(Order::Finish(why)) => self.finish(&mut container, why, stop).await,
                Happened::Idle => {
                    let why = "Actor Standby server was idle for too long, finishing run.";
                    self.finish(&mut container, why, stop).await
                }
            };
            container.end().await;
            return ending;
        }
    }

    /// Waits until the run has to end, or has ended.
    async fn until_something_happens(
        &mut self,
        container: &mut Container,
        address: SocketAddr,
        stop: &CancellationToken,
    ) -> Happened {
        let Self { host, purpose, run, log, orders, phase } = self;
        let group = container.group();
        let attended = async {
            match purpose {
                Purpose::Serve => attend(host, run, log, phase, address).await,
                // Nobody asks whether it is ready: it serves nobody.
                Purpose::Once => std::future::pending().await,
            }
        };
        // Whoever stops all of it goes first, then who wants this end; of a process that has ended nothing more is asked.
        tokio::select! {
            biased;
            () = stop.cancelled() => Happened::Stopped,
            Some(order) = orders.recv() => Happened::Ordered(order),
            exited = container.wait() => match exited {
                Ok(status) => Happened::Exited(status.to_string(), status.success()),
                Err(error) => Happened::Exited(error.to_string(), false),
            },
            happened = attended => happened,
            never = measure(host, run, group) => match never {},
        }
    }

    /// Ends it as the platform ends a run that it has no use for: whatever the process makes of it, it has succeeded.
    async fn finish(&mut self, container: &mut Container, why: &str, stop: &CancellationToken) -> Ending {
        self.log.say(why);
        self.warn("RUNNING");
        let Timing { warning, grace, .. } = self.host.timing;
        let mut waited = self.wait(container, warning, stop).await;
        if waited == Waited::Late {
            self.log.say("SIGTERM");
            container.terminate();
            waited = self.wait(container, grace, stop).await;
        }
        if waited == Waited::Late {
            self.log.say("SIGKILL");
        }
        let how = if waited == Waited::Forced { How::Aborted } else { How::Succeeded };
        Ending { how, message: why.to_owned() }
    }

    /// It gets no further requests, and is told that it will end.
    fn warn(&self, status: &'static str) {
        self.host.retired(&self.run, status);
        self.phase.send_replace(Phase::Ending);
        self.host.tell(&self.run, "aborting", &json!({}));
        self.host.tell(&self.run, "persistState", &json!({ "isMigrating": false }));
    }

    async fn wait(&mut self, container: &mut Container, time: Duration, stop: &CancellationToken) -> Waited {
        let late = sleep(time);
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Waited::Forced,
                Some(order) = self.orders.recv() => {
                    if order == Order::Abort {
                        return Waited::Forced;
                    }
                }
                _ = container.wait() => return Waited::Gone,
                () = &mut late => return Waited::Late,
            }
        }
    }
}

/// Asks until it is ready, and again when it is doubted; then waits until it has been idle for too long.
async fn attend(host: &Shared, run: &str, log: &Log, phase: &watch::Sender<Phase>, address: SocketAddr) -> Happened {
    let mut changes = host.changes.subscribe();
    let doubt = host.doubt(run);
    loop {
        if timeout(host.timing.start, probe::until_ready(address, &host.timing)).await.is_err() {
            return Happened::Deaf;
        }
        log.say(&format!("the Actor's server is ready on port {}", address.port()));
        host.ready(run);
        phase.send_replace(Phase::Ready(address));
        loop {
            changes.mark_unchanged();
            if host.expire(run) {
                return Happened::Idle;
            }
            let expires_at = host.expires_at(run);
            tokio::select! {
                biased;
                () = doubt.notified() => break,
                _ = changes.changed() => {}
                () = until(expires_at) => {}
            }
        }
        host.unready(run);
        phase.send_replace(Phase::Starting);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Tells the run what it takes of the machine.
async fn measure(host: &Shared, run: &str, group: Option<i32>) -> Infallible {
    let mut usage = Usage::default();
    let interval = host.timing.system_info;
    loop {
        sleep(interval).await;
        let Some(group) = group else { continue };
        let info = usage.sample(group, interval.as_secs_f64(), host.actor.settings.memory_mbytes, &date::now());
        host.measured(run, usage.memory);
        host.tell(run, "systemInfo", &info);
    }
}

/// When it crashed, as far back as it counts.
#[derive(Debug, Default)]
struct Crashes(VecDeque<Instant>);

impl Crashes {
    /// Whether there were few enough within `window` that the run is restarted.
    fn may_restart(&mut self, now: Instant, window: Duration) -> bool {
        self.0.retain(|at| now < *at + window);
        let may = self.0.len() < Timing::MAX_RESTARTS;
        if may {
            self.0.push_back(now);
        }
        may
    }
}

impl News {
    /// A frame, as the platform writes them.
    pub(crate) fn of(name: &str, data: &serde_json::Value) -> Self {
        Self::Frame(json!({ "name": name, "createdAt": date::now(), "data": data }).to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_restarted_three_times_a_minute_and_no_more() {
        let (mut crashes, start) = (Crashes::default(), Instant::now());
        let mut at = |second| crashes.may_restart(start + Duration::from_secs(second), Duration::from_secs(60));
        assert_eq!([0, 1, 2, 3, 59].map(&mut at), [true, true, true, false, false]);
        assert_eq!([60, 61, 61].map(&mut at), [true, true, false]);
    }
}
