//! The connections: who is here, one of them in full, and its end.

use std::sync::Arc;

use http::{Method, StatusCode};
use standpipe_protocol::{ConnectionId, ErrorCode, Refusal};
use warp::{Filter, filters::BoxedFilter};

use super::{Call, GET, Shared, call, ok};
use crate::{
    Service,
    answer::{self, Response},
    rejection::{Rejection, clip},
};

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let all =
        warp::path!("connections").and(call(shared)).then(|call: Call<S>| async move { answer::of(all(&call).await) });
    let one = warp::path!("connections" / String)
        .and(call(shared))
        .then(|id: String, call: Call<S>| async move { answer::of(one(&call, &id).await) });
    all.or(one).unify().boxed()
}

async fn all<S: Service>(call: &Call<S>) -> Result<Response, Rejection> {
    call.only(GET)?;
    call.operator()?;
    Ok(ok(&call.answered(call.service().connections()).await?))
}

async fn one<S: Service>(call: &Call<S>, id: &str) -> Result<Response, Rejection> {
    call.only((&[Method::GET, Method::HEAD, Method::DELETE], "GET, HEAD, DELETE"))?;
    call.operator()?;
    let nobody = || Refusal::new(ErrorCode::NotFound, format!("there is no connection `{}`", clip(id)));
    let name: ConnectionId =
        id.parse().map_err(|()| nobody().hint("a connection's name is `c` and 16 hexadecimal digits"))?;
    if call.method == Method::DELETE {
        call.answered(call.service().close(name)).await??;
        return Ok(answer::json(StatusCode::OK, format!(r#"{{"closed":"{name}"}}"#)));
    }
    let connection = call.answered(call.service().connection(name)).await?;
    Ok(ok(&connection.ok_or_else(|| nobody().hint("`GET /connections` lists those that are open"))?))
}
