//! A source that others publish to, and what they are told.
//!
//! This file decides the answers to a publisher: each output of the mapping for an input is accepted (with its place
//! in the log), a duplicate, or unmapped (with the reason); an input that cannot be taken now is refused as a whole.
//! The HTTP and WebSocket forms of publishing are left to the server.
//!
//! Without a mapping, an input is checked and queued on the publisher's own task: no other thread has to wake up for
//! it. With one, it goes to the source's mapping thread like a frame.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use standpipe_protocol::{ErrorCode, Json, Refusal};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::PushConfig,
    error::Error,
    intake::{Intake, Outcome},
    mapper::Job,
    source::{End, Feed, Source},
    status::unix_ms,
};

/// The way into one push source. Cheap to clone.
#[derive(Clone)]
pub struct Push {
    way: Way,
    intake: Arc<Intake>,
    max_input: usize,
    patience: Duration,
    stop: CancellationToken,
}

#[derive(Clone)]
enum Way {
    /// Inputs are events already.
    Direct,
    /// Inputs are mapped first.
    Mapped(mpsc::Sender<Job>),
}

/// What became of one output of the mapping for an input; without a mapping, of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is in the log.
    Accepted {
        /// Its place.
        seq: u64,
    },
    /// An event of the same id had come before.
    Duplicate,
    /// It is no event.
    Unmapped {
        /// Names the field that is wrong.
        why: String,
    },
    /// It was not taken, or it cannot be told whether it was.
    Refused(Refusal),
}

impl Push {
    pub(crate) fn direct(intake: Arc<Intake>, config: &PushConfig, stop: CancellationToken) -> Self {
        Self { way: Way::Direct, intake, max_input: config.max_input, patience: config.patience, stop }
    }

    pub(crate) fn mapped(
        jobs: mpsc::Sender<Job>,
        intake: Arc<Intake>,
        config: &PushConfig,
        stop: CancellationToken,
    ) -> Self {
        Self { way: Way::Mapped(jobs), ..Self::direct(intake, config, stop) }
    }

    /// Publishes one input and waits, at most for the source's `patience`, until all its events are in the log.
    ///
    /// Inputs of one task are taken in the order in which their futures are first polled. Never empty.
    pub async fn publish(&self, input: Json) -> Vec<Published> {
        let len = input.as_str().len();
        if len > self.max_input {
            let message = format!("the input has {len} bytes, at most {} are taken", self.max_input);
            return vec![Published::Refused(Refusal::new(ErrorCode::LimitExceeded, message))];
        }
        self.intake.status.received(len);
        let deadline = Instant::now() + self.patience;
        // The end first: what waits for a queue that nobody empties any more is told so at once.
        let outcomes = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(closed()),
            outcomes = self.bring(input, deadline) => outcomes,
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(refusal) => return vec![Published::Refused(refusal)],
        };
        let mut published = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            published.push(place(outcome, deadline).await);
        }
        published
    }

    async fn bring(&self, json: Json, deadline: Instant) -> Result<Vec<Outcome>, Refusal> {
        let received = i64::try_from(unix_ms()).unwrap_or(i64::MAX);
        match &self.way {
            Way::Direct => timeout_at(deadline, self.intake.input(&json, received)).await.map_err(|_| full()),
            Way::Mapped(jobs) => {
                let (answer, outcomes) = oneshot::channel();
                let room = timeout_at(deadline, jobs.reserve()).await.map_err(|_| full())?;
                room.map_err(|_| closed())?.send(Job::Input { json, received, answer });
                timeout_at(deadline, outcomes).await.map_err(|_| unanswered())?.map_err(|_| closed())
            }
        }
    }
}

/// What is known of an outcome by `deadline`.
async fn place(outcome: Outcome, deadline: Instant) -> Published {
    match outcome {
        Outcome::Queued(place) => match timeout_at(deadline, place).await {
            Ok(Ok(seq)) => Published::Accepted { seq },
            Ok(Err(_)) => Published::Refused(closed()),
            Err(_) => Published::Refused(unanswered()),
        },
        Outcome::Duplicate => Published::Duplicate,
        Outcome::Unmapped(why) => Published::Unmapped { why },
        Outcome::Closed => Published::Refused(closed()),
    }
}

fn full() -> Refusal {
    Refusal::new(ErrorCode::OverCapacity, "the queue to the log stayed full").hint("try again later")
}

fn unanswered() -> Refusal {
    Refusal::new(ErrorCode::OverCapacity, "not answered in time: it may still be accepted")
        .hint("give events an `id`: what is published again is then a duplicate")
}

fn closed() -> Refusal {
    Refusal::new(ErrorCode::Draining, "the server is stopping and takes no more events")
}

/// The source's own side: there is nothing to connect to and nothing to lose.
pub(crate) struct Inbox;

impl Source for Inbox {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        feed.connected();
        stop.cancelled().map(|()| Ok(End::Stopped)).boxed()
    }
}
