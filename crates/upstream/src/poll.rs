//! An HTTP resource, asked again and again.
//!
//! This file decides when to ask, and whether an answer is new as a whole: by the server's own word (304, for the `ETag` or
//! the date that it gave), or because its bytes are others. Which events of a new answer are new is decided behind the feed,
//! by their ids and their content.
//!
//! A server that answers is not silent, even where it has nothing new: such an answer keeps the source from becoming stale.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::HttpPollConfig,
    error::Error,
    http::Http,
    source::{End, Feed, Source},
};

/// A resource that is polled.
pub(crate) struct Poll {
    config: HttpPollConfig,
    http: Http,
    hasher: RandomState,
    known: Known,
}

/// The last answer that was given to the mapping.
#[derive(Default)]
struct Known {
    /// What the server knows it by, to be sent with the next request.
    validators: HeaderMap,
    digest: Option<u64>,
}

impl Poll {
    pub(crate) fn new(config: HttpPollConfig) -> Self {
        let http = Http::new(config.http.clone());
        Self { config, http, hasher: RandomState::new(), known: Known::default() }
    }

    async fn poll(&mut self, feed: &Feed) -> Result<End, Error> {
        // Answers that take long move the next question: a slow server is not asked twice at a time.
        let mut ticks = interval_at(Instant::now(), self.config.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_connected = false;
        loop {
            ticks.tick().await;
            let news = self.ask().await?;
            if !is_connected {
                feed.connected();
                is_connected = true;
            }
            match news {
                Some((body, known)) => {
                    feed.frame(body).await?;
                    self.known = known;
                }
                None => feed.nothing_new(),
            }
        }
    }

    /// A whole answer, unless it is the last one again.
    async fn ask(&mut self) -> Result<Option<(Bytes, Known)>, Error> {
        let limit = self.config.http.timeout;
        let slow = Error::Slow { host: self.http.host(), limit, stage: "the body of the answer" };
        let answer = self.http.get(self.known.validators.clone()).await?;
        if answer.status() == 304 {
            return Ok(None);
        }
        let validators = validators(answer.headers());
        let body = timeout(limit, answer.whole(self.config.max_frame)).await.map_err(|_| slow)??;
        let digest = Some(self.hasher.hash_one(&body));
        Ok((digest != self.known.digest).then_some((body, Known { validators, digest })))
    }
}

/// What the next request says of an answer with `headers` (RFC 9110 §13.1.2, §13.1.3).
fn validators(headers: &HeaderMap) -> HeaderMap {
    let kept = |from: HeaderName, to: HeaderName| headers.get(from).map(|value: &HeaderValue| (to, value.clone()));
    let tag = kept(header::ETAG, header::IF_NONE_MATCH);
    let date = kept(header::LAST_MODIFIED, header::IF_MODIFIED_SINCE);
    tag.into_iter().chain(date).collect()
}

impl Source for Poll {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        async move { stop.run_until_cancelled(self.poll(feed)).await.unwrap_or(Ok(End::Stopped)) }.boxed()
    }
}

#[cfg(test)]
mod tests;
