//! A program that writes a value a line.
//!
//! This file decides how it is started, what its lines are, and how it is ended: with everything that it has started, which
//! is the group of processes that it leads. What it writes to its standard error goes to the log, a little of it.

mod child;
mod lines;

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use standpipe_liveness::{Bucket, Rate};
use tokio::{
    process::{ChildStderr, ChildStdout},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    child::Child,
    lines::{Lines, TooLong},
};
use crate::{
    config::ExecConfig,
    error::Error,
    source::{End, Feed, Source},
};

/// How long a program may go on after it was told to end, or after it has closed its output.
const GRACE: Duration = Duration::from_secs(1);

/// The longest line of standard error that is looked at, in bytes. One that is longer is passed over.
const MAX_COMPLAINT_BYTES: usize = 4096;

/// How many of those lines are logged.
const COMPLAINTS: Rate = Rate { count: std::num::NonZeroU32::new(20).unwrap(), per: Duration::from_secs(10) };

/// A program.
pub(crate) struct Exec {
    config: ExecConfig,
}

impl Exec {
    pub(crate) fn new(config: ExecConfig) -> Self {
        Self { config }
    }

    async fn attempt(&self, feed: &Feed, stop: &CancellationToken) -> Result<End, Error> {
        let (mut child, output, complaints) = Child::start(&self.config)?;
        feed.connected();
        let heard = async { tokio::join!(listen(output, feed, self.config.max_frame), overhear(complaints, feed)).0 };
        // The end first: a program that never pauses would keep it waiting.
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                child.end(GRACE).await;
                return Ok(End::Stopped);
            }
            heard = heard => heard?,
        }
        // It has said all that it will.
        let ended = timeout(GRACE, child.wait()).await;
        child.end(GRACE).await;
        Err(match ended {
            Ok(Ok(status)) => Error::Exited(status.to_string()),
            Ok(Err(error)) => Error::Exited(error.to_string()),
            Err(_) => Error::Exited("it closed its output, went on, and was killed".to_owned()),
        })
    }
}

/// Gives each line to the mapping, until there are no more.
async fn listen(output: ChildStdout, feed: &Feed, max: usize) -> Result<(), Error> {
    let mut lines = Lines::new(output, max);
    while let Some(line) = lines.next().await.map_err(|error| Error::Broken(error.to_string()))? {
        match line {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => feed.frame(line).await?,
            Err(TooLong) => feed.lost(&Error::Oversized(max)),
        }
    }
    Ok(())
}

/// Logs what a program complains of.
async fn overhear(complaints: ChildStderr, feed: &Feed) {
    let mut lines = Lines::new(complaints, MAX_COMPLAINT_BYTES);
    let (mut logged, mut suppressed) = (Bucket::default(), 0_u64);
    while let Ok(Some(line)) = lines.next().await {
        let line = line.unwrap_or_else(|TooLong| "(a line that is too long)".into());
        let line: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        if line.is_empty() {
            continue;
        }
        if logged.take(1, COMPLAINTS, Instant::now().into_std()).is_err() {
            suppressed += 1;
            continue;
        }
        tracing::info!(source = %feed.name(), suppressed, "the program says: {line}");
        suppressed = 0;
    }
}

impl Source for Exec {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        self.attempt(feed, stop).boxed()
    }
}

#[cfg(test)]
mod tests;
