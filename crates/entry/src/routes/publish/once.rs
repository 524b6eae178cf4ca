//! A request that may be sent again: published once, and answered with what the first attempt came to.
//!
//! A publisher that goes away in the middle does not take its events back, so what it has begun goes on without it, and
//! the answer is there when it asks again. What is refused as a whole has done nothing, and is not remembered.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{Call, Receipt, afford, answered, inputs};
use crate::{
    Pass, Service,
    answer::Response,
    idempotency::{Begun, Key, Scope, Ticket},
    rejection::{Fault, Rejection},
};

/// Says that an answer is that of an earlier attempt.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// When to ask again for an answer that is not there yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request with a key.
pub(super) struct Request {
    pub(super) source: Option<String>,
    pub(super) pass: Pass,
    pub(super) key: Key,
    pub(super) body: Bytes,
    /// Held until all is published.
    pub(super) place: OwnedSemaphorePermit,
}

/// Publishes what is in `request`, unless that was done before.
pub(super) async fn publish<S: Service>(call: &Call<S>, request: Request) -> Result<Response, Rejection> {
    let Request { source, pass, key, body, place } = request;
    let scope = Scope { credential: pass.identity.credential.clone(), source: source.clone(), key };
    let ticket = match call.shared.idempotency.begin(scope, &body, Instant::now()) {
        Begun::First(ticket) => ticket,
        Begun::Again(receipt) => {
            let mut response = answered(&receipt);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
        Begun::UnderWay => return Err(under_way()),
        Begun::Other => return Err(reused()),
    };
    let inputs = inputs(&body, call.shared.config.limits.max_inputs)?;
    afford(call, &pass, inputs.len())?;
    drop(body);
    let (tell, told) = oneshot::channel();
    let shared = Arc::clone(&call.shared);
    // It ends: each input is answered within the patience of its source, and at once when that stops.
    call.shared.tasks.spawn(async move {
        let published = shared.service.publish(source.as_deref(), &pass, inputs).await;
        let receipt = published.map(|published| remembered(published, ticket));
        drop(place);
        // Whoever has gone asks again.
        let _ = tell.send(receipt);
    });
    let told = call.answered(told).await;
    let told =
        told.map_err(|late| late.hint("it is still being published: ask again with the same `Idempotency-Key`"))?;
    // Its task failed: nothing is known of what it has done, and nothing is remembered.
    let receipt = told.map_err(|_| Rejection::new(Fault::AnswerTimeout, "publishing was given up"))??;
    Ok(answered(&receipt))
}

fn remembered(published: Vec<crate::Published>, ticket: Ticket) -> standpipe_protocol::Json {
    let receipt = Receipt::from(published).json();
    ticket.answer(receipt.clone(), Instant::now());
    receipt
}

fn under_way() -> Rejection {
    Rejection::new(Fault::KeyUnderWay, "a request with this `Idempotency-Key` is being followed")
        .hint("ask again later, with the same key: the answer is then that of the first request")
        .header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()))
}

fn reused() -> Rejection {
    Rejection::new(Fault::KeyReused, "this `Idempotency-Key` is that of a request with another body")
        .hint("make a new key for each request, and repeat it only with each attempt at the same one")
}
