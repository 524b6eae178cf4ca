//! The HTTP API: how a call comes in, and what goes wrong with it. What it does is in `call`.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Fault, answer::Answer, call::Call, coding, events, platform::State};

/// The largest body, in bytes (the platform's documentation).
const MAX_BODY: usize = 9_437_184;

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
    let body = match coding::decode(&head.headers, body.to_bytes(), MAX_BODY) {
        Ok(body) => body,
        Err(answer) => return Ok(answer.into_response()),
    };
    if let Some(answer) = own(&head, &state) {
        return Ok(answer.into_response());
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

/// What the real platform has not: its state, as a page for those who ask for one, and the logs of runs.
fn own(head: &http::request::Parts, state: &State) -> Option<Answer> {
    let wants_page = || {
        let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/html"))
    };
    match head.uri.path() {
        "/" if wants_page() => {
            let page = include_str!("page.html");
            Some(Answer::raw(HeaderValue::from_static("text/html; charset=utf-8"), page.into()))
        }
        "/" | "/standby/state" => Some(Answer::bare(StatusCode::OK, state.object())),
        path => {
            let log = state.log(path.strip_prefix("/standby/log/")?)?.lines().0.join("\n");
            Some(Answer::raw(HeaderValue::from_static("text/plain; charset=utf-8"), log.into()))
        }
    }
}

fn refusal(status: u16, retry_after: Option<u64>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status == StatusCode::TOO_MANY_REQUESTS { "rate-limit-exceeded" } else { "internal-error" };
    Answer::error(status, kind, "as was asked for").with_pause(retry_after)
}
