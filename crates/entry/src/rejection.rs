//! Answers that say no: one JSON shape for all of them, `{"error":{"code","message","hint"}}`.
//!
//! What WebSocket commands and HTTP requests can both get wrong is a [`Refusal`] of the protocol; what only HTTP can get
//! wrong is a [`Fault`]. Both become a [`Rejection`]. A peer's mistake is never a 500.

use std::{borrow::Cow, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use standpipe_protocol::{ErrorCode, Json, Refusal, refusal::clip};

use crate::{
    answer::{self, Response},
    counts::Code,
};

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident => $text:literal, $status:ident;)+) => {
        /// What only an HTTP request can get wrong. With [`ErrorCode`], all values of `error.code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault { $($(#[doc = $doc])+ $variant,)+ }

        impl Fault {
            /// All of them, for the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as it stands in the answer.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The status of the answer.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

faults! {
    /// The body broke off, or is not framed as HTTP says.
    BadBody => "BAD_BODY", BAD_REQUEST;
    /// The request is not as HTTP/1.1 has it: its first line, or a header.
    BadRequest => "BAD_REQUEST", BAD_REQUEST;
    /// The request is not the WebSocket handshake of RFC 6455 §4.2.1.
    BadHandshake => "BAD_HANDSHAKE", BAD_REQUEST;
    /// The path does not take this method; `Allow` names those that it takes.
    MethodNotAllowed => "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED;
    /// A request with this `Idempotency-Key` is being followed; `Retry-After` says when to ask for its answer.
    KeyUnderWay => "IDEMPOTENCY_KEY_UNDER_WAY", CONFLICT;
    /// The `Idempotency-Key` is that of another request.
    KeyReused => "IDEMPOTENCY_KEY_REUSED", UNPROCESSABLE_ENTITY;
    /// The request did not arrive in time.
    RequestTimeout => "REQUEST_TIMEOUT", REQUEST_TIMEOUT;
    /// The body, one line of it, or the number of its inputs is over the limit.
    PayloadTooLarge => "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE;
    /// The body is of a type, or in an encoding, that is not taken here.
    UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE;
    /// Only a WebSocket handshake of version 13 is answered here.
    UpgradeRequired => "UPGRADE_REQUIRED", UPGRADE_REQUIRED;
    /// The head of the request, with its URL, is over the limit. A selection that is as long is sent as a message.
    HeadTooLarge => "HEAD_TOO_LARGE", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The server did not find the answer in time.
    AnswerTimeout => "ANSWER_TIMEOUT", GATEWAY_TIMEOUT;
}

/// How long a client that was turned away for want of room waits.
const ROOM_AFTER: Duration = Duration::from_secs(5);

/// How long a client waits that comes to a server about to be replaced.
const DRAINED_AFTER: Duration = Duration::from_secs(1);

/// A request that is not followed, on its way to becoming an answer.
#[derive(Debug, Clone)]
pub(crate) struct Rejection(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    error: Body,
    headers: Vec<(HeaderName, HeaderValue)>,
    detail: Option<(&'static str, Json)>,
}

/// What was wrong, and what would be right.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(inline))]
pub(crate) struct Body {
    code: &'static str,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<Cow<'static, str>>,
}

impl Rejection {
    /// What HTTP got wrong, in the words of `message`.
    pub(crate) fn new(fault: Fault, message: impl Into<Cow<'static, str>>) -> Self {
        let error = Body { code: fault.as_str(), message: message.into(), hint: None };
        Self::of(fault.status(), error)
    }

    fn of(status: StatusCode, error: Body) -> Self {
        Self(Box::new(Parts { status, error, headers: Vec::new(), detail: None }))
    }

    /// 405, with the methods that would be right.
    pub(crate) fn method(method: &Method, allowed: &'static str) -> Self {
        let message = format!("this path does not take {}", clip(method.as_str()));
        Self::new(Fault::MethodNotAllowed, message)
            .hint(format!("it takes {allowed}"))
            .header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// The same, saying what would be right.
    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.error.hint = Some(hint.into());
        self
    }

    /// The same, with a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The same, with one more field beside `error`.
    pub(crate) fn detail(mut self, field: &'static str, value: Json) -> Self {
        self.0.detail = Some((field, value));
        self
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its code, for the counts.
    pub(crate) fn code(&self) -> Code {
        Code(self.0.error.code)
    }

    /// When the client may come back, in seconds, if it is told.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let (_, seconds) = self.0.headers.iter().find(|(name, _)| name == header::RETRY_AFTER)?;
        seconds.to_str().ok()?.parse().ok()
    }

    /// The same as a message of the wire.
    pub(crate) fn message(&self) -> String {
        #[derive(Serialize)]
        struct Message<'a> {
            op: &'static str,
            #[serde(flatten)]
            error: &'a Body,
        }
        // Invariant: texts only, which cannot fail to be written.
        serde_json::to_string(&Message { op: "error", error: &self.0.error }).unwrap_or_default()
    }

    /// Headers that it has beside those of every answer.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.headers.iter().map(|(name, value)| (name, value))
    }

    /// The body of the answer.
    pub(crate) fn json(&self) -> String {
        // Invariant: texts only, which cannot fail to be written.
        let error = serde_json::to_string(&self.0.error).unwrap_or_default();
        match &self.0.detail {
            Some((field, value)) => format!(r#"{{"error":{error},"{field}":{}}}"#, value.as_str()),
            None => format!(r#"{{"error":{error}}}"#),
        }
    }

    /// The whole answer.
    pub(crate) fn into_response(self) -> Response {
        let mut response = answer::json(self.0.status, self.json());
        response.extensions_mut().insert(self.code());
        for (name, value) in self.0.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, hint, id: _, retry_after, is_of_credential } = refusal;
        let error = Body { code: code.as_str(), message: message.into(), hint: hint.map(Cow::Owned) };
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let rejection = Self::of(status, error);
        let rejection = match (retry_after, code) {
            // Whole seconds (RFC 9110 §10.2.3), never too early.
            (Some(wait), _) => rejection.header(header::RETRY_AFTER, seconds(wait + Duration::from_millis(999))),
            (None, ErrorCode::Draining) => rejection.header(header::RETRY_AFTER, seconds(DRAINED_AFTER)),
            (None, ErrorCode::OverCapacity) => rejection.header(header::RETRY_AFTER, seconds(ROOM_AFTER)),
            (None, _) => rejection,
        };
        if status != StatusCode::UNAUTHORIZED {
            return rejection;
        }
        // RFC 9110 §11.6.1: a 401 names at least one scheme that would do. RFC 6750 §3.1: who showed a token is told that
        // it is the token, and who showed none is not.
        let challenge = if is_of_credential {
            "Bearer realm=\"standpipe\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"standpipe\""
        };
        rejection.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_has_the_one_shape() {
        let fault = Rejection::new(Fault::PayloadTooLarge, "too \"much\"").hint("send less");
        assert_eq!(
            fault.json(),
            r#"{"error":{"code":"PAYLOAD_TOO_LARGE","message":"too \"much\"","hint":"send less"}}"#
        );
        let refusal = Rejection::from(Refusal::new(ErrorCode::NotFound, "gone"));
        assert_eq!(
            refusal.detail("routes", Json::written("[]")).json(),
            r#"{"error":{"code":"NOT_FOUND","message":"gone"},"routes":[]}"#
        );
    }

    #[test]
    fn no_code_of_http_is_a_code_of_the_protocol_and_none_is_a_500() {
        for fault in Fault::ALL {
            assert!(ErrorCode::ALL.iter().all(|code| code.as_str() != fault.as_str()), "{fault:?}");
            assert_ne!(fault.status(), StatusCode::INTERNAL_SERVER_ERROR, "{fault:?}");
            assert!(!fault.meaning().is_empty());
        }
    }

    #[test]
    fn who_is_turned_away_is_told_when_to_come_back() {
        for (code, seconds) in [(ErrorCode::Draining, "1"), (ErrorCode::OverCapacity, "5")] {
            let response = Rejection::from(Refusal::new(code, "…")).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
        let soon = Refusal::new(ErrorCode::RateLimited, "…").retry_after(Duration::from_millis(1001));
        let response = Rejection::from(soon).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[header::RETRY_AFTER]),
            (429, &"2".parse().unwrap())
        );
    }
}
