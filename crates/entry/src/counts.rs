//! What the entry counts: who came, what was refused and why, which deadlines passed. The server shows it on `/metrics`.
//!
//! Labels are words of closed sets. An answer carries its code with it ([`Code`]), so that it is counted in one place,
//! whichever route gave it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use standpipe_protocol::ErrorCode;

use crate::{idempotency, rejection::Fault};

/// A count for each word of a closed set.
#[derive(Debug)]
pub struct CountBy(Vec<(&'static str, AtomicU64)>);

/// All counts of one entry, since it was opened.
#[derive(Debug)]
pub struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) http: AtomicU64,
    pub(crate) accept_failures: AtomicU64,
    pub(crate) is_shut: AtomicU64,
    /// Answers, by the first digit of their status.
    pub answers: CountBy,
    /// Handshakes that became no socket, by code.
    pub refused_handshakes: CountBy,
    /// Other requests that were refused, by code.
    pub refused_requests: CountBy,
    /// Limits that somebody was at, by the key that sets them.
    pub limits: CountBy,
    /// Deadlines that a peer, or the service, did not keep.
    pub deadlines: CountBy,
    /// Requests with an idempotency key, by what they were to the memory of keys.
    pub idempotency: CountBy,
    pub(crate) idempotency_keys: AtomicU64,
}

/// What `error.code` of an answer says; it travels with the answer, as an extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub(crate) &'static str);

/// A limit that is counted by what sets it, because its code is that of others as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Sockets in all.
    MaxConnections,
    /// Sockets of one address.
    MaxConnectionsPerIp,
    /// Sockets of one credential.
    MaxConnectionsPerCredential,
    /// Attempts of one address.
    ConnectRatePerIp,
    /// Attempts of one credential.
    ConnectRatePerCredential,
    /// Events that clients of one address did not prove to have.
    UnprovenRatePerIp,
    /// Events that clients of one credential did not prove to have.
    UnprovenRatePerCredential,
    /// Inputs of one address.
    PublishRatePerIp,
    /// Inputs of one credential.
    PublishRatePerCredential,
    /// Connections that speak HTTP: times that one waited for a place.
    MaxHttp,
    /// The same, of one address: connections that were turned away.
    MaxHttpPerIp,
    /// Requests that publish.
    MaxPublishing,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::MaxConnections,
        Self::MaxConnectionsPerIp,
        Self::MaxConnectionsPerCredential,
        Self::ConnectRatePerIp,
        Self::ConnectRatePerCredential,
        Self::UnprovenRatePerIp,
        Self::UnprovenRatePerCredential,
        Self::PublishRatePerIp,
        Self::PublishRatePerCredential,
        Self::MaxHttp,
        Self::MaxHttpPerIp,
        Self::MaxPublishing,
    ];

    /// The key of the configuration that sets it, within `limits`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerIp => "max_connections_per_ip",
            Self::MaxConnectionsPerCredential => "max_connections_per_credential",
            Self::ConnectRatePerIp => "connect_rate_per_ip",
            Self::ConnectRatePerCredential => "connect_rate_per_credential",
            Self::UnprovenRatePerIp => "unproven_rate_per_ip",
            Self::UnprovenRatePerCredential => "unproven_rate_per_credential",
            Self::PublishRatePerIp => "publish_rate_per_ip",
            Self::PublishRatePerCredential => "publish_rate_per_credential",
            Self::MaxHttp => "max_http",
            Self::MaxHttpPerIp => "max_http_per_ip",
            Self::MaxPublishing => "max_publishing",
        }
    }
}

/// A wait that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// For the head of a request.
    Head,
    /// For its body.
    Body,
    /// For the service.
    Answer,
    /// For the peer to take what is written.
    Write,
    /// For requests in flight, when the entry was stopped.
    Drain,
}

impl Deadline {
    const ALL: [Self; 5] = [Self::Head, Self::Body, Self::Answer, Self::Write, Self::Drain];

    const fn word(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Answer => "answer",
            Self::Write => "write",
            Self::Drain => "drain",
        }
    }
}

