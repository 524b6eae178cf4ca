//! The event stream (`GET /events`, server-sent events): what makes a request one, how it is answered, and what its URL may
//! ask for.
//!
//! Its answer has no end, and it is written by [`Service::serve`](crate::Service::serve): hyper gives the connection up once
//! it has routed the request, as for a WebSocket, and the head is written by hand. The body ends with the connection (RFC
//! 9112 §6.3), so nothing frames it.

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use standpipe_protocol::{After, ErrorCode, Refusal};
use standpipe_selection::Query;

use crate::{
    answer::{self, Response},
    origin::Origins,
    rejection::{Fault, Rejection},
    upgrade::{self, Offer},
};

/// The one path of event streams.
pub(crate) const PATH: &str = "/events";

const MEDIA_TYPE: &str = "text/event-stream";

/// What a page of another origin may send beyond what every page may.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization, cache-control, last-event-id");

/// What a client says that it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Event streams, by name: it is an `EventSource`, or like one.
    Streams,
    /// Anything, or it does not say.
    Anything,
}

impl Accepts {
    /// What the headers of a request say.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let names = lines.flat_map(|line| line.split(',')).any(|one| one.trim_start().starts_with(MEDIA_TYPE));
        if names { Self::Streams } else { Self::Anything }
    }
}

/// Whether the request is for an event stream, rightly or wrongly.
pub(crate) fn is_meant<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}

/// The headers of the answer, or why there will be no stream.
pub(crate) fn outcome<B>(request: &Request<B>) -> Result<HeaderMap, Rejection> {
    if request.method() != Method::GET {
        return Err(Rejection::method(request.method(), "GET"));
    }
    if upgrade::is_meant(request.headers()) {
        let message = "this is a stream of server-sent events, no WebSocket";
        return Err(Rejection::new(Fault::BadHandshake, message).hint("open a WebSocket at /ws"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        // A proxy that holds back, stores or packs what comes makes a stream of events something else.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(headers)
}

/// Whether the page that asks, if one does, may open a stream.
///
/// Browsers name a page in `Origin`, but not where it and the stream are of one host. Such a page is known by `User-Agent`,
/// which no page can change there, and its host by `Host`: a stranger's name that was pointed here would not even be
/// asked about otherwise (DNS rebinding).
///
/// # Errors
/// `FORBIDDEN`, saying what would let the page in.
pub(crate) fn judge(origins: &Origins, offer: &Offer) -> Result<(), Refusal> {
    let host = offer.host.as_deref();
    let is_browser = offer.user_agent.as_deref().is_some_and(|agent| agent.starts_with("Mozilla/"));
    match (&offer.origin, host) {
        (Some(origin), _) => origins.judge(origin, host),
        // Whether it came by TLS, a proxy knows.
        (None, Some(name)) if is_browser => {
            origins.judge(&format!("https://{name}"), host).or_else(|_| origins.judge(&format!("http://{name}"), host))
        }
        (None, _) => Ok(()),
    }
}

/// What the URL asks for, as far as that can be had here; `last_event_id` is where the client goes on from.
///
/// # Errors
/// `INVALID_FIELD` for what only a WebSocket has, or if nothing is selected; `INVALID_CURSOR`.
pub(crate) fn fit(query: Query, last_event_id: Option<&str>) -> Result<Query, Refusal> {
    for (is_there, name) in [(query.confirm.is_some(), "confirm"), (query.resume.is_some(), "resume")] {
        if is_there {
            let message = format!("the parameter `{name}` has no meaning over SSE, where nothing is proven");
            let hint = "leave it out; what is to be proven is sent by WebSocket, at /ws";
            return Err(Refusal::new(ErrorCode::InvalidField, message).hint(hint));
        }
    }
    if query.selection.is_none() {
        let message = "the URL selects nothing, and over SSE no message can";
        return Err(Refusal::new(ErrorCode::InvalidField, message).hint("add `topics=…`; `topics=%3E` is everything"));
    }
    let Some(id) = last_event_id.filter(|id| !id.is_empty()) else { return Ok(query) };
    // A browser that comes back has the URL that it came with; where it is now, the header says.
    let after = id.parse::<After>().map_err(|error| {
        Refusal::new(ErrorCode::InvalidCursor, format!("the header `Last-Event-ID`: {error}"))
            .hint("send the last `id` of the stream as it stood there")
    })?;
    Ok(Query { after: Some(after), ..query })
}

/// What is answered who is to come back later. An `EventSource` that is answered with a status gives up for ever (HTML
/// §9.2.3), so it is answered with a stream that says when, and why, and ends.
pub(crate) fn refused(rejection: Rejection, accepts: Accepts) -> Response {
    let Some(seconds) = rejection.retry_after().filter(|_| accepts == Accepts::Streams) else {
        return rejection.into_response();
    };
    let text = format!("retry: {}\ndata: {}\n\n", seconds.saturating_mul(1000), rejection.message());
    let mut response = answer::answer(StatusCode::OK, MEDIA_TYPE, text);
    response.extensions_mut().insert(rejection.code());
    response
}

/// Lets a page that may ask read the answer, whatever it is.
pub(crate) fn share(headers: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// The answer to a page's browser that asks whether the page may ask.
pub(crate) fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}
