//! What a feed sends, taken down as it comes: for whoever records it.
//!
//! This file decides what of a running source is taken down. It is connected to, and connected to again, as in a server;
//! its frames go to whoever asks for the next one and not to a mapping, so that a recording is of the feed and not of what
//! was thought of it. Where the source answers pings of the feed's own, it answers them here too.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use standpipe_protocol::SourceNews;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::SourceConfig,
    error::Error,
    intake::Intake,
    kinds,
    map::Mapping,
    mapper::{Job, MAX_WAITING_FRAMES, Mapper, Reading},
    pulse::{Attempt, Pulse},
    source::Door,
    status::{SourceStatus, Status, unix_ms},
    stream::Stream,
    supervisor::{Supervisor, Watch},
};

/// A source that is running, and whose frames are taken one by one. When nobody takes them, the feed waits.
pub struct Tape {
    frames: mpsc::Receiver<Job>,
    /// Where pings are answered.
    replies: Option<mpsc::Sender<Job>>,
    pulse: Arc<Pulse>,
    status: Arc<Status>,
}

/// A frame that was taken down. Times are in ms since 1970.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The number of the connection that it came over, from 1.
    pub conn: u64,
    /// When that was connected.
    pub connected: i64,
    /// When the frame came.
    pub received: i64,
    /// What the feed calls its type.
    pub event: Option<Box<str>>,
    /// As received.
    pub bytes: Bytes,
}

impl Tape {
    /// Starts the source that `config` describes, within a tokio runtime. All ends with `stop`; `tasks` waits for it.
    ///
    /// Changes of its state go into `news`; when it is full, nobody waits. A `push` source has nobody who would push.
    ///
    /// # Errors
    /// The machine has no thread for the program that answers pings.
    pub fn start(
        config: &SourceConfig,
        news: &mpsc::Sender<SourceNews>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let status = Arc::new(Status::new(Arc::clone(&config.name), config.group.clone(), config.kind.as_str()));
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let (jobs, frames) = mpsc::channel(MAX_WAITING_FRAMES);
        let door = Door::new(jobs, Arc::clone(&pulse), Arc::clone(&status));
        let stream = Arc::new(Stream::of(config, news.clone()));
        let place = stream.join();
        let watch = Watch::new(config.stale_after, Arc::clone(&pulse), Arc::clone(&status), stream, place);
        let (source, reading) = kinds::source(config.kind.clone());
        let answered = reading.reply.is_some();
        let replies = if answered { Some(answering(config, reading, tasks, stop)?) } else { None };
        tasks.spawn(Supervisor { source, door, watch }.supervise(stop.clone()));
        Ok(Self { frames, replies, pulse, status })
    }

    /// The next frame, when it has come. None once the source has stopped.
    pub async fn next(&mut self) -> Option<Taken> {
        loop {
            let job = self.frames.recv().await?;
            let Job::Frame { bytes, event, received, attempt, .. } = &job else { continue };
            self.pulse.beat(*attempt, Instant::now());
            let (conn, connected) = (attempt.0, self.connected(*attempt).unwrap_or(*received));
            let taken = Taken { conn, connected, received: *received, event: event.clone(), bytes: bytes.clone() };
            if let Some(replies) = &self.replies {
                // Once its thread has ended, the whole tape is about to.
                let _ = replies.send(job).await;
            }
            return Some(taken);
        }
    }

    /// Its state and counts. Only what concerns connections is counted.
    pub fn status(&self) -> SourceStatus {
        self.status.snapshot()
    }

    /// When the connection of `attempt` was made, unless that is over.
    fn connected(&self, attempt: Attempt) -> Option<i64> {
        let at = self.pulse.connected().filter(|_| self.pulse.attempt() == attempt)?;
        let ago = u64::try_from(at.elapsed().as_millis()).ok()?;
        i64::try_from(unix_ms().saturating_sub(ago)).ok()
    }
}

/// Starts a thread that answers the feed's pings and makes no events.
fn answering(
    config: &SourceConfig,
    reading: Reading,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<mpsc::Sender<Job>, Error> {
    let failed = |what: String| Error::Internal(format!("cannot answer the pings of `{}`: {what}", config.name));
    let nothing = Mapping::compile("empty").map_err(|error| failed(error.to_string()))?;
    let silent = SourceConfig { mapping: Some(nothing), ..config.clone() };
    let ((log, _), (news, _)) = (mpsc::channel(1), mpsc::channel(1));
    let status = Arc::new(Status::new(Arc::clone(&config.name), config.group.clone(), config.kind.as_str()));
    let stream = Arc::new(Stream::of(&silent, news));
    let place = stream.join();
    let intake = Intake::new(&silent, stream, place, log, status, Arc::new(Pulse::new(Instant::now())));
    let intake = Arc::new(intake);
    let (jobs, waiting) = mpsc::channel(MAX_WAITING_FRAMES);
    Mapper { reading, intake }.start(waiting, tasks, stop.clone()).map_err(|error| failed(error.to_string()))?;
    Ok(jobs)
}
