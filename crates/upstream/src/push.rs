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
use standpipe_protocol::{ErrorCode, Json, Refusal, Topic};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    carried::Carried,
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

/// The topics to which somebody may publish.
#[derive(Clone)]
pub enum Topics {
    /// All.
    All,
    /// Those for which this is true.
    Some(Arc<dyn Fn(&Topic) -> bool + Send + Sync>),
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

impl Topics {
    pub(crate) fn has(&self, topic: &Topic) -> bool {
        match self {
            Self::All => true,
            Self::Some(has) => has(topic),
        }
    }
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

    /// Publishes one input, to none but these topics, and waits, at most for the source's `patience`, until all its events are in the log.
    ///
    /// One answer for each output of the mapping, at least one. Inputs that are published at the same time are taken in
    /// any order; see [`Push::publish_all`].
    pub async fn publish(&self, input: Json, topics: &Topics) -> Vec<Published> {
        let brought = self.bring(input, topics).await;
        answers(brought).await
    }

    /// Publishes inputs one after the other, in order, without waiting for the answers in between.
    pub async fn publish_all(&self, inputs: Vec<Json>, topics: &Topics) -> Vec<Vec<Published>> {
        let mut brought = Vec::with_capacity(inputs.len());
        for input in inputs {
            brought.push(self.bring(input, topics).await);
        }
        let mut published = Vec::with_capacity(brought.len());
        for brought in brought {
            published.push(answers(brought).await);
        }
        published
    }

    /// Brings an input as far as order matters.
    async fn bring(&self, input: Json, topics: &Topics) -> Brought {
        let len = input.as_str().len();
        if len > self.max_input {
            let message = format!("the input has {len} bytes, at most {} are taken", self.max_input);
            return Brought::Refused(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        self.intake.status.received(len);
        let until = Instant::now() + self.patience;
        let received = i64::try_from(unix_ms()).unwrap_or(i64::MAX);
        tokio::select! {
            // The end first: what waits for a queue that nobody empties any more is told so at once.
            biased;
            () = self.stop.cancelled() => Brought::Refused(closed()),
            brought = timeout_at(until, self.hand_over(input, received, topics, until)) => {
                brought.unwrap_or_else(|_| Brought::Refused(full()))
            }
        }
    }

    async fn hand_over(&self, json: Json, received: i64, topics: &Topics, until: Instant) -> Brought {
        match &self.way {
            Way::Direct => {
                let events = self.intake.read(&json, received, &mut Carried::default());
                Brought::Offered(self.intake.publish(events, topics).await, until)
            }
            Way::Mapped(jobs) => {
                let (answer, outcomes) = oneshot::channel();
                let topics = topics.clone();
                match jobs.send(Job::Input { json, received, topics, answer }).await {
                    Ok(()) => Brought::Waiting(outcomes, until),
                    Err(_) => Brought::Refused(closed()),
                }
            }
        }
    }
}

/// How far an input has come, and until when its publisher waits.
enum Brought {
    /// Not at all.
    Refused(Refusal),
    /// Before the mapping.
    Waiting(oneshot::Receiver<Vec<Outcome>>, Instant),
    /// Before the log.
    Offered(Vec<Outcome>, Instant),
}

async fn answers(brought: Brought) -> Vec<Published> {
    let (outcomes, until) = match brought {
        Brought::Refused(refusal) => return vec![Published::Refused(refusal)],
        Brought::Offered(outcomes, until) => (outcomes, until),
        Brought::Waiting(outcomes, until) => match timeout_at(until, outcomes).await {
            Ok(Ok(outcomes)) => (outcomes, until),
            Ok(Err(_)) => return vec![Published::Refused(closed())],
            Err(_) => return vec![Published::Refused(unanswered())],
        },
    };
    let mut published = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        published.push(place(outcome, until).await);
    }
    published
}

/// What is known of an outcome at that time.
async fn place(outcome: Outcome, until: Instant) -> Published {
    match outcome {
        Outcome::Queued(place) => match timeout_at(until, place).await {
            Ok(Ok(seq)) => Published::Accepted { seq },
            Ok(Err(_)) => Published::Refused(closed()),
            Err(_) => Published::Refused(unanswered()),
        },
        Outcome::Duplicate => Published::Duplicate,
        Outcome::Unmapped(why) => Published::Unmapped { why },
        Outcome::Forbidden(topic) => Published::Refused(Refusal::new(
            ErrorCode::Forbidden,
            format!("the credential does not allow to publish to `{topic}`"),
        )),
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
        feed.ready();
        stop.cancelled().map(|()| Ok(End::Stopped)).boxed()
    }
}

#[cfg(test)]
mod tests;
