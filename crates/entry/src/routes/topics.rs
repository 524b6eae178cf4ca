//! The topics that the log holds, a page at a time.

use std::sync::Arc;

use standpipe_protocol::Refusal;
use warp::{Filter, filters::BoxedFilter};

use super::{
    Call, GET, Shared, call, ok,
    parameters::{bound, invalid, parameters},
    query,
};
use crate::{
    Service,
    answer::{self, Response},
    rejection::Rejection,
    service::{TopicOrder, TopicPage},
};

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    warp::path!("topics")
        .and(call(shared))
        .and(query())
        .then(|call: Call<S>, query: String| async move { answer::of(topics(&call, &query).await) })
        .boxed()
}

async fn topics<S: Service>(call: &Call<S>, query: &str) -> Result<Response, Rejection> {
    call.only(GET)?;
    call.operator()?;
    let page = page(query)?;
    Ok(ok(&call.answered(call.service().topics(page)).await?))
}

/// Which of the topics are asked for.
fn page(query: &str) -> Result<TopicPage, Refusal> {
    let [sort, prefix, limit, after] = parameters("/topics", query, ["sort", "prefix", "limit", "after"])?;
    let order = match sort.as_deref() {
        None | Some("topic") => TopicOrder::Name,
        Some("events") => TopicOrder::Events,
        Some(_) => return Err(invalid("`sort` is no order", "it is `topic` or `events`")),
    };
    if after.is_some() && order != TopicOrder::Name {
        let hint = "it is the `next` of the page before, which is in the order of topics";
        return Err(invalid("`after` has no meaning in this order", hint));
    }
    let limit = bound("limit", limit, TopicPage::USUAL, TopicPage::MOST)?;
    Ok(TopicPage { order, prefix: prefix.unwrap_or_default(), limit, after })
}
