//! The one table of close reasons. The wire, the logs, the metrics' labels and the documentation are made from it.

use std::fmt;

use crate::ErrorCode;

/// What a client does after the close. The ranges of the codes say the same to those who see only the code:
/// 4000–4099 never, 4100–4199 backoff, 4200–4299 now (or renew).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Reconnect at once (after `retry_after_ms`, where given).
    Now,
    /// Reconnect, waiting longer after each failure.
    Backoff,
    /// Get a new credential, then reconnect at once.
    Renew,
    /// Do not come back with the same request.
    Never,
}

macro_rules! close_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal $name:literal $verdict:ident;)+) => {
        /// Why a connection ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CloseReason { $($(#[doc = $doc])+ $variant,)+ }

        impl CloseReason {
            /// The whole table, in the order of the codes.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code in the Close frame and in `goodbye`.
            pub fn code(self) -> u16 {
                match self { $(Self::$variant => $code),+ }
            }

            /// The name in the Close frame, in `goodbye`, in logs and in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What the client is told to do next.
            pub fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict),+ }
            }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

close_reasons! {
    /// The client closed, or its end of the connection is gone.
    ClientGone = 1000 "CLIENT_GONE" Now;
    /// The client broke the WebSocket protocol (RFC 6455 §7.4.1).
    ProtocolError = 1002 "PROTOCOL_ERROR" Never;
    /// The client sent a kind of data that is not taken (RFC 6455 §7.4.1).
    UnsupportedData = 1003 "UNSUPPORTED_DATA" Never;
    /// The client sent a text that is not UTF-8 (RFC 6455 §8.1).
    InvalidUtf8 = 1007 "INVALID_UTF8" Never;
    /// The client sent a message larger than `limits.max_frame_bytes`.
    MessageTooBig = 1009 "MESSAGE_TOO_BIG" Never;
    /// The server failed in a way that it should not; the failure is counted and logged.
    InternalError = 1011 "INTERNAL_ERROR" Backoff;
    /// The request in the URL cannot be followed; `error` before it says what and why.
    BadRequest = 4000 "BAD_REQUEST" Never;
    /// The credential is missing or not accepted.
    Unauthorized = 4001 "UNAUTHORIZED" Never;
    /// The credential does not allow what was asked for.
    Forbidden = 4003 "FORBIDDEN" Never;
    /// Nothing was subscribed in time after connecting.
    FirstStepTimeout = 4008 "FIRST_STEP_TIMEOUT" Never;
    /// The budget for paid delivery is spent.
    BudgetExhausted = 4010 "BUDGET_EXHAUSTED" Never;
    /// An operator closed the connection.
    Kicked = 4013 "KICKED" Never;
    /// The client reads more slowly than its events come; `goodbye.cursor` is the last event fully written.
    SlowConsumer = 4100 "SLOW_CONSUMER" Backoff;
    /// The server has as many connections as it takes.
    OverCapacity = 4101 "OVER_CAPACITY" Backoff;
    /// Too many commands in too short a time.
    RateLimited = 4102 "RATE_LIMITED" Backoff;
    /// Nothing subscribed for too long.
    Idle = 4104 "IDLE" Backoff;
    /// Not one byte could be written for `client.write_timeout`.
    WriteStalled = 4105 "WRITE_STALLED" Backoff;
    /// The source that was asked for failed for good.
    SourceFailed = 4106 "SOURCE_FAILED" Backoff;
    /// This server is going away; another one, or the same one again, will answer.
    Restart = 4200 "RESTART" Now;
    /// No receipt for `client.pong_timeout` since a ping was written.
    PongTimeout = 4201 "PONG_TIMEOUT" Now;
    /// The credential expired while connected.
    TokenExpired = 4203 "TOKEN_EXPIRED" Renew;
}

impl CloseReason {
    /// The end of a connection that was opened for nothing but to be told this refusal.
    pub fn of_refusal(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Unauthorized => Self::Unauthorized,
            ErrorCode::TokenExpired => Self::TokenExpired,
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::OverCapacity => Self::OverCapacity,
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::Draining => Self::Restart,
            _ => Self::BadRequest,
        }
    }
}

impl Verdict {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Backoff => "backoff",
            Self::Renew => "renew",
            Self::Never => "never",
        }
    }

    /// What a client that sees only the close code does next. Codes of WebSocket itself (1xxx) mean `backoff`.
    pub fn of_code(code: u16) -> Self {
        match CloseReason::ALL.iter().find(|reason| reason.code() == code && code >= 4000) {
            Some(reason) => reason.verdict(),
            None => match code {
                1002 | 1003 | 1007 | 1009 | 4000..=4099 => Self::Never,
                4200..=4299 => Self::Now,
                _ => Self::Backoff,
            },
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for CloseReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_what_verdicts_say() {
        for reason in CloseReason::ALL {
            let by_range = match reason.code() {
                4000..=4099 => &[Verdict::Never][..],
                4100..=4199 => &[Verdict::Backoff],
                4200..=4299 => &[Verdict::Now, Verdict::Renew],
                _ => continue,
            };
            assert!(by_range.contains(&reason.verdict()), "{reason}");
            assert_eq!(Verdict::of_code(reason.code()), reason.verdict());
        }
    }

    #[test]
    fn names_fit_a_close_frame_and_are_unique() {
        let mut names: Vec<_> = CloseReason::ALL.iter().map(|r| r.name()).collect();
        assert!(names.iter().all(|name| name.len() <= 123), "RFC 6455 §5.5");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CloseReason::ALL.len());
        assert!(CloseReason::ALL.is_sorted_by_key(|r| r.code()));
    }
}
