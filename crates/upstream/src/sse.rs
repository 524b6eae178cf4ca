//! A feed of server-sent events: one stream after the other, each until it ends.
//!
//! This file decides how a stream is asked for (behind the last event whose id is known, as the format has it), when a silent
//! one is given up, and how soon after it another one is asked for. The form of the stream is in [`parser`].
//!
//! The data of an event is a frame, and its type is `$event` in the mapping. Comments are signs of life and nothing more.

mod parser;

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use standpipe_protocol::refusal::clip;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::parser::{Heard, Parser};
use crate::{
    config::SseConfig,
    error::Error,
    http::{Answer, Http},
    source::{End, Feed, Source},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest that a stream may ask to be left alone after its end.
const MAX_RETRY: Duration = Duration::from_secs(300);

/// A feed of server-sent events.
pub(crate) struct Sse {
    config: SseConfig,
    http: Http,
    /// Behind which event the next stream begins.
    last_id: Option<HeaderValue>,
    /// How long after the end of a stream the next is asked for, at least.
    retry: Duration,
    /// When one may be asked for.
    earliest: Option<Instant>,
}

impl Sse {
    pub(crate) fn new(config: SseConfig) -> Self {
        let http = Http::new(config.http.clone());
        Self { config, http, last_id: None, retry: Duration::ZERO, earliest: None }
    }

    async fn attempt(&mut self, feed: &Feed) -> Result<End, Error> {
        if let Some(earliest) = self.earliest {
            sleep_until(earliest).await;
        }
        let end = self.stream(feed).await;
        self.earliest = Instant::now().checked_add(self.retry);
        end
    }

    async fn stream(&mut self, feed: &Feed) -> Result<End, Error> {
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("text/event-stream")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        headers.extend(self.last_id.clone().map(|id| (LAST_EVENT_ID, id)));
        let mut answer = self.http.get(headers).await?;
        match answer.status() {
            // The server wants nobody to come again.
            204 => return Ok(End::Finished),
            304 => return Err(self.unexpected("304 to a request for a stream")),
            _ => {}
        }
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("text/event-stream") {
            let kind = clip(kind);
            return Err(self.unexpected(&format!("it answered with `{kind}`, not with `text/event-stream`")));
        }
        feed.connected();
        Err(self.listen(&mut answer, feed).await)
    }

    /// Gives each event to the mapping, until the stream ends.
    async fn listen(&mut self, answer: &mut Answer, feed: &Feed) -> Error {
        let last_id = self.last_id.as_ref().map(|id| id.as_bytes().to_owned());
        let mut parser = Parser::new(self.config.max_frame, last_id);
        loop {
            let piece = match timeout(self.config.silence, answer.next()).await {
                Err(_) => return Error::Mute(self.config.silence),
                Ok(Err(error)) => return error,
                Ok(Ok(None)) => return Error::Closed("it ended the stream".to_owned()),
                Ok(Ok(Some(piece))) => piece,
            };
            let mut rest = &*piece;
            while let Some(heard) = parser.next(&mut rest) {
                match heard {
                    Err(parser::TooLong) => return Error::Oversized(self.config.max_frame),
                    Ok(Heard::Retry(retry)) => self.retry = retry.min(MAX_RETRY),
                    Ok(Heard::Event { data, event }) => {
                        if let Err(error) = feed.frame_named(data, event).await {
                            return error;
                        }
                    }
                }
            }
            // What came before it has been given to the mapping. One that no header can hold cannot be asked for.
            self.last_id = parser.last_id().and_then(|id| HeaderValue::from_bytes(id).ok());
        }
    }

    fn unexpected(&self, reason: &str) -> Error {
        Error::Handshake { host: self.http.host(), reason: reason.to_owned() }
    }
}

impl Source for Sse {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        async move { stop.run_until_cancelled(self.attempt(feed)).await.unwrap_or(Ok(End::Stopped)) }.boxed()
    }
}

#[cfg(test)]
mod tests;
