//! What the API answers, in the shapes that the platform has for it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Body,
    /// The pause that is asked for, in seconds.
    retry_after: Option<u64>,
}

/// What is in it.
#[derive(Debug, Clone, PartialEq)]
enum Body {
    Empty,
    Json(Value),
    /// What somebody has stored, and what they said that it is.
    Raw(HeaderValue, Bytes),
}

impl Answer {
    pub(crate) fn data(data: &Value) -> Self {
        Self::bare(StatusCode::OK, json!({ "data": data }))
    }

    pub(crate) fn created(data: &Value) -> Self {
        Self::bare(StatusCode::CREATED, json!({ "data": data }))
    }

    pub(crate) fn bare(status: StatusCode, body: Value) -> Self {
        Self { status, body: Body::Json(body), retry_after: None }
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: Body::Empty, retry_after: None }
    }

    pub(crate) fn raw(content_type: HeaderValue, body: Bytes) -> Self {
        Self { status: StatusCode::OK, body: Body::Raw(content_type, body), retry_after: None }
    }

    pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Self {
        Self::bare(status, json!({ "error": { "type": kind, "message": message } }))
    }

    /// The same, with the pause that is asked for, in seconds.
    pub(crate) fn with_pause(self, retry_after: Option<u64>) -> Self {
        Self { retry_after, ..self }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let (content_type, body) = match self.body {
            Body::Empty => (None, Bytes::new()),
            Body::Json(value) => {
                (Some(HeaderValue::from_static("application/json; charset=utf-8")), value.to_string().into())
            }
            Body::Raw(content_type, body) => (Some(content_type), body),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
