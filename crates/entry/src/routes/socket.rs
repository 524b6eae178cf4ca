//! The routes that become a WebSocket: `/ws`, `/ws/{topic}`, and `/` with an upgrade header; and `/events`, which becomes
//! an event stream.
//!
//! In this order a request is turned away: its address comes too often (429), it is no handshake (400, 426), its page may
//! not (403), its URL cannot be read (4xx), its credential is not accepted (401), its URL asks for what cannot be, or may
//! not (4xx), there is no room (503). To a page, all that has to do with the URL or the credential is said on the socket
//! instead: see [`Admitted::query`]. In an event stream it is not: a page's `EventSource` goes on asking until it is
//! answered with a status.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use standpipe_protocol::{ErrorCode, Refusal, Transport};
use standpipe_selection::Query;
use tokio::time::sleep;
use warp::{Filter, filters::BoxedFilter, path::Tail};

use super::{Call, GET, Shared, call, query};
use crate::{
    Pass, Service,
    answer::{self, Response},
    counts::Code,
    rejection::Rejection,
    stream,
    upgrade::{self, Admitted, Handshake, Offer},
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
    let events = warp::path("events")
        .and(warp::path::end())
        .and(warp::ext::get::<Extension<S>>())
        .and(call(shared))
        .and(query())
        .then(|handshake: Extension<S>, call: Call<S>, query: String| async move {
            answered(&call, &handshake, "", &query).await
        });
    ws.or(root).unify().or(events).unify().boxed()
}

/// The answer to a handshake, held back if it is once more the same no.
async fn answered<S: Service>(call: &Call<S>, handshake: &Handshake<S::Permit>, topic: &str, query: &str) -> Response {
    let shared = &call.shared;
    let peer = call.caller.peer;
    let page = may_ask(shared, handshake);
    let is_shared = handshake.transport == Transport::Sse && page.is_ok();
    let opened = match shared.guests.knock(peer) {
        Ok(()) => open(call, handshake, page, topic, query).await,
        Err(refusal) => Err(refusal.into()),
    };
    let mut response = match (opened, handshake.transport) {
        (Err(rejection), Transport::Sse) => stream::refused(rejection, handshake.offer.accepts),
        (opened, _) => answer::of(opened),
    };
    if let Some(origin) = handshake.offer.origin.as_ref().filter(|_| is_shared) {
        stream::share(response.headers_mut(), origin);
    }
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
const STORMS: [ErrorCode; 5] = [
    ErrorCode::OverCapacity,
    ErrorCode::RateLimited,
    ErrorCode::Unauthorized,
    ErrorCode::TokenExpired,
    ErrorCode::Forbidden,
];

/// Whether the page that asks, if one does, may open a socket or a stream.
fn may_ask<S: Service>(shared: &Shared<S>, handshake: &Handshake<S::Permit>) -> Result<(), Refusal> {
    let (offer, origins) = (&handshake.offer, &shared.config.origins);
    match (handshake.transport, &offer.origin) {
        (Transport::Sse, _) => stream::judge(origins, offer),
        (Transport::WebSocket, Some(origin)) => origins.judge(origin, offer.host.as_deref()),
        (Transport::WebSocket, None) => Ok(()),
    }
}

/// Opens the socket or the stream, or says why not.
async fn open<S: Service>(
    call: &Call<S>,
    handshake: &Handshake<S::Permit>,
    page: Result<(), Refusal>,
    topic: &str,
    query: &str,
) -> Result<Response, Rejection> {
    let shared = &*call.shared;
    let (transport, offer) = (handshake.transport, &handshake.offer);
    if transport == Transport::Sse && call.method == Method::OPTIONS {
        page?;
        return Ok(stream::preflight());
    }
    let headers = handshake.outcome.clone()?;
    page?;
    let asked = call.answered(asked(shared, transport, offer, topic, query)).await?;
    let is_told_on_the_socket = transport == Transport::WebSocket && offer.origin.is_some();
    if let Err(refusal) = &asked
        && !is_told_on_the_socket
    {
        return Err(refusal.clone().into());
    }
    if shared.stop.is_cancelled() {
        return Err(Refusal::new(ErrorCode::Draining, "the server is going away")
            .hint("another one will answer")
            .into());
    }
    let (query, pass, claim) = match asked {
        Ok((query, pass, claim)) => (Ok(query), pass, Some(claim)),
        Err(refusal) => (Err(refusal), Pass::nobody(), None),
    };
    let permit = shared.service.admit(offer.peer, &pass.identity, claim)?;
    let Offer { peer, request_id, user_agent, origin, .. } = offer.clone();
    Ok(handshake.accept(headers, Admitted { permit, transport, peer, query, pass, request_id, user_agent, origin }))
}

/// What the URL asks for, who asks, and what was found for them.
async fn asked<S: Service>(
    shared: &Shared<S>,
    transport: Transport,
    offer: &Offer,
    topic: &str,
    query: &str,
) -> Result<(Query, Pass, S::Claim), Refusal> {
    let mut query = parse(shared, topic, query)?;
    if transport == Transport::Sse {
        query = stream::fit(query, offer.last_event_id.as_deref())?;
    }
    let shown: Vec<_> = offer.credentials.iter().cloned().chain(query.access_token.take()).collect();
    let pass = shared.service.auth().admit(&shown).await?;
    let claim = shared.service.check(&query, &pass, transport, offer.peer, offer.request_id.as_deref())?;
    Ok((query, pass, claim))
}

/// What the URL asks for.
fn parse<S: Service>(shared: &Shared<S>, topic: &str, query: &str) -> Result<Query, Refusal> {
    let topic = percent_decode_str(topic).decode_utf8().map_err(|_| {
        Refusal::new(ErrorCode::InvalidTopic, "the topic in the path is not UTF-8").hint("percent-encode UTF-8 bytes")
    })?;
    let topic = (!topic.is_empty()).then_some(topic.as_ref());
    Query::parse(query, topic, &shared.config.params, &shared.config.bounds)
}
