//! How the server ends a connection: what is still written, what is said, and how long that may take.

use std::time::Duration;

use standpipe_liveness::Rate;
use standpipe_protocol::{CloseReason, ErrorCode, Refusal};

/// A decision to end a connection. The first one holds.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Why.
    pub reason: CloseReason,
    /// An `error` that goes before `goodbye`.
    pub refusal: Option<Refusal>,
    /// How long the client is asked to wait.
    pub retry_after: Option<Duration>,
    /// How long what is queued may still be written before `goodbye`. Zero: `goodbye` comes next.
    pub flush: Duration,
    /// How long the peer's own Close frame is awaited once all is said.
    pub patience: Duration,
}

/// As long as the answer of a peer that is there takes on any network.
const PATIENCE: Duration = Duration::from_secs(1);

impl Closing {
    /// Says goodbye at once.
    pub fn now(reason: CloseReason) -> Self {
        Self { reason, refusal: None, retry_after: None, flush: Duration::ZERO, patience: PATIENCE }
    }

    /// Says goodbye at once, after an error that explains it.
    pub fn refused(reason: CloseReason, refusal: Refusal) -> Self {
        Self { retry_after: refusal.retry_after, refusal: Some(refusal), ..Self::now(reason) }
    }

    /// The client does not read as fast as its events come.
    pub fn slow_consumer(limit: &str) -> Self {
        let refusal = Refusal::new(ErrorCode::BackpressureLimit, format!("the client does not keep up: {limit}"))
            .hint("resume from the cursor in `goodbye`; select less, read faster, or connect with overflow=catch_up");
        Self::refused(CloseReason::SlowConsumer, refusal)
    }

    /// Its commands come more often than `rate`; there is room for one more in `wait`.
    pub fn rate_limited(rate: Rate, wait: Duration) -> Self {
        let refusal =
            Refusal::new(ErrorCode::RateLimited, format!("commands come too often: {rate} is what a client may send"))
                .hint("one `subscribe` can name many topics; `ack` does not count")
                .retry_after(wait);
        Self::refused(CloseReason::RateLimited, refusal)
    }

    /// Nothing was subscribed in time after connecting.
    pub fn no_first_step() -> Self {
        let refusal = Refusal::new(ErrorCode::MissingField, "nothing was subscribed in time")
            .hint("name topics in the URL (/ws?topics=…), or send {\"op\":\"subscribe\",\"topics\":[\"…\"]} first");
        Self::refused(CloseReason::FirstStepTimeout, refusal)
    }

    /// Nothing has been subscribed for too long.
    pub fn idle() -> Self {
        let refusal =
            Refusal::new(ErrorCode::MissingField, "nothing has been subscribed for longer than `client.idle`")
                .hint("come back when there is something to subscribe");
        Self::refused(CloseReason::Idle, refusal)
    }

    /// The same, for a peer that has not answered for long: it will not answer this.
    #[must_use]
    pub fn unanswered(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }
}
