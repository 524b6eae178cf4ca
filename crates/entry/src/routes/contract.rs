//! The contract files: what this server takes and answers, for programs. They say the same of every server of this
//! version, so they are made before it is built, from its types, and open to everybody.

use std::sync::Arc;

use http::StatusCode;
use warp::{Filter, filters::BoxedFilter};

use super::{Call, GET, Shared, call};
use crate::{
    Service,
    answer::{self, Response},
    rejection::Rejection,
};

/// What is answered over HTTP.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// What is said on a socket.
const ASYNCAPI: &str = include_str!("../../../../docs/asyncapi.json");

pub(super) fn routes<S: Service>(shared: &Arc<Shared<S>>) -> BoxedFilter<(Response,)> {
    let openapi = warp::path!("openapi.json").and(call(shared)).map(|call: Call<S>| answer::of(file(&call, OPENAPI)));
    let asyncapi =
        warp::path!("asyncapi.json").and(call(shared)).map(|call: Call<S>| answer::of(file(&call, ASYNCAPI)));
    openapi.or(asyncapi).unify().boxed()
}

fn file<S: Service>(call: &Call<S>, text: &'static str) -> Result<Response, Rejection> {
    call.only(GET)?;
    Ok(answer::json(StatusCode::OK, text.to_owned()))
}
