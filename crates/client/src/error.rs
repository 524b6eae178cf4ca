//! Why a connection is not there, or no longer. Every reason has a verdict: what the client does about it.

use std::{error::Error as _, fmt, io, path::PathBuf, time::Duration};

use standpipe_protocol::Verdict;
use tokio_tungstenite::tungstenite;

use crate::{AddressError, Goodbye, Refusal, message::Unreadable, renew::RenewError};

/// The code of a refusal that another token would mend.
const TOKEN_EXPIRED: &str = "TOKEN_EXPIRED";

/// What keeps a client from its server, grouped by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Ours.
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The token cannot be sent.
    #[error("the token holds a character that no HTTP header may hold; a token is one line of visible ASCII")]
    Token,
    /// There is no new token.
    #[error("cannot get a new token: {0}")]
    Renewal(RenewError),
    /// The extra certificates cannot be used.
    #[error("cannot use the certificates in {path}: {reason}", path = path.display())]
    ExtraCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More commands than the network took.
    #[error("the server takes commands more slowly than they are given: the last one was not sent")]
    Backlog,

    // The way there.
    /// No TCP connection.
    #[error("cannot connect to {host}: {reason}", reason = plain(source))]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No TLS session.
    #[error("cannot establish TLS with {host}: {source}")]
    Tls {
        /// Host and port.
        host: String,
        /// What the TLS library says.
        source: io::Error,
    },
    /// A step took too long.
    #[error("{attempted} took longer than {patience:?}")]
    Timeout {
        /// What was attempted.
        attempted: &'static str,
        /// How long was waited.
        patience: Duration,
    },
    /// Nothing was heard for longer than the server announced.
    #[error("the server has been silent for {0:?}")]
    Silent(Duration),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),

    // The server's.
    /// It refused the connection, with an HTTP status.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// It closed the connection.
    #[error(transparent)]
    Closed(#[from] Box<Closed>),
    /// It does not speak this wire.
    #[error("this is no Standpipe server of protocol {protocol}: {0}", protocol = standpipe_protocol::PROTOCOL)]
    Foreign(String),
}

/// An HTTP answer other than `101 Switching Protocols`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// What the server says about it, if it speaks our JSON.
    pub refusal: Option<Refusal>,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
    /// Where it points instead.
    pub location: Option<String>,
    /// How the body begins, if it is not our JSON.
    pub body: String,
}

/// A connection that the server ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closed {
    /// The code of its Close frame.
    pub code: Option<u16>,
    /// The reason in its Close frame.
    pub reason: String,
    /// Its last message.
    pub goodbye: Option<Goodbye>,
    /// What it said was wrong before that, if not about a command.
    pub refusal: Option<Refusal>,
}

impl Error {
    /// What the client does about it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Address(_) | Self::Token | Self::ExtraCa { .. } | Self::Foreign(_) => Verdict::Never,
            Self::Backlog
            | Self::Renewal(_)
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Silent(_)
            | Self::Lost(_) => Verdict::Backoff,
            Self::Refused(refused) => refused.verdict(),
            Self::Closed(closed) => closed.verdict(),
        }
    }

    /// Whether it is the end of the token, and nothing else.
    pub(crate) fn is_about_an_expired_token(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.refusal.as_ref().is_some_and(|refusal| refusal.code == TOKEN_EXPIRED),
            Self::Closed(closed) => closed.verdict() == Verdict::Renew,
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => refused.retry_after,
            Self::Closed(closed) => closed.goodbye.as_ref().and_then(Goodbye::retry_after),
            _ => None,
        }
    }

    /// What a broken socket means.
    pub(crate) fn of_socket(error: &tungstenite::Error) -> Self {
        use tungstenite::Error as E;
        match error {
            E::Capacity(_) | E::Utf8(_) => Self::Foreign(error.to_string()),
            E::Io(error) => Self::Lost(plain(error)),
            _ => Self::Lost(error.to_string().to_lowercase()),
        }
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Foreign(unreadable.to_string())
    }
}

impl Refused {
    /// 408, 425, 429 and 5xx are about the moment, all others about the request.
    pub fn verdict(&self) -> Verdict {
        match self.status {
            408 | 425 | 429 | 500..=599 => Verdict::Backoff,
            _ => Verdict::Never,
        }
    }
}

impl Closed {
    /// What `goodbye` says, or else the code.
    pub fn verdict(&self) -> Verdict {
        match (&self.goodbye, self.code) {
            (Some(goodbye), _) => goodbye.verdict(),
            (None, Some(code)) => Verdict::of_code(code),
            (None, None) => Verdict::Backoff,
        }
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused the connection with HTTP {}", self.status)?;
        match (&self.refusal, &self.location) {
            (Some(refusal), _) => write!(f, ", {refusal}"),
            (None, Some(location)) => write!(f, " and points to {location}; use that address if you trust it"),
            (None, None) if self.body.is_empty() => Ok(()),
            (None, None) => write!(f, ": {}", self.body),
        }
    }
}

