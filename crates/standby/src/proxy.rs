//! The way from a caller to a run: who calls, which run it is, and what is said where there is no answer.
//!
//! Requests and answers pass as they are, apart from headers that are between two hops only, and from
//! `X-Actor-Request-ID`, which is the platform's. The token passes, too (the platform's local runtime). Bodies are passed on
//! as they come (`relay`), sockets in `tunnel`.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    answer::Answer,
    deployment::{Shared, Ticket},
    hosted::{How, Phase},
    relay::{self, Outgoing},
    tunnel,
};

/// What the platform puts into every request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-actor-request-id");

/// Where a token may stand besides `Authorization` and the query.
const TOKEN: HeaderName = HeaderName::from_static("x-apify-authorization");

/// Headers that are between two hops (RFC 9110 §7.6.1). `Upgrade` and `Connection` are dealt with apart.
const HOP_BY_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Serves until the platform ends.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Out of descriptors, or the peer has gone: neither is the end.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        shared.tasks.spawn(converse(stream, Arc::clone(&shared)));
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    let mut builder = server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(shared.timing.first_response);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        // However it ended, there is nobody to tell.
        _ = connection => {}
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Outgoing>, Infallible> {
    Ok(forward(request, &shared).await.unwrap_or_else(|answer| answer.into_response().map(Outgoing::Whole)))
}

async fn forward(mut request: Request<Incoming>, shared: &Arc<Shared>) -> Result<Response<Outgoing>, Answer> {
    let arrived = Instant::now();
    let Some(token) = token(&request) else {
        let message = "Authentication token is not provided";
        return Err(Answer::error(StatusCode::UNAUTHORIZED, "user-not-authenticated", message));
    };
    let Some(caller) = shared.state.caller(&token) else {
        let message = "User was not found or authentication token is not valid";
        return Err(Answer::error(StatusCode::UNAUTHORIZED, "user-or-token-not-found", message));
    };
    let ticket = shared.admit(&caller).map_err(|error| unavailable("standby-run-failed", &error.to_string()))?;
    let stream = timeout_at(arrived + shared.timing.hold, reach(shared, &ticket)).await;
    let stream = stream.unwrap_or_else(|_| Err(not_ready(&ticket.request.run)))?;
    let broken = |error: &dyn std::error::Error| {
        let message = format!("The Actor's standby run {} did not answer: {error}", ticket.request.run);
        Answer::error(StatusCode::BAD_GATEWAY, "standby-bad-gateway", &message)
    };
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            // What is wrong with it is told where its answer is waited for.
            _ = connection.with_upgrades() => {}
        }
    });
    let upgrade = hyper::upgrade::on(&mut request);
    prepare(&mut request, &ticket.request.id);
    let answered = timeout_at(arrived + shared.timing.first_response, sender.send_request(request)).await;
    let mut response = match answered {
        Ok(answered) => answered.map_err(|error| broken(&error))?,
        Err(late) => return Err(broken(&late)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut response);
        shared.tasks.spawn(tunnel::run(upgrade, upstream, ticket, Arc::clone(shared)));
        return Ok(response.map(|_| Outgoing::Whole(Full::default())));
    }
    strip(response.headers_mut());
    Ok(relay::start(response, ticket, shared))
}

/// Connects to the run of a ticket, once that is ready. The run is asked again when it refuses.
async fn reach(shared: &Shared, ticket: &Ticket) -> Result<TcpStream, Answer> {
    let run = &ticket.request.run;
    let gone = || unavailable("standby-run-finished", "The Actor's standby run is not known any more");
    let mut phase = shared.phase(run).ok_or_else(gone)?;
    loop {
        let address =
            address(run, phase.wait_for(|phase| *phase != Phase::Starting).await.map_err(|_| gone())?.clone())?;
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A small answer does not wait for another.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                shared.doubt(run).notify_one();
                // Until that has been noticed, or for a moment.
                let _ = timeout(shared.timing.probe_interval, phase.changed()).await;
            }
            Err(error) => return Err(unavailable("standby-run-failed", &error.to_string())),
        }
    }
}

