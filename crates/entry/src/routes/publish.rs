//! `POST /publish`: inputs for a `push` source, one answer for each.
//!
//! A body of JSON is one input, or an array of them, and is taken as a whole or not at all. A body of lines (NDJSON) is
//! taken as it arrives, so it may be long; a line that is not JSON is refused alone. If such a stream cannot be read to
//! its end, the answer still says what became of the lines before.
//!
//! A body of JSON may come with an `Idempotency-Key`: it is then published once, however often it is sent ([`once`]).

mod once;
mod receipt;

use std::{fmt::Display, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::{HeaderMap, StatusCode, header};
use serde_json::value::RawValue;
use standpipe_protocol::{ErrorCode, Json, JsonError, Refusal, command::Secret, refusal::clip};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use warp::{Filter, filters::BoxedFilter};

use super::{Call, POST, Shared, call, parameters::parameters, query};
use crate::{
    Operations, Pass, Service,
    answer::{self, Response},
    body::{Body, Lines, too_large},
    counts::Limit,
    credential::in_headers,
    idempotency::Key,
    rejection::{Fault, Rejection},
    service::Published,
};
pub(crate) use receipt::Receipt;

/// As many lines are handed on together as have arrived, up to this.
const MAX_BATCH: usize = 256;

/// How the body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Lines,
}

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    warp::path!("publish")
        .and(call(shared))
        .and(query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(|call: Call<S>, query: String, headers: HeaderMap, chunks| async move {
            answer::of(publish(&call, &query, &headers, chunks).await)
        })
        .boxed()
}

