//! Whether the process lives, whether it takes clients, how it does: open to everybody.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use warp::{Filter, filters::BoxedFilter};

use super::{Call, GET, Shared, call, ok};
use crate::{
    Service,
    answer::{self, Response},
    rejection::Rejection,
    service::Readiness,
};

/// The header by which the hosting platform asks, on any path, whether the container serves. Its value does not matter.
const PROBE: &str = "x-apify-container-server-readiness-probe";

/// The answer to the platform's probe, if the request is one. The port is bound, so the answer is yes.
pub(crate) fn probe(headers: &HeaderMap) -> Option<Response> {
    headers.contains_key(PROBE).then(|| answer::text(StatusCode::OK, "ready".to_owned()))
}

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let live = warp::path!("live").and(call(shared)).map(|call: Call<S>| answer::of(live(&call)));
    let ready =
        warp::path!("ready").and(call(shared)).then(|call: Call<S>| async move { answer::of(ready(&call).await) });
    let status =
        warp::path!("status").and(call(shared)).then(|call: Call<S>| async move { answer::of(status(&call).await) });
    live.or(ready).unify().or(status).unify().boxed()
}

fn live<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    Ok(answer::json(StatusCode::OK, r#"{"live":true}"#.to_owned()))
}

async fn ready<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    let (status, json) = match call.answered(call.service().ready()).await? {
        Readiness::Ready(json) => (StatusCode::OK, json),
        Readiness::NotReady(json) => (StatusCode::SERVICE_UNAVAILABLE, json),
    };
    Ok(answer::json(status, json.as_str().to_owned()))
}

async fn status<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    Ok(ok(&call.answered(call.service().status()).await?))
}