/// Where a run answers, or why it does not.
fn address(run: &str, phase: Phase) -> Result<SocketAddr, Answer> {
    match phase {
        Phase::Ready(address) => Ok(address),
        Phase::Ended(ending) if ending.how == How::Deaf => Err(not_ready(run)),
        Phase::Ended(ending) if ending.how == How::Unstartable => Err(unavailable(
            "standby-run-failed",
            &format!("Could not start a standby run of the Actor: {}", ending.message),
        )),
        Phase::Ended(ending) => {
            let (how, why) = (ending.how.word(), ending.message);
            let message = format!(
                "The Actor's standby run {run} finished ({how}: {why}) before serving the request; see its log."
            );
            Err(unavailable("standby-run-finished", &message))
        }
        Phase::Starting | Phase::Ending => {
            let message = format!("The Actor's standby run {run} is about to finish; see its log.");
            Err(unavailable("standby-run-finished", &message))
        }
    }
}

fn unavailable(kind: &str, message: &str) -> Answer {
    Answer::error(StatusCode::SERVICE_UNAVAILABLE, kind, message)
}

fn not_ready(run: &str) -> Answer {
    let message = format!(
        "The Actor's standby run {run} did not start listening on its standby port (ACTOR_STANDBY_PORT) in time; see its log."
    );
    Answer::error(StatusCode::GATEWAY_TIMEOUT, "standby-run-not-ready", &message)
}

/// The caller's token, wherever it stands.
fn token<B>(request: &Request<B>) -> Option<String> {
    let bearer = |name: &HeaderName| {
        let (scheme, token) = request.headers().get(name)?.to_str().ok()?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim().to_owned())
    };
    let query = || {
        let token = request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        (!token.is_empty()).then(|| token.to_owned())
    };
    bearer(&header::AUTHORIZATION).or_else(|| bearer(&TOKEN)).or_else(query)
}

/// Makes the caller's request the platform's.
fn prepare<B>(request: &mut Request<B>, id: &str) {
    let path = request.uri().path_and_query().and_then(|path| path.as_str().parse().ok());
    *request.uri_mut() = path.unwrap_or_default();
    *request.version_mut() = Version::HTTP_11;
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    strip(request.headers_mut());
    if let Some(upgrade) = upgrade {
        request.headers_mut().insert(header::UPGRADE, upgrade);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        request.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Takes off what is between two hops only: the headers that are known to be, and those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in HOP_BY_HOP.iter().chain(&named).chain(&[header::CONNECTION, header::UPGRADE]) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_either_header_and_in_the_query() {
        let request = |headers: &[(&str, &str)], uri: &str| {
            let request =
                headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
            token(&request.body(()).unwrap())
        };
        assert_eq!(request(&[("authorization", "bearer  a ")], "/").as_deref(), Some("a"));
        assert_eq!(request(&[("x-apify-authorization", "Bearer b")], "/?token=c").as_deref(), Some("b"));
        assert_eq!(request(&[("authorization", "Basic xyz")], "/ws?a=b&token=c").as_deref(), Some("c"));
        assert_eq!(request(&[("authorization", "Bearer ")], "/?tokens=c&token="), None);
    }

    #[test]
    fn what_is_between_two_hops_does_not_pass_and_the_platforms_id_is_its_own() {
        let mut request = Request::get("http://a:1/path?token=t")
            .header("connection", "close, X-Between")
            .header("x-between", "1")
            .header("keep-alive", "5")
            .header("x-actor-request-id", "forged")
            .header("authorization", "Bearer t")
            .body(())
            .unwrap();
        prepare(&mut request, "own");
        assert_eq!(request.uri(), "/path?token=t");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "x-actor-request-id"]);
        assert_eq!(request.headers()["x-actor-request-id"], "own");
    }
}