async fn publish<S: Service, B: Buf>(
    call: &Call<S>,
    query: &str,
    headers: &HeaderMap,
    chunks: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Rejection> {
    call.only(POST)?;
    let [source, token] = parameters("/publish", query, ["source", "access_token"])?;
    let pass = publisher(call, headers, token.map(Secret)).await?;
    let kind = kind(headers)?;
    let key = Key::of(headers)?;
    if key.is_some() && kind == Kind::Lines {
        return Err(Rejection::new(
            Fault::BadRequest,
            "lines are published as they arrive: no key stands for all of them",
        )
        .hint("leave out `Idempotency-Key` and give events ids: what is published again is then a duplicate"));
    }
    let limits = &call.shared.config.limits;
    let deadlines = &call.shared.config.deadlines;
    let (max, deadline) = match kind {
        Kind::Json => (limits.max_body_bytes, Instant::now() + deadlines.body),
        Kind::Lines => (limits.max_stream_bytes, Instant::now() + deadlines.stream),
    };
    refuse_promised(headers, max)?;
    afford(call, &pass, 0)?;
    let place = place(call)?;
    let body = Body::new(chunks, max, deadline);
    let receipt = match kind {
        Kind::Json => {
            let body = body.whole().await?;
            if let Some(key) = key {
                return once::publish(call, once::Request { source, pass, key, body, place }).await;
            }
            let inputs = inputs(&body, limits.max_inputs)?;
            afford(call, &pass, inputs.len())?;
            Receipt::from(hand_on(call, source.as_deref(), &pass, inputs).await?)
        }
        Kind::Lines => {
            let mut receipt = Receipt::default();
            match stream(call, source.as_deref(), &pass, body, &mut receipt).await {
                Ok(()) => receipt,
                Err(rejection) if receipt.is_empty() => return Err(rejection),
                Err(rejection) => return Err(rejection.detail("published", receipt.json())),
            }
        }
    };
    Ok(answered(&receipt.json()))
}

fn answered(receipt: &Json) -> Response {
    answer::json(StatusCode::OK, receipt.as_str().to_owned())
}

/// Who publishes: an operator, to whatever topics; or a client, to those that its credential grants.
///
/// Whoever shows a credential is judged by it, even on the server's own machine. The admin token is none.
async fn publisher<S: Service>(call: &Call<S>, headers: &HeaderMap, token: Option<Secret>) -> Result<Pass, Rejection> {
    let auth = call.service().auth();
    let shown: Vec<_> = in_headers(headers, call.shared.config.authorization).into_iter().chain(token).collect();
    let is_admin = matches!(call.shared.config.operations, Operations::Token(_)) && call.caller.operator.is_ok();
    if !auth.is_needed() || is_admin || (shown.is_empty() && call.caller.operator.is_ok()) {
        return call.operator().map(|()| Pass::anonymous());
    }
    let pass = call.answered(auth.admit(&shown)).await??;
    if !pass.grant.publishes_anything() {
        return Err(Refusal::new(ErrorCode::Forbidden, "the credential does not allow to publish").into());
    }
    Ok(pass)
}

/// Takes the lines of `body` as they arrive, and writes down what became of them.
async fn stream<S: Service, B: Buf>(
    call: &Call<S>,
    source: Option<&str>,
    pass: &Pass,
    mut body: Body<impl Stream<Item = Result<B, warp::Error>> + Unpin>,
    receipt: &mut Receipt,
) -> Result<(), Rejection> {
    let limits = &call.shared.config.limits;
    let mut lines = Lines::new(limits.max_line_bytes);
    let mut batch = Vec::new();
    let mut is_whole = false;
    while !is_whole {
        match body.chunk().await? {
            Some(chunk) => lines.push(&chunk),
            None => is_whole = true,
        }
        loop {
            // Whatever is wrong with a line, those before it are handed on first: answers stand in the order of lines.
            let (line, fault) = match lines.next() {
                Ok(None) if is_whole => (lines.last(), None),
                Ok(line) => (line, None),
                Err(fault) => (None, Some(fault)),
            };
            let is_full = receipt.len() + batch.len() >= limits.max_inputs && line.is_some();
            let fault = fault.or_else(|| is_full.then(|| too_many(limits.max_inputs)));
            let input = line.as_ref().map(read);
            let is_end_of_batch = !matches!(input, Some(Ok(_))) || batch.len() >= MAX_BATCH || fault.is_some();
            if is_end_of_batch && !batch.is_empty() {
                // A stream is not refused in the middle: it is read as fast as it may come.
                while let Err(refusal) = afford(call, pass, batch.len()) {
                    let Some(wait) = refusal.retry_after else { return Err(refusal.into()) };
                    body.pause(wait).await?;
                }
                receipt.extend(hand_on(call, source, pass, std::mem::take(&mut batch)).await?);
            }
            match (fault, input) {
                (Some(fault), _) => return Err(fault),
                (None, None) => break,
                (None, Some(Ok(input))) => batch.push(input),
                (None, Some(Err(error))) => receipt.push(Published::Refused { error }),
            }
        }
    }
    Ok(())
}

/// Takes so many inputs from what whoever publishes may publish now.
fn afford<S: Service>(call: &Call<S>, pass: &Pass, inputs: usize) -> Result<(), Refusal> {
    call.shared.guests.publish(call.caller.peer, &pass.identity, inputs)
}

/// Gives the inputs to the service.
async fn hand_on<S: Service>(
    call: &Call<S>,
    source: Option<&str>,
    pass: &Pass,
    inputs: Vec<Json>,
) -> Result<Vec<Published>, Rejection> {
    let published = call.answered(call.service().publish(source, pass, inputs)).await;
    let published = published.map_err(|late| late.hint("some of the inputs may have been taken"))?;
    Ok(published?)
}

/// A place among those who publish, for as long as this request is at work.
fn place<S: Service>(call: &Call<S>) -> Result<OwnedSemaphorePermit, Rejection> {
    Arc::clone(&call.shared.publishing).try_acquire_owned().map_err(|_| {
        call.shared.counts.exceeded(Limit::MaxPublishing);
        Refusal::new(ErrorCode::OverCapacity, "too many requests publish at the same time")
            .hint("come back later, or send more in one request")
            .into()
    })
}

/// What `Content-Type` and `Content-Encoding` say about the body.
fn kind(headers: &HeaderMap) -> Result<Kind, Rejection> {
    let refused = |what: &'static str, found: &str| {
        Rejection::new(Fault::UnsupportedMediaType, format!("a body of {what} `{}` is not taken here", clip(found)))
    };
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).map(text).filter(|encoding| encoding != "identity") {
        return Err(refused("encoding", &encoding).hint("send it as it is"));
    }
    let Some(whole) = headers.get(header::CONTENT_TYPE).map(text) else { return Ok(Kind::Json) };
    match whole.split(';').next().unwrap_or_default().trim_end() {
        "application/json" => Ok(Kind::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Ok(Kind::Lines)
        }
        other => Err(refused("type", other)
            .hint("send `Content-Type: application/json` (one event or an array) or `application/x-ndjson`")),
    }
}

