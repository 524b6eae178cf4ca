//! Which path leads where. One file per group of routes; this one joins them, and says what there is when nothing fits.
//!
//! The path decides: from there on a route gives the answer, whatever it is. So the only thing that a filter here rejects
//! is a path, and no other route is tried with a request that was meant for one.

mod connections;
mod contract;
mod health;
mod index;
mod metrics;
mod parameters;
mod publish;
mod socket;
mod topics;

use std::{net::SocketAddr, sync::Arc};

use http::{Method, StatusCode};
use standpipe_protocol::{
    ErrorCode, Json, Refusal,
    refusal::{clip, did_you_mean},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp::{Filter, filters::BoxedFilter};

pub(crate) use health::probe;
#[cfg(test)]
pub(crate) use {index::Index, publish::Receipt};

use crate::{
    Config, Counts, Guests, Service,
    answer::Response,
    idempotency::Memory,
    operations::Denial,
    rejection::{Fault, Rejection},
};

/// Every route: its methods, its path, what it is for. The index, the 404 and the documentation are made from it.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/", "this index; for browsers the console; with an upgrade header, the same as /ws"),
    ("GET", "/ws", "WebSocket: events, selected by the URL or by messages"),
    ("GET", "/ws/{topic}", "WebSocket: events of one topic pattern"),
    ("GET", "/events", "the same as server-sent events, selected by the URL"),
    ("GET", "/live", "whether the process lives"),
    ("GET", "/ready", "whether new clients should come here"),
    ("GET", "/status", "aggregates"),
    ("GET", "/metrics", "metrics for Prometheus"),
    ("GET, DELETE", "/connections", "connections, a page at a time; close those of ?subject="),
    ("GET, DELETE", "/connections/{id}", "one connection; close it"),
    ("GET", "/sources", "the state of the sources"),
    ("GET", "/topics", "the topics that the log holds, a page at a time"),
    ("POST", "/publish", "events for a push source: one, an array, or NDJSON"),
    ("POST", "/drain", "begin the drain"),
    ("GET", "/openapi.json", "what is answered over HTTP, as OpenAPI 3.1"),
    ("GET", "/asyncapi.json", "what is said on a socket, as AsyncAPI 3.0"),
];

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) service: Arc<S>,
    pub(crate) config: Config,
    pub(crate) counts: Arc<Counts>,
    pub(crate) guests: Arc<Guests>,
    /// Cancelled once no socket is opened any more.
    pub(crate) stop: CancellationToken,
    /// A place for each `/publish` at work.
    pub(crate) publishing: Arc<Semaphore>,
    /// What `/publish` has answered to requests that may come again.
    pub(crate) idempotency: Arc<Memory>,
    /// Where what outlives its request runs.
    pub(crate) tasks: TaskTracker,
}

/// Where a request comes from. The entry puts it into the request's extensions before the routes see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The client, with port 0 if a proxy stands between.
    pub(crate) peer: SocketAddr,
    /// Whether it may use the operations.
    pub(crate) operator: Result<(), Denial>,
}

/// One request on its route.
#[derive(Debug)]
struct Call<S> {
    method: Method,
    caller: Caller,
    shared: Arc<Shared<S>>,
}

const GET: (&[Method], &str) = (&[Method::GET, Method::HEAD], "GET, HEAD");
const POST: (&[Method], &str) = (&[Method::POST], "POST");

impl<S: Service> Call<S> {
    /// 405, unless the method is one of these.
    fn only(&self, (methods, allow): (&[Method], &'static str)) -> Result<(), Rejection> {
        if methods.contains(&self.method) { Ok(()) } else { Err(Rejection::method(&self.method, allow)) }
    }

    /// 401 or 403, unless the caller may use the operations.
    fn operator(&self) -> Result<(), Rejection> {
        self.caller.operator.map_err(|denial| Refusal::from(denial).into())
    }

    fn service(&self) -> &S {
        &self.shared.service
    }

    /// The service's answer, or 504.
    async fn answered<T>(&self, question: impl Future<Output = T>) -> Result<T, Rejection> {
        let patience = self.shared.config.deadlines.answer;
        timeout(patience, question).await.map_err(|_| {
            Rejection::new(Fault::AnswerTimeout, format!("the server found no answer within {patience:?}"))
                .hint("it is busy; ask again later")
        })
    }
}

/// Takes what every route needs from the request. Rejects nothing.
fn call<S: Service>(
    shared: &Arc<Shared<S>>,
) -> impl Filter<Extract = (Call<S>,), Error = warp::Rejection> + Clone + Send + Sync + 'static {
    let shared = Arc::clone(shared);
    warp::method().and(warp::ext::get::<Caller>()).map(move |method, caller| Call {
        method,
        caller,
        shared: Arc::clone(&shared),
    })
}

/// All routes. The most frequent one first.
pub(crate) fn all<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    publish::routes(shared)
        .or(socket::routes(shared))
        .unify()
        .or(index::routes(shared))
        .unify()
        .or(health::routes(shared))
        .unify()
        .or(metrics::routes(shared))
        .unify()
        .or(connections::routes(shared))
        .unify()
        .or(topics::routes(shared))
        .unify()
        .or(contract::routes(shared))
        .unify()
        .or(warp::path::full().map(|path: warp::path::FullPath| nothing_at(path.as_str()).into_response()))
        .unify()
        .boxed()
}

/// 404, with all that there is.
fn nothing_at(path: &str) -> Rejection {
    let refusal = Refusal::new(ErrorCode::NotFound, format!("there is nothing at `{}`", clip(path)));
    let rejection = Rejection::from(match did_you_mean(path, ROUTES.iter().map(|(_, path, _)| *path)) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal,
    });
    rejection.detail("routes", listing())
}

/// All routes, as a JSON array of `"GET /path"`.
fn listing() -> Json {
    let lines = ROUTES.iter().map(|(methods, path, _)| format!("\"{methods} {path}\""));
    Json::written(format!("[{}]", lines.collect::<Vec<_>>().join(",")))
}

/// 200 with JSON.
fn ok(json: &Json) -> Response {
    crate::answer::json(StatusCode::OK, json.as_str().to_owned())
}

/// The query, raw; empty if there is none.
fn query() -> impl Filter<Extract = (String,), Error = std::convert::Infallible> + Copy + Send + Sync + 'static {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}
