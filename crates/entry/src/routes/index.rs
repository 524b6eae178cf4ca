//! `GET /`: what this is, and where to go from here; for people at a browser, the console.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use standpipe_protocol::PROTOCOL;
use warp::{Filter, filters::BoxedFilter};

use super::{Call, GET, ROUTES, Shared, call};
use crate::{
    Service,
    answer::{self, Response},
    console,
    operations::Denial,
    rejection::Rejection,
};

/// The answer to `GET /`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Index {
    name: &'static str,
    version: &'static str,
    protocol: u32,
    /// Whether operations would be answered to whoever asks: `yes`, `token` if they want the admin token, or `no`.
    operations: &'static str,
    routes: Vec<Line>,
}

/// What a path is for.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Line {
    method: &'static str,
    path: &'static str,
    about: &'static str,
}

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    warp::path::end()
        .and(call(shared))
        .and(warp::header::headers_cloned())
        .map(|call: Call<S>, headers: HeaderMap| answer::of(index(&call, &headers)))
        .boxed()
}

fn index<S: Service>(call: &Call<S>, headers: &HeaderMap) -> Result<Response, Rejection> {
    call.only(GET)?;
    if console::is_wanted(headers)
        && let Some(page) = console::page(headers)
    {
        return Ok(page);
    }
    let lines = ROUTES.iter().map(|&(method, path, about)| Line { method, path, about });
    let index = Index {
        name: "standpipe",
        version: env!("CARGO_PKG_VERSION"),
        protocol: PROTOCOL,
        operations: match call.caller.operator {
            Ok(()) => "yes",
            Err(Denial::NoToken | Denial::WrongToken) => "token",
            Err(_) => "no",
        },
        routes: lines.collect(),
    };
    let mut response = answer::json(StatusCode::OK, serde_json::to_string(&index).unwrap_or_default());
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}
