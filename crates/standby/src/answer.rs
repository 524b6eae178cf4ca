//! What the API answers, in the shapes that the platform has for it.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// The pause that is asked for, in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Answer {
    pub(crate) fn data(data: &Value) -> Self {
        Self { status: StatusCode::OK, body: json!({ "data": data }), retry_after: None }
    }

    pub(crate) fn bare(status: StatusCode, body: Value) -> Self {
        Self { status, body, retry_after: None }
    }

    pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Self {
        Self { status, body: json!({ "error": { "type": kind, "message": message } }), retry_after: None }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
