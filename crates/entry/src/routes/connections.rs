//! The connections: who is here, one of them in full, and its end.

use std::sync::Arc;

use http::{Method, StatusCode};
use standpipe_protocol::{ConnectionId, ErrorCode, Refusal, refusal::clip};
use warp::{Filter, filters::BoxedFilter};

use super::{
    Call, Shared, call, ok,
    parameters::{bound, invalid, parameters},
    query,
};
use crate::{
    Service,
    answer::{self, Response},
    rejection::Rejection,
    service::{Order, Page},
};

/// What may be done to connections.
const SEEN_OR_CLOSED: (&[Method], &str) = (&[Method::GET, Method::HEAD, Method::DELETE], "GET, HEAD, DELETE");

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let all = warp::path!("connections")
        .and(call(shared))
        .and(query())
        .then(|call: Call<S>, query: String| async move { answer::of(all(&call, &query).await) });
    let one = warp::path!("connections" / String)
        .and(call(shared))
        .then(|id: String, call: Call<S>| async move { answer::of(one(&call, &id).await) });
    all.or(one).unify().boxed()
}

async fn all<S: Service>(call: &Call<S>, query: &str) -> Result<Response, Rejection> {
    call.only(SEEN_OR_CLOSED)?;
    call.operator()?;
    if call.method == Method::DELETE {
        let subject = subject(query)?;
        let closed = call.answered(call.service().close_all(&subject)).await?;
        return Ok(answer::json(StatusCode::OK, format!(r#"{{"closed":{closed}}}"#)));
    }
    let page = page(query)?;
    Ok(ok(&call.answered(call.service().connections(page)).await?))
}

/// Which of the connections are asked for.
fn page(query: &str) -> Result<Page, Refusal> {
    let [sort, limit, after] = parameters("/connections", query, ["sort", "limit", "after"])?;
    let order = match sort.as_deref() {
        None | Some("id") => Order::Id,
        Some("waiting") => Order::Waiting,
        Some(_) => return Err(invalid("`sort` is no order", "it is `id` or `waiting`")),
    };
    let limit = bound("limit", limit, Page::USUAL, Page::MOST)?;
    let hint = "it is the `next` of the page before, which is in the order of ids";
    let after = after.map(|text| text.parse().map_err(|()| invalid("`after` is no connection", hint))).transpose()?;
    if after.is_some() && order != Order::Id {
        return Err(invalid("`after` has no meaning in this order", hint));
    }
    Ok(Page { order, limit, after })
}

/// Whose connections are to be closed. Nobody closes all by leaving something out.
fn subject(query: &str) -> Result<String, Refusal> {
    let hint = "write `DELETE /connections?subject=…`; `DELETE /connections/{id}` closes one";
    let [subject] = parameters("/connections", query, ["subject"])?;
    subject.filter(|subject| !subject.is_empty()).ok_or_else(|| {
        Refusal::new(ErrorCode::MissingField, "it is not said whose connections are to be closed").hint(hint)
    })
}

async fn one<S: Service>(call: &Call<S>, id: &str) -> Result<Response, Rejection> {
    call.only(SEEN_OR_CLOSED)?;
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