/// 413 at once, if `Content-Length` promises more than is taken.
fn refuse_promised(headers: &HeaderMap, max: usize) -> Result<(), Rejection> {
    let promised = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_too_large = promised.is_some_and(|promised| usize::try_from(promised).map_or(true, |bytes| bytes > max));
    if is_too_large { Err(too_large(max)) } else { Ok(()) }
}

/// The inputs in a body of JSON.
fn inputs(body: &Bytes, max: usize) -> Result<Vec<Json>, Rejection> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return Ok(vec![read(body)?]);
    }
    let inputs: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| not_json(JsonError::from(error)))?;
    if inputs.len() > max {
        return Err(too_many(max));
    }
    inputs.into_iter().map(|input| Ok(Json::parse(input.get()).map_err(not_json)?)).collect()
}

/// One JSON value.
fn read(text: &Bytes) -> Result<Json, Refusal> {
    Json::parse(std::str::from_utf8(text).map_err(not_json)?).map_err(not_json)
}

fn not_json(error: impl Display) -> Refusal {
    Refusal::new(ErrorCode::InvalidJson, format!("the input cannot be read: {error}"))
}

fn too_many(max: usize) -> Rejection {
    Rejection::new(Fault::PayloadTooLarge, format!("one request has at most {max} inputs"))
        .hint("send the rest in another request")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_type_says_how_the_body_is_read() {
        for (value, expected) in [
            ("application/json", Some(Kind::Json)),
            ("Application/JSON; charset=utf-8", Some(Kind::Json)),
            ("application/x-ndjson", Some(Kind::Lines)),
            ("application/jsonl ;x", Some(Kind::Lines)),
            ("text/plain", None),
            ("application/x-www-form-urlencoded", None),
            ("", None),
        ] {
            assert_eq!(kind(&headers(header::CONTENT_TYPE, value)).ok(), expected, "{value:?}");
        }
        assert_eq!(kind(&HeaderMap::new()).ok(), Some(Kind::Json));
        assert!(kind(&headers(header::CONTENT_ENCODING, "identity")).is_ok());
        assert!(kind(&headers(header::CONTENT_ENCODING, "gzip")).is_err());
    }

    #[test]
    fn a_body_is_one_input_or_an_array_of_them() {
        for (body, expected) in [
            ("1", Some(1)),
            (" {\"a\": [1,2]} ", Some(1)),
            ("[]", Some(0)),
            (" [1, 2]", Some(2)),
            ("[[1,2]]", Some(1)),
            ("[1,2,3]", Some(3)),
            ("[1,2,3,4]", None),
            ("", None),
            ("[1,2", None),
            ("{} {}", None),
            ("nonsense", None),
        ] {
            let found = inputs(&Bytes::from_static(body.as_bytes()), 3);
            assert_eq!(found.ok().map(|inputs| inputs.len()), expected, "{body:?}");
        }
        assert!(inputs(&Bytes::from_static(b"\"\xff\""), 3).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        for (depth, is_fine) in [(100, true), (200_000, false)] {
            let body = Bytes::from(format!("{}1{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2)));
            assert_eq!(read(&body).is_ok(), is_fine, "{depth}");
        }
    }
}
