//! The HTTP API: which call is whose, who may make it, and what goes wrong with it.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Fault,
    answer::Answer,
    charge::{self, Accepted},
    events,
    platform::State,
};

/// The largest body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// How long the head of a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut, as was asked for")
    }
}

impl std::error::Error for Cut {}

/// Serves until it is told to stop. Connections are tasks of `tasks`.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Out of descriptors, or the peer has gone: neither is the end.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        tasks.spawn(converse(stream, Arc::clone(&state), tasks.clone(), stop.clone()));
    }
}

async fn converse(stream: TcpStream, state: Arc<State>, tasks: TaskTracker, stop: CancellationToken) {
    let service = service_fn(|request| answer(request, Arc::clone(&state), tasks.clone(), stop.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        () = stop.cancelled() => {}
        // However it ended, there is nobody to tell.
        _ = connection => {}
    }
}

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> Result<Response<Full<Bytes>>, Cut> {
    if let Some(run) = request.uri().path().strip_prefix("/events/").map(str::to_owned) {
        return Ok(events::open(&mut request, &run, &state, &tasks, stop));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let message = "the body is larger than any that there is a use for";
        return Ok(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", message).into_response());
    };
    let body = body.to_bytes();
    if head.uri.path() == "/standby/state" {
        return Ok(Answer::bare(StatusCode::OK, state.object()).into_response());
    }
    let call = Call { head, body, state };
    let done = |call: &Call| call.run().into_response();
    match call.state.count_call() {
        None => Ok(done(&call)),
        Some(Fault::Refused(status, retry_after)) => Ok(refusal(status, retry_after).into_response()),
        Some(Fault::DoneAndRefused(status)) => {
            done(&call);
            Ok(refusal(status, None).into_response())
        }
        Some(Fault::DoneAndCut) => {
            done(&call);
            Err(Cut)
        }
        Some(Fault::Cut) => Err(Cut),
        Some(Fault::Slow(wait)) => {
            let response = done(&call);
            tokio::time::sleep(wait).await;
            Ok(response)
        }
        Some(Fault::Late(wait)) => {
            // Whoever asked may be gone by then: it takes place all the same.
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => drop(call.run()),
                }
            });
            std::future::pending::<Infallible>().await;
            Err(Cut)
        }
    }
}

fn refusal(status: u16, retry_after: Option<u64>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status == StatusCode::TOO_MANY_REQUESTS { "rate-limit-exceeded" } else { "internal-error" };
    Answer { retry_after, ..Answer::error(status, kind, "as was asked for") }
}

/// One call, whole.
struct Call {
    head: Parts,
    body: Bytes,
    state: Arc<State>,
}

impl Call {
    /// Does what is asked for.
    fn run(&self) -> Answer {
        let path: Vec<&str> = self.head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        match (&self.head.method, path.as_slice()) {
            (&Method::GET, ["v2", "actor-runs", run]) => self.show(run),
            (&Method::POST, ["v2", "actor-runs", run, "charge"]) => self.charge(run),
            _ => Answer::error(StatusCode::NOT_FOUND, "page-not-found", "there is no such call"),
        }
    }

    fn show(&self, run: &str) -> Answer {
        if let Err(answer) = self.authorize(run) {
            return answer;
        }
        self.state.runs().get(run).map_or_else(not_found, |live| Answer::data(&live.object()))
    }

    fn charge(&self, run: &str) -> Answer {
        if let Err(answer) = self.authorize(run) {
            return answer;
        }
        let mut runs = self.state.runs();
        let Some(live) = runs.get_mut(run) else { return not_found() };
        let key = self.header("idempotency-key");
        match charge::look(live, key, &self.body) {
            Ok(accepted) => {
                let paid = accepted.apply(live, Instant::now());
                drop(runs);
                if let Some((payer, count)) = paid {
                    self.state.paid(payer, count);
                }
                Accepted::answer()
            }
            Err(answer) => answer,
        }
    }

    /// A run is its own token's, and nobody else's.
    fn authorize(&self, run: &str) -> Result<(), Answer> {
        let given = self.header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        let runs = self.state.runs();
        if !runs.values().any(|live| Some(live.run.token.as_str()) == given) {
            let message = "User was not found or authentication token is not valid";
            return Err(Answer::error(StatusCode::UNAUTHORIZED, "user-or-token-not-found", message));
        }
        let is_own = runs.get(run).is_some_and(|live| Some(live.run.token.as_str()) == given);
        if is_own { Ok(()) } else { Err(not_found()) }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn not_found() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "record-not-found", "Actor run was not found")
}
