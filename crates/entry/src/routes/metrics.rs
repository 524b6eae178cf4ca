//! What an operator watches: the metrics and the sources. And the one thing to tell the whole process: drain.

use std::sync::Arc;

use http::StatusCode;
use warp::{Filter, filters::BoxedFilter};

use super::{Call, GET, POST, Shared, call, ok};
use crate::{
    Service,
    answer::{self, Response},
    rejection::Rejection,
};

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let metrics =
        warp::path!("metrics").and(call(shared)).then(|call: Call<S>| async move { answer::of(metrics(&call).await) });
    let sources =
        warp::path!("sources").and(call(shared)).then(|call: Call<S>| async move { answer::of(sources(&call).await) });
    let drain =
        warp::path!("drain").and(call(shared)).then(|call: Call<S>| async move { answer::of(drain(&call).await) });
    metrics.or(sources).unify().or(drain).unify().boxed()
}

async fn metrics<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    call.operator()?;
    let text = call.answered(call.service().metrics()).await?;
    Ok(answer::answer(StatusCode::OK, METRICS, text))
}

async fn sources<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    call.operator()?;
    Ok(ok(&call.answered(call.service().sources()).await?))
}

async fn drain<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(POST)?;
    call.operator()?;
    call.answered(call.service().drain()).await?;
    Ok(answer::json(StatusCode::ACCEPTED, r#"{"draining":true}"#.to_owned()))
}
