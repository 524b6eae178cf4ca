//! The routes that become a WebSocket: `/ws`, `/ws/{topic}`, and `/` with an upgrade header.
//!
//! In this order a request is turned away: its address comes too often (429), it is no handshake (400, 426), its page may not (403), its URL asks for what
//! cannot be (4xx), there is no room (503). To a page, what is wrong with the URL is said on the socket instead: see
//! [`Admitted::query`].

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use standpipe_protocol::{ErrorCode, Refusal};
use standpipe_selection::Query;
use tokio::time::sleep;
use warp::{Filter, filters::BoxedFilter, path::Tail};

use super::{Call, GET, Shared, call, query};
use crate::{
    Pass, Service,
    answer::{self, Response},
    counts::Code,
    rejection::Rejection,
    upgrade::{self, Admitted, Handshake},
};

/// A handshake, as it stands in the extensions of a request that means to be one.
type Extension<S> = Arc<Handshake<<S as Service>::Permit>>;

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let ws = warp::path("ws")
        .and(warp::path::tail())
        .and(warp::ext::optional::<Extension<S>>())
        .and(call(shared))
        .and(query())
        .then(|topic: Tail, handshake: Option<Extension<S>>, call: Call<S>, query: String| async move {
            match handshake {
                Some(handshake) => answered(&call, &handshake, topic.as_str(), &query).await,
                None => answer::of(Err(call.only(GET).err().unwrap_or_else(upgrade::required))),
            }
        });
    // Without a handshake, `/` is the index: the next route.
    let root =
        warp::path::end().and(warp::ext::get::<Extension<S>>()).and(call(shared)).and(query()).then(
            |handshake: Extension<S>, call: Call<S>, query: String| async move {
                answered(&call, &handshake, "", &query).await
            },
        );
    ws.or(root).unify().boxed()
}

/// The answer to a handshake, held back if it is once more the same no.
async fn answered<S: Service>(call: &Call<S>, handshake: &Handshake<S::Permit>, topic: &str, query: &str) -> Response {
    let shared = &call.shared;
    let peer = call.caller.peer;
    let opened = match shared.guests.knock(peer) {
        Ok(()) => open(shared, handshake, topic, query),
        Err(refusal) => Err(refusal.into()),
    };
    let response = answer::of(opened);
    let is_storm =
        response.extensions().get().is_some_and(|Code(code)| STORMS.iter().any(|storm| storm.as_str() == *code));
    // Without randomness all would come back together: then nothing is held back.
    let delay =
        if is_storm { getrandom::u64().ok().and_then(|random| shared.guests.hold_back(peer, random)) } else { None };
    if let Some(delay) = delay {
        shared.stop.run_until_cancelled(sleep(delay.length)).await;
    }
    response
}

/// The answers that clients come back for as fast as they are given, if nobody slows them down. Who is wrong about the
/// URL is told at once: a person may be trying.
const STORMS: [ErrorCode; 4] =
    [ErrorCode::OverCapacity, ErrorCode::RateLimited, ErrorCode::Unauthorized, ErrorCode::Forbidden];

/// Opens the socket, or says why not.
fn open<S: Service>(
    shared: &Shared<S>,
    handshake: &Handshake<S::Permit>,
    topic: &str,
    query: &str,
) -> Result<Response, Rejection> {
    let headers = handshake.outcome.clone()?;
    let offer = &handshake.offer;
    if let Some(origin) = &offer.origin {
        shared.config.origins.judge(origin, offer.host.as_deref())?;
    }
    let query = parse(shared, topic, query);
    if let (Err(refusal), None) = (&query, &offer.origin) {
        return Err(refusal.clone().into());
    }
    if shared.stop.is_cancelled() {
        return Err(Refusal::new(ErrorCode::Draining, "the server is going away")
            .hint("another one will answer")
            .into());
    }
    let pass = Pass::anonymous();
    let permit = shared.service.admit(offer.peer, &pass.identity)?;
    let mut offer = offer.clone();
    let in_url = query.as_ref().ok().and_then(|query| query.access_token.clone());
    Ok(handshake.accept(
        headers,
        Admitted {
            permit,
            peer: offer.peer,
            query,
            credential: offer.credential.take().or(in_url),
            pass,
            request_id: offer.request_id,
            user_agent: offer.user_agent,
            origin: offer.origin,
        },
    ))
}

/// What the URL asks for. No source declares parameters so far, so none is known.
fn parse<S: Service>(shared: &Shared<S>, topic: &str, query: &str) -> Result<Query, Refusal> {
    let topic = percent_decode_str(topic).decode_utf8().map_err(|_| {
        Refusal::new(ErrorCode::InvalidTopic, "the topic in the path is not UTF-8").hint("percent-encode UTF-8 bytes")
    })?;
    let topic = (!topic.is_empty()).then_some(topic.as_ref());
    let query = Query::parse(query, topic, &[], &shared.config.bounds)?;
    shared.service.check(&query)?;
    Ok(query)
}
