//! The life of one source: attempt after attempt, until the server stops.
//!
//! This file decides when an attempt is made, what its end means, and what is told of it: each change of state goes to
//! the log and to whoever listens for changes. It never ends the process, and ends itself only when told to.
//!
//! ```text
//! attempt ──failed, lost──▶ backoff ──▶ attempt
//!    │  └─── unplayable ──▶ idle (down)
//!    └────── finished ────▶ idle (as it was)
//! ```

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use standpipe_liveness::{Backoff, Freshness};
use standpipe_protocol::SourceState;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    pulse::Pulse,
    source::{Door, End, Source},
    status::Status,
    stream::Stream,
};

/// How long a source may take to end after it was told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// What looks after one source.
pub(crate) struct Supervisor {
    pub source: Box<dyn Source>,
    pub door: Door,
    pub watch: Watch,
}

impl Supervisor {
    /// Runs the source until `stop`.
    pub(crate) async fn supervise(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new();
        loop {
            let end = self.attempt(&stop).await;
            if self.watch.has_data() {
                backoff.reset();
            }
            let error = match end {
                Ok(End::Stopped) => return,
                Ok(End::Finished) => {
                    self.watch.finished();
                    return self.idle(None, &stop).await;
                }
                Err(error) => error,
            };
            self.watch.lost(&error);
            if error.is_final() {
                return self.idle(None, &stop).await;
            }
            let pause = pause_after(&error, &mut backoff);
            tracing::info!(source = %self.watch.status.name(), failures = backoff.failures(), ?pause, "source waits");
            self.idle(Some(pause), &stop).await;
            if stop.is_cancelled() {
                return;
            }
        }
    }

    async fn attempt(&mut self, stop: &CancellationToken) -> Result<End, Error> {
        let feed = self.door.open();
        self.watch.attempt();
        // After a panic, the source is dropped into its next attempt as it is: kinds keep nothing between attempts that
        // could be half changed.
        let mut run = AssertUnwindSafe(self.source.run(&feed, stop)).catch_unwind();
        let late = async {
            stop.cancelled().await;
            sleep(FAREWELL).await;
        };
        tokio::pin!(late);
        let end = loop {
            tokio::select! {
                // The source first: its end makes all other news old. It gives way whenever it waits.
                biased;
                end = &mut run => {
                    break end.unwrap_or_else(|_| Err(Error::Internal("the source panicked".to_owned())));
                }
                () = &mut late => break Ok(End::Stopped),
                () = self.watch.news() => {}
            }
        };
        self.watch.look();
        end
    }

    /// Tells what there is to tell, for `pause` or for good, until `stop`.
    async fn idle(&mut self, pause: Option<Duration>, stop: &CancellationToken) {
        let over = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                // The end first, then the pause: news only fills the time until then.
                biased;
                () = stop.cancelled() => return,
                () = &mut over => return,
                () = self.watch.news() => {}
            }
        }
    }
}

fn pause_after(error: &Error, backoff: &mut Backoff) -> Duration {
    // Without randomness, a wait of half the ceiling is still one.
    let random = getrandom::u64().unwrap_or(0x8000);
    match error {
        Error::Status { status: 429 | 503, retry_after, .. } => backoff.refused(*retry_after, random),
        _ => backoff.failed(random),
    }
}

/// What is known of a source's state, and told of it.
pub(crate) struct Watch {
    freshness: Freshness,
    pulse: Arc<Pulse>,
    status: Arc<Status>,
    stream: Arc<Stream>,
    /// Its place among the sources of the stream.
    place: usize,
    is_connected: bool,
    is_finished: bool,
}

impl Watch {
    pub(crate) fn new(
        stale_after: Option<Duration>,
        pulse: Arc<Pulse>,
        status: Arc<Status>,
        stream: Arc<Stream>,
        place: usize,
    ) -> Self {
        let freshness = Freshness::new(stale_after);
        let mut watch = Self { freshness, pulse, status, stream, place, is_connected: false, is_finished: false };
        watch.tell();
        watch
    }

    fn attempt(&mut self) {
        self.is_connected = false;
        if self.freshness.attempt() {
            self.tell();
        }
    }

    fn lost(&mut self, error: &Error) {
        self.status.fault(error);
        if self.freshness.lost() {
            self.tell();
        }
    }

    /// Whether the current attempt has given data.
    fn has_data(&self) -> bool {
        self.pulse.data().is_some()
    }

    /// Waits for something to happen, or to have happened for too long, and takes note of it. Cancel safe.
    async fn news(&mut self) {
        self.look();
        let silence = self.freshness.next();
        let too_long = async {
            match silence {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // What waits to be told first: it is the older news.
            () = self.stream.settle() => {}
            () = self.pulse.news() => {}
            () = too_long => {}
        }
    }

    /// Takes note of what has happened.
    fn look(&mut self) {
        if let (Some(at), false) = (self.pulse.connected(), self.is_connected) {
            self.is_connected = true;
            self.freshness.connected(at);
            tracing::info!(source = %self.status.name(), "source connected");
        }
        let mut changed = self.look_at_data();
        if self.is_finished {
            self.freshness.finished();
        }
        changed |= self.freshness.step(Instant::now().into_std());
        if self.freshness.state() != SourceState::Live {
            // Asked, then looked once more: what came in between woke nobody.
            self.pulse.ask();
            changed |= self.look_at_data();
        }
        if changed {
            self.tell();
        }
    }

    fn look_at_data(&mut self) -> bool {
        self.pulse.data().is_some_and(|at| self.freshness.data(at))
    }

    fn tell(&mut self) {
        let state = self.freshness.state();
        tracing::info!(source = %self.status.name(), state = state.as_str(), "source changed");
        self.status.change(state);
        self.stream.change(self.place, state);
    }

    /// There is nothing more to come: silence is no longer a fault.
    fn finished(&mut self) {
        self.is_finished = true;
        self.freshness.finished();
        self.status.finish();
        tracing::info!(source = %self.status.name(), "source finished");
    }
}

#[cfg(test)]
mod tests;
