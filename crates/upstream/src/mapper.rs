//! The thread on which one source's frames become events.
//!
//! Decoding and jq programs are synchronous, may take long for one frame (a second, before they are stopped) and need
//! more stack than a worker has, so they run on no tokio worker: each configured source has one thread of its own with
//! a bounded queue before it. One slow mapping delays its own source and nobody else; frames of a source stay in order
//! because one thread takes them one after the other. A pool shared by all sources would save threads, at the price of
//! letting one bad program hold up the others; a thread per frame (`spawn_blocking`) has neither order nor the stack.
//!
//! The thread drives one future, so it can wait for frames, for room in the log's queue and for the end at once.
//!
//! The queue before it is bounded by frames and by bytes; whoever brings a frame waits.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use standpipe_protocol::Json;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    carried::Carried,
    config::Kind,
    decode::{DecodeError, Decoding, Unpacked},
    error::Error,
    intake::{Gave, Given, Intake, Outcome},
    map::{Facts, Mapping, STACK_BYTES},
    pulse::Attempt,
    push::Topics,
};

/// How many frames may wait.
pub(crate) const MAX_WAITING_FRAMES: usize = 256;

/// How many KiB of frames may wait; one frame may always.
pub(crate) const MAX_WAITING_KIB: u32 = 32 * 1024;

/// How many jobs are taken from the queue at a time.
const BATCH: usize = 128;

/// What is given is handed on when it is so much, counted in events and frames, or has so many bytes of payload.
const MAX_GIVEN: usize = 512;
const MAX_GIVEN_BYTES: usize = 1024 * 1024;

/// What is given waits no longer than this for frames that came behind it, and the one that is being mapped.
const MAX_DELAY: Duration = Duration::from_millis(1);

/// What is brought to the thread.
pub(crate) enum Job {
    /// A frame of a feed.
    Frame {
        /// As received.
        bytes: Bytes,
        /// What the feed calls its type.
        event: Option<Box<str>>,
        /// When, in ms since 1970.
        received: i64,
        /// Over which connection.
        attempt: Attempt,
        /// Its place in the queue's bytes.
        room: OwnedSemaphorePermit,
    },
    /// An input of a publisher who wants to know what becomes of it.
    Input {
        /// As published.
        json: Json,
        /// When, in ms since 1970.
        received: i64,
        /// Where it may be published to.
        topics: Topics,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<Outcome>>,
    },
    /// What has come so far is to be forgotten.
    Forget,
}

/// How the bytes of frames are read, and which of them are answered.
pub(crate) struct Reading {
    pub decode: Decoding,
    pub max_frame: usize,
    pub reply: Option<Reply>,
}

impl Reading {
    /// Frames of at most `max_frame` bytes that nobody answers.
    pub(crate) fn of(decode: &Decoding, max_frame: usize) -> Self {
        Self { decode: decode.clone(), max_frame, reply: None }
    }

    /// Frames of a source of this kind, that nobody answers.
    pub(crate) fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::WebSocket(websocket) => Self::of(&websocket.decode, websocket.max_frame),
            Kind::Sse(sse) => Self::of(&sse.decode, sse.max_frame),
            Kind::HttpPoll(poll) => Self::of(&poll.decode, poll.max_frame),
            Kind::Exec(exec) => Self::of(&exec.decode, exec.max_frame),
            Kind::Replay(replay) => Self::of(&replay.decode, replay.max_frame),
            Kind::Push(push) => Self::of(&Decoding::json(), push.max_input),
            Kind::Own(own) => Self::of(&own.decode, own.max_frame),
        }
    }
}

/// The answers to a feed.
pub(crate) struct Reply {
    pub mapping: Mapping,
    pub answers: mpsc::Sender<Answer>,
}

/// A frame to be sent back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The connection that asked.
    pub attempt: Attempt,
    pub text: String,
}

/// What the thread has in hand.
#[derive(Default)]
pub(crate) struct Work {
    pub carried: Carried,
    /// What frames gave that is not handed on yet: of many small ones together, so that nobody is woken for each.
    pub given: Vec<Given>,
    /// How many bytes of payload that is.
    bytes: usize,
    /// Since when.
    since: Option<Instant>,
    /// The places of these frames in the queue's bytes.
    room: Option<OwnedSemaphorePermit>,
}

/// The work of the thread.
pub(crate) struct Mapper {
    pub reading: Reading,
    pub intake: Arc<Intake>,
}

impl Mapper {
    /// Starts the thread. It ends with `stop`, or when nobody can bring anything any more; `tasks` waits for it.
    pub(crate) fn start(
        self,
        jobs: mpsc::Receiver<Job>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let runtime = Handle::current();
        let thread = thread::Builder::new().name(format!("map {}", self.intake.source)).stack_size(STACK_BYTES);
        let tracked = tasks.token();
        thread.spawn(move || {
            runtime.block_on(self.run(jobs, stop));
            drop(tracked);
        })?;
        Ok(())
    }

    async fn run(self, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut work = Work::default();
        // With a queue that is never empty the end would never come, if it were not looked at first.
        while let Some(1..) = stop.run_until_cancelled(jobs.recv_many(&mut batch, BATCH)).await {
            for job in batch.drain(..) {
                if stop.run_until_cancelled(self.work(job, &mut work)).await.is_none() {
                    return;
                }
            }
            if stop.run_until_cancelled(self.hand_on(&mut work)).await.is_none() {
                return;
            }
        }
    }

