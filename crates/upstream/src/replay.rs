//! A recording, played as if it were the feed.
//!
//! This file decides when each recorded frame comes: with the pauses it was recorded with, with shorter ones, or as fast
//! as the log takes it. What a recording is, is in [`recording`]. A replay that has come to its end stays: finished, with
//! its counts, its events in the log.

pub(crate) mod recording;

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::recording::Recording;
use crate::{
    config::{ReplayConfig, Speed, Then},
    error::Error,
    source::{End, Feed, Source},
};

/// A recording that is played.
pub(crate) struct Replay {
    config: ReplayConfig,
}

impl Replay {
    pub(crate) fn new(config: ReplayConfig) -> Self {
        Self { config }
    }

    async fn play(&self, feed: &Feed) -> Result<End, Error> {
        let recording = self.load(feed).await?;
        feed.connected();
        loop {
            self.once(&recording, feed).await?;
            // An empty recording would be repeated without ever waiting.
            if self.config.then == Then::Stop || recording.frames.is_empty() {
                break;
            }
            feed.again().await?;
        }
        feed.drained().await?;
        Ok(End::Finished)
    }

    async fn load(&self, feed: &Feed) -> Result<Recording, Error> {
        let (file, max_frame, witness) = (self.config.file.clone(), self.config.max_frame, feed.clone());
        let load = move || Recording::load(&file, max_frame, &|error| witness.lost(error));
        let loaded = tokio::task::spawn_blocking(load).await;
        let recording = loaded.map_err(|e| Error::Internal(format!("reading the recording failed: {e}")))??;
        if self.config.speed != Speed::Max
            && let Some(i) = recording.frames.iter().position(|frame| frame.at.is_none())
        {
            let path = self.config.file.display().to_string();
            let reason = format!("frame {} has no `ts` in seconds: it can be played at speed `max` alone", i + 1);
            return Err(Error::Unplayable { path, reason });
        }
        Ok(recording)
    }

    async fn once(&self, recording: &Recording, feed: &Feed) -> Result<(), Error> {
        let started = Instant::now();
        let first = recording.frames.first().and_then(|frame| frame.at).unwrap_or_default();
        for frame in &recording.frames {
            if let Some(pause) = frame.at.and_then(|at| self.pause(at - first)) {
                sleep_until(started + pause).await;
            }
            match frame.at {
                Some(at) => feed.frame_of(frame.bytes.clone(), frame.event.clone(), at.div_euclid(1000)).await?,
                None => feed.frame(frame.bytes.clone()).await?,
            }
        }
        Ok(())
    }

    /// How long after the first frame one comes that was recorded so many µs after it. None: at once.
    fn pause(&self, after: i64) -> Option<Duration> {
        let after = Duration::from_micros(u64::try_from(after).unwrap_or_default());
        match self.config.speed {
            Speed::Recorded => Some(after),
            // A factor so small that the pause overflows makes it the longest there is.
            Speed::Factor(factor) => {
                Some(Duration::try_from_secs_f64(after.as_secs_f64() / factor.value()).unwrap_or(FOREVER))
            }
            Speed::Max => None,
        }
    }
}

/// A pause that nobody will see the end of: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Source for Replay {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        async move {
            tokio::select! {
                // The end first: at speed `max` nothing else makes it wait.
                biased;
                () = stop.cancelled() => Ok(End::Stopped),
                end = self.play(feed) => end,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