impl std::error::Error for Closed {}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection")?;
        let code = self.goodbye.as_ref().map(|goodbye| goodbye.code).or(self.code);
        let name = self.goodbye.as_ref().map_or(&self.reason, |goodbye| &goodbye.reason);
        match (code, name.as_str()) {
            (Some(code), "") => write!(f, " with code {code}")?,
            (Some(code), name) => write!(f, ": {name} ({code})")?,
            (None, _) => {}
        }
        self.refusal.as_ref().map_or(Ok(()), |refusal| write!(f, ", {refusal}"))
    }
}

/// An I/O error without the number that the system adds.
fn plain(error: &io::Error) -> String {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn closed(code: Option<u16>, goodbye: Option<&str>) -> Closed {
        let goodbye = goodbye.map(|text| match crate::message::decode(&text.into()).unwrap() {
            crate::Incoming::Goodbye(goodbye) => goodbye,
            other => panic!("{other:?}"),
        });
        Closed { code, goodbye, ..Closed::default() }
    }

    fn refused(status: u16) -> Refused {
        Refused { status, refusal: None, retry_after: None, location: None, body: String::new() }
    }

    #[test]
    fn goodbye_decides_and_else_the_code() {
        for (closed, verdict) in [
            (closed(Some(1000), None), Verdict::Backoff),
            (closed(Some(1006), None), Verdict::Backoff),
            (closed(Some(1009), None), Verdict::Never),
            (closed(Some(4001), None), Verdict::Never),
            (closed(Some(4100), None), Verdict::Backoff),
            (closed(Some(4200), None), Verdict::Now),
            (closed(Some(4203), None), Verdict::Renew),
            (closed(None, None), Verdict::Backoff),
            (closed(None, Some(r#"{"op":"goodbye","code":4200,"verdict":"now"}"#)), Verdict::Now),
            (closed(Some(4200), Some(r#"{"op":"goodbye","code":4200,"verdict":"never"}"#)), Verdict::Never),
        ] {
            assert_eq!(closed.verdict(), verdict, "{closed:?}");
        }
    }

    #[test]
    fn an_http_status_tells_whether_to_come_back() {
        for status in [200, 301, 400, 401, 403, 404, 426] {
            assert_eq!(refused(status).verdict(), Verdict::Never, "{status}");
        }
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(refused(status).verdict(), Verdict::Backoff, "{status}");
        }
    }

    #[test]
    fn errors_say_what_was_attempted_and_what_was_wrong() {
        let refusal = Refusal {
            code: "UNKNOWN_PARAMETER".into(),
            message: "unknown parameter `topcs`".into(),
            hint: Some("did you mean `topics`?".into()),
            id: None,
        };
        let io = io::Error::from_raw_os_error(111);
        let goodbye = r#"{"op":"goodbye","code":4000,"reason":"BAD_REQUEST","verdict":"never"}"#;
        let lines: Vec<String> = [
            Error::Unreachable { host: "localhost:1".into(), source: io },
            Error::Timeout { attempted: "the handshake with localhost:1", patience: Duration::from_secs(10) },
            Error::from(Box::new(Refused { refusal: Some(refusal.clone()), ..refused(400) })),
            Error::from(Box::new(Refused { location: Some("https://h/".into()), ..refused(301) })),
            Error::from(Box::new(Refused { body: "no such page".into(), ..refused(404) })),
            Error::from(Box::new(refused(502))),
            Error::from(Box::new(closed(Some(1001), None))),
            Error::from(Box::new(closed(None, None))),
            Error::from(Box::new(Closed { refusal: Some(refusal), ..closed(Some(4000), Some(goodbye)) })),
            Error::Silent(Duration::from_secs(35)),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        expect![[r"
            cannot connect to localhost:1: connection refused
            the handshake with localhost:1 took longer than 10s
            the server refused the connection with HTTP 400, UNKNOWN_PARAMETER: unknown parameter `topcs` (did you mean `topics`?)
            the server refused the connection with HTTP 301 and points to https://h/; use that address if you trust it
            the server refused the connection with HTTP 404: no such page
            the server refused the connection with HTTP 502
            the server closed the connection with code 1001
            the server closed the connection
            the server closed the connection: BAD_REQUEST (4000), UNKNOWN_PARAMETER: unknown parameter `topcs` (did you mean `topics`?)
            the server has been silent for 35s"]]
        .assert_eq(&lines.join("\n"));
    }
}
