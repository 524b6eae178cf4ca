//! One running source, and the narrow door through which it reports.
//!
//! This file decides what a kind has to do, and nothing else: connect and read, over and over when told to. Mapping,
//! duplicates, freshness, backoff and counting are the same for all kinds and happen behind the [`Feed`]. What every kind
//! upholds besides is in `contract`, as a suite of tests.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    mapper::{Job, MAX_WAITING_KIB},
    pulse::{Attempt, Pulse},
    status::{Status, count, unix_ms},
};

/// A source that is configured.
pub trait Source: Send + 'static {
    /// Makes one attempt: connects, tells `feed` that it is connected, gives it each frame in order of arrival.
    ///
    /// Returns when the connection ends, with the fault that ended it; when there is nothing more to come; or soon
    /// after `stop`, which it looks at wherever it waits. It may also be dropped at any wait. Either way it can be run
    /// again, and is then a new attempt: after a fault, once a pause is over, which grows from attempt to attempt until
    /// one has given data.
    ///
    /// # Errors
    /// What ended the attempt. It is told in `/sources` and in logs, so it holds no secrets.
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>>;
}

/// How an attempt ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// There is nothing more to come.
    Finished,
}

/// What the attempts of one source have in common: the way to its mapping.
#[derive(Clone)]
pub(crate) struct Door {
    jobs: mpsc::Sender<Job>,
    /// KiB of frames that may still wait.
    room: Arc<Semaphore>,
    pulse: Arc<Pulse>,
    status: Arc<Status>,
}

impl Door {
    pub(crate) fn new(jobs: mpsc::Sender<Job>, pulse: Arc<Pulse>, status: Arc<Status>) -> Self {
        let room = Arc::new(Semaphore::new(usize::try_from(MAX_WAITING_KIB).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { jobs, room, pulse, status }
    }

    /// Begins an attempt: what earlier ones still bring is no longer news.
    pub(crate) fn open(&self) -> Feed {
        count(&self.status.attempts);
        Feed { attempt: self.pulse.begin(), door: self.clone() }
    }
}

/// Where one attempt of a source reports. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    attempt: Attempt,
    door: Door,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("source", self.name()).field("attempt", &self.attempt.0).finish_non_exhaustive()
    }
}

impl Feed {
    /// The name of the source.
    pub fn name(&self) -> &Arc<str> {
        self.door.status.name()
    }

    /// Which attempt this is.
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// There is a connection, over which frames can come.
    pub fn connected(&self) {
        self.door.pulse.connect(self.attempt, tokio::time::Instant::now().into_std());
    }

    /// It has all it needs to deliver, and there is nobody whose first data would have to be waited for: it is live.
    pub fn ready(&self) {
        self.connected();
        self.door.pulse.beat(self.attempt, tokio::time::Instant::now().into_std());
    }

    /// It was asked, and has nothing new: what it gave is as fresh as if it came now.
    pub fn nothing_new(&self) {
        if self.door.status.has_data() {
            self.door.pulse.beat(self.attempt, tokio::time::Instant::now().into_std());
        }
    }

    /// A frame that has just come. Waits for room before the mapping: a source that waits here is not read, so that what it
    /// reads from can slow down. Cancel safe in that a frame was given or was not.
    ///
    /// # Errors
    /// Nobody takes frames any more. To be returned from [`Source::run`].
    pub async fn frame(&self, bytes: Bytes) -> Result<(), Error> {
        self.frame_named(bytes, None).await
    }

    /// The same, of a frame of a type that the feed has a name for: `$event` in mappings.
    ///
    /// # Errors
    /// As of [`frame`](Self::frame).
    pub async fn frame_named(&self, bytes: Bytes, event: Option<Box<str>>) -> Result<(), Error> {
        self.frame_of(bytes, event, i64::try_from(unix_ms()).unwrap_or(i64::MAX)).await
    }

    /// The same, of one that came at `received`, in ms since 1970.
    ///
    /// # Errors
    /// As of [`frame`](Self::frame).
    pub async fn frame_of(&self, bytes: Bytes, event: Option<Box<str>>, received: i64) -> Result<(), Error> {
        self.door.status.received(bytes.len());
        let kib = u32::try_from(bytes.len() / 1024 + 1).unwrap_or(u32::MAX).min(MAX_WAITING_KIB);
        let room = Arc::clone(&self.door.room).acquire_many_owned(kib).await.map_err(|_| ended())?;
        let job = Job::Frame { bytes, event, received, attempt: self.attempt, room };
        self.door.jobs.send(job).await.map_err(|_| ended())
    }

    /// What was received could not even become a frame: it is counted, and the source goes on.
    pub fn lost(&self, error: &Error) {
        self.door.status.lose(error);
    }

    /// From here on everything comes again: no id has come before.
    pub(crate) async fn again(&self) -> Result<(), Error> {
        self.door.jobs.send(Job::Forget).await.map_err(|_| ended())
    }

    /// Waits until all frames so far have been mapped and their events queued.
    pub(crate) async fn drained(&self) -> Result<(), Error> {
        let all = self.door.room.acquire_many(MAX_WAITING_KIB).await;
        all.map(drop).map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::Internal("the thread of the mapping has ended".to_owned())
}