/// The first digits of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl CountBy {
    fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        Self(words.into_iter().map(|word| (word, AtomicU64::new(0))).collect())
    }

    /// One more of `word`. A word that is not of the set is not counted.
    pub(crate) fn count(&self, word: &str) {
        if let Some((_, count)) = self.0.iter().find(|(known, _)| *known == word) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Every word of the set, with its count.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(word, count)| (*word, count.load(Relaxed)))
    }
}

impl Default for Counts {
    fn default() -> Self {
        let codes =
            || ErrorCode::ALL.iter().map(|code| code.as_str()).chain(Fault::ALL.iter().map(|fault| fault.as_str()));
        Self {
            accepted: AtomicU64::default(),
            http: AtomicU64::default(),
            accept_failures: AtomicU64::default(),
            is_shut: AtomicU64::default(),
            answers: CountBy::new(CLASSES),
            refused_handshakes: CountBy::new(codes()),
            refused_requests: CountBy::new(codes()),
            limits: CountBy::new(Limit::ALL.map(Limit::word)),
            deadlines: CountBy::new(Deadline::ALL.map(Deadline::word)),
            idempotency: CountBy::new(idempotency::OUTCOMES),
            idempotency_keys: AtomicU64::default(),
        }
    }
}

impl Counts {
    /// Connections that were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Connections that speak HTTP now.
    pub fn http(&self) -> u64 {
        self.http.load(Relaxed)
    }

    /// Attempts to accept for which the process had no descriptor or no memory.
    pub fn accept_failures(&self) -> u64 {
        self.accept_failures.load(Relaxed)
    }

    /// 1 while nothing can be accepted, else 0.
    pub fn is_shut(&self) -> u64 {
        self.is_shut.load(Relaxed)
    }

    /// Idempotency keys that are known.
    pub fn idempotency_keys(&self) -> u64 {
        self.idempotency_keys.load(Relaxed)
    }

    /// One answer, on its way out.
    pub(crate) fn answered(&self, status: u16, code: Option<Code>, is_handshake: bool) {
        self.answers.count(class(status));
        let Some(Code(code)) = code else { return };
        if is_handshake { &self.refused_handshakes } else { &self.refused_requests }.count(code);
        if code == Fault::RequestTimeout.as_str() {
            self.missed(Deadline::Body);
        } else if code == Fault::AnswerTimeout.as_str() {
            self.missed(Deadline::Answer);
        }
    }

    /// A last answer where there was no request to answer; it says why.
    pub(crate) fn parted(&self, status: u16, code: Code) {
        self.answers.count(class(status));
        self.refused_requests.count(code.0);
    }

    pub(crate) fn exceeded(&self, limit: Limit) {
        self.limits.count(limit.word());
    }

    pub(crate) fn missed(&self, deadline: Deadline) {
        self.deadlines.count(deadline.word());
    }
}

fn class(status: u16) -> &'static str {
    CLASSES.get(usize::from(status / 100).wrapping_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &CountBy, word: &str) -> Option<u64> {
        counts.all().find(|(known, _)| *known == word).map(|(_, count)| count)
    }

    #[test]
    fn an_answer_is_counted_by_its_status_and_its_code() {
        let counts = Counts::default();
        counts.answered(101, None, true);
        counts.answered(503, Some(Code("OVER_CAPACITY")), true);
        counts.answered(408, Some(Code("REQUEST_TIMEOUT")), false);
        counts.answered(999, Some(Code("a word of a peer's")), false);
        assert_eq!((of(&counts.answers, "1xx"), of(&counts.answers, "5xx")), (Some(1), Some(1)));
        assert_eq!(of(&counts.refused_handshakes, "OVER_CAPACITY"), Some(1));
        assert_eq!(of(&counts.refused_requests, "OVER_CAPACITY"), Some(0));
        assert_eq!((of(&counts.deadlines, "body"), of(&counts.deadlines, "head")), (Some(1), Some(0)));
        assert!(counts.refused_requests.all().all(|(word, _)| !word.contains(' ')));
    }
}