    async fn work(&self, job: Job, work: &mut Work) {
        match job {
            Job::Frame { bytes, event, received, attempt, room } => {
                let since = *work.since.get_or_insert_with(Instant::now);
                self.frame(bytes, event.as_deref(), received, attempt, work);
                match &mut work.room {
                    Some(all) => all.merge(room),
                    none => *none = Some(room),
                }
                let is_much = work.given.len() >= MAX_GIVEN || work.bytes >= MAX_GIVEN_BYTES;
                if is_much || since.elapsed() >= MAX_DELAY {
                    self.hand_on(work).await;
                }
            }
            Job::Input { json, received, topics, answer } => {
                self.hand_on(work).await;
                let events = self.intake.read(&json, received, &mut work.carried);
                // A publisher who has gone no longer wants to know, but has published.
                let _ = answer.send(self.intake.publish(events, &topics).await);
            }
            Job::Forget => {
                self.hand_on(work).await;
                self.intake.forget();
                work.carried = Carried::default();
            }
        }
    }

    /// Offers what frames gave.
    pub(crate) async fn hand_on(&self, work: &mut Work) {
        if !self.intake.offer_all(&mut work.given).await {
            // Nobody takes events any more.
            work.given.clear();
        }
        (work.bytes, work.since, work.room) = (0, None, None);
    }

    /// Decodes and maps one frame: its events are given.
    pub(crate) fn frame(
        &self,
        bytes: Bytes,
        event: Option<&str>,
        received: i64,
        attempt: Attempt,
        Work { carried, given, bytes: given_bytes, .. }: &mut Work,
    ) {
        let status = &self.intake.status;
        let unpacked = match self.unpack(bytes) {
            Ok(unpacked) => unpacked,
            Err(error) => return status.lose(&error),
        };
        let size = unpacked.len();
        given.push(Given::Frame);
        for part in unpacked.parts() {
            let part = match part {
                Ok(part) => part,
                Err(error) => {
                    status.lose(&error.into());
                    continue;
                }
            };
            let state = carried.over(attempt);
            let (source, stream) = (&self.intake.source, self.intake.stream.name());
            let params = &*self.intake.variant.params;
            let facts = Facts { source, stream, conn: attempt.0, event, params, received, size, state: &state };
            // Both read the part: what is not JSON, the second one tells.
            if let Some(reply) = &self.reading.reply
                && let Ok(answers) = reply.mapping.answers(part, &facts)
            {
                self.answer(reply, answers, attempt);
            }
            match self.intake.map(part, &facts, attempt, carried) {
                Ok(Gave { numbers, events }) => {
                    given.extend(numbers.into_iter().map(Given::Number));
                    for mapped in events.into_iter().flatten() {
                        *given_bytes += mapped.event.data.as_str().len();
                        given.push(Given::Event(mapped, attempt));
                    }
                }
                Err(error) => status.lose(&DecodeError::from(error).into()),
            }
        }
    }

    /// A fault of a decoder, on bytes that anyone may have sent, costs the frame and not the thread.
    fn unpack(&self, bytes: Bytes) -> Result<Unpacked, Error> {
        // Nothing outlives the unwinding but the chain, which is not changed by decoding.
        let unpacked = catch_unwind(AssertUnwindSafe(|| self.reading.decode.unpack(bytes, self.reading.max_frame)));
        Ok(unpacked.map_err(|_| Error::Internal("a decoder failed".to_owned()))??)
    }

    /// Answers that the connection does not take in time are dropped: the feed will ask again, or hang up.
    fn answer(&self, reply: &Reply, answers: Vec<Result<String, Error>>, attempt: Attempt) {
        for answer in answers {
            let sent = answer.and_then(|text| {
                let full = Error::Answers(reply.answers.max_capacity());
                reply.answers.try_send(Answer { attempt, text }).map_err(|_| full)
            });
            if let Err(error) = sent {
                self.intake.status.owe(&error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Numbering, PushConfig, SourceConfig, contract::numbers, status::SourceStatus, trial::Trial};

    use super::*;

    /// What becomes of frames whose fields `n` number them all, and of which those with a `topic` are events, when they are
    /// handed on together.
    async fn together(frames: impl IntoIterator<Item = &str>) -> SourceStatus {
        let mapping = Mapping::compile("if .topic then {topic, n, data: .n} else {n} end").unwrap();
        let push = Kind::Push(PushConfig { max_input: 100, patience: Duration::ZERO });
        let config = SourceConfig { mapping: Some(mapping), numbers: Numbering::Source, ..numbers(push) };
        let mut trial = Trial::of(&config);
        for frame in frames {
            let bytes = Bytes::copy_from_slice(frame.as_bytes());
            trial.mapper.frame(bytes, None, 0, trial.attempt, &mut trial.work);
        }
        trial.mapper.hand_on(&mut trial.work).await;
        trial.status.snapshot()
    }

    #[tokio::test]
    async fn numbers_are_seen_in_the_order_of_their_frames() {
        let frames = [
            r#"{"n":1,"topic":"a"}"#,
            r#"{"n":2}"#,
            r#"{"n":3,"topic":"b"}"#,
            r#"{"n":4}"#,
            r#"{"n":7}"#,
            r#"{"n":8,"topic":"a"}"#,
        ];
        let status = together(frames).await;
        assert_eq!((status.missed, status.events, status.unmapped), (2, 3, 0));
    }
}
