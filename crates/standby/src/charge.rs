//! `POST /v2/actor-runs/{id}/charge`: what is refused, in the order in which the platform looks.

use std::time::Instant;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    answer::Answer,
    run::{Live, Pricing, Tenancy},
};

/// The most that one charge counts.
const MAX_COUNT: u64 = 10_000_000;

/// The body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    event_name: String,
    count: u64,
    request_id: Option<String>,
}

/// A charge that would be accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    key: String,
    event: String,
    count: u64,
    request: Option<String>,
}

impl Accepted {
    /// Who has paid how much by it; nothing: the key was known, or it is nobody that the platform knows.
    pub(crate) fn apply(&self, live: &mut Live, now: Instant) -> Option<(String, u64)> {
        let request = self.request.as_deref();
        let is_new = live.charge(&self.key, &self.event, self.count, request, now);
        if is_new
            && live.is_over_its_limit()
            && let Some(hosted) = &mut live.hosted
        {
            hosted.stop_charging();
        }
        live.payer(request).filter(|_| is_new).map(|payer| (payer, self.count))
    }

    pub(crate) fn answer() -> Answer {
        Answer::bare(StatusCode::CREATED, json!({}))
    }
}

/// Looks at a charge without charging.
pub(crate) fn look(live: &Live, key: Option<&str>, body: &[u8]) -> Result<Accepted, Answer> {
    let invalid = |message: &str| Answer::error(StatusCode::BAD_REQUEST, "invalid-request", message);
    let body: Body = serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    let Body { event_name: event, count, request_id: request } = body;
    if event.starts_with("apify-") {
        let message = "Events of the platform cannot be charged by Actors";
        return Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "cannot-charge-apify-event", message));
    }
    let Pricing::PerEvent(prices) = &live.run.pricing else {
        let message = "The Actor is not paid for by events";
        return Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "cannot-charge-non-pay-per-event-actor", message));
    };
    if !prices.contains_key(&event) {
        let message = format!("Pricing for the event {event} was not found");
        return Err(Answer::error(StatusCode::NOT_FOUND, "record-not-found", &message));
    }
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| invalid("the idempotency-key header is required"))?;
    if count == 0 || count > MAX_COUNT {
        return Err(invalid("count must be from 1 to 10000000"));
    }
    let is_known = request.as_ref().is_some_and(|request| live.requests.contains_key(request));
    if live.run.tenancy == Tenancy::Multi && !is_known {
        return Err(invalid("requestId is invalid or has expired"));
    }
    Ok(Accepted { key: key.to_owned(), event, count, request })
}
