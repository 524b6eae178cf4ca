//! The bodies of answers: their types, and the headers that all of them carry.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::rejection::Rejection;

/// The answer to one request.
pub(crate) type Response = warp::reply::Response;

/// JSON, never cached: everything here is the state of this moment.
pub(crate) fn json(status: StatusCode, text: String) -> Response {
    answer(status, "application/json", text)
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: String) -> Response {
    answer(status, "text/plain; charset=utf-8", text)
}

/// Text of the given type.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, text: String) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The head of the last answer on a connection, where hyper does not write it: all but the line that ends it.
pub(crate) fn last_head<'a>(
    status: StatusCode,
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    for (name, value) in headers {
        // Writing to a `String` cannot fail.
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    head.push_str("connection: close\r\n");
    head
}

/// What a route came to, as an answer.
pub(crate) fn of(result: Result<Response, Rejection>) -> Response {
    result.unwrap_or_else(Rejection::into_response)
}
