//! Everything that can go wrong with a source, by whose fault it is.
//!
//! None of it ends the process. A fault of the connection ends the attempt and is followed by another one; a fault of
//! a frame costs that frame. Messages hold no secrets: addresses without credentials and query, values clipped.

use std::{io, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    decode::DecodeError,
    map::{RunError, ShapeError},
};

/// A fault of one source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The feed's fault: the attempt ends.
    /// Its name has no address.
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No address of it answers.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Name and port.
        host: String,
        /// What the system said of the last address tried.
        reason: io::Error,
    },
    /// It is not who it should be, or speaks no common TLS.
    #[error("cannot agree on TLS with {host}: {reason}")]
    Tls {
        /// Name and port.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// It did not answer as asked: a handshake not with 101, another request not with 2xx.
    #[error("{host} answered with HTTP {status}")]
    Status {
        /// Name and port.
        host: String,
        /// The status.
        status: u16,
        /// The pause that it asked for.
        retry_after: Option<Duration>,
    },
    /// It answered, but not as what the configuration takes it for.
    #[error("the handshake with {host} failed: {reason}")]
    Handshake {
        /// Name and port.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// It sends to another address, and is not followed there.
    #[error("{host} is not followed: {reason}")]
    Redirect {
        /// Name and port.
        host: String,
        /// What was wrong with it.
        reason: String,
    },
    /// Name, connection, TLS and handshake together took too long; or an answer did.
    #[error("{host} did not answer within {limit:?}: {stage} took too long")]
    Slow {
        /// Name and port.
        host: String,
        /// The time allowed.
        limit: Duration,
        /// What was being waited for.
        stage: &'static str,
    },
    /// It ended the connection.
    #[error("the feed closed the connection: {0}")]
    Closed(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing came, not even the answer to a ping.
    #[error("the feed sent nothing for {0:?} after a ping")]
    Silent(Duration),
    /// Nothing came, not even a comment.
    #[error("the feed sent nothing for {0:?}, not even a comment")]
    Mute(Duration),
    /// The program ended.
    #[error("the program ended: {0}")]
    Exited(String),
    /// It does not read what is sent to it.
    #[error("the feed took nothing for {0:?}")]
    Stalled(Duration),
    /// It sent a frame above the bound.
    #[error("the feed sent a frame of more than {0} bytes")]
    Oversized(usize),

    // A frame's fault: the frame is lost.
    /// It could not be unpacked, or is not JSON.
    #[error("the frame cannot be read: {0}")]
    Frame(String),
    /// A line of a recording is not one.
    #[error("line {line} of the recording: {reason}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },

    // The author's fault.
    /// The mapping failed on a frame.
    #[error("{0}")]
    Program(String),
    /// The mapping was stopped at a bound.
    #[error("{0}")]
    Bound(String),
    /// The mapping gave something that is not an event.
    #[error("the mapping gave no event: {0}")]
    Shape(#[from] ShapeError),
    /// The state of a key is not kept: updates of it cannot be merged.
    #[error("the state of a key is not kept, so its updates are lost: there is room for no more than {0} keys")]
    Unkept(usize),
    /// An event of a group cannot be known as what another of its sources has brought.
    #[error("an event has no `id`: every source of its group brings it")]
    Unnamed,
    /// There are more series of numbers than are followed.
    #[error("gaps are not looked for in further numbers: there are {0} series already")]
    Unfollowed(usize),
    /// The mapping gave more than is carried from frame to frame.
    #[error("the state of the mapping is not kept: it has more than {0} bytes")]
    State(usize),
    /// The mapping of answers gave more than the connection takes.
    #[error("an answer was dropped: {0} are already waiting to be sent")]
    Answers(usize),
    /// The program cannot be started.
    #[error("cannot start {}: {reason}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The recording cannot be opened.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The recording cannot be played as the configuration says, and never will be.
    #[error("cannot play {path}: {reason}")]
    Unplayable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The certificate authorities of the configuration cannot be used.
    #[error("cannot use the certificates in {path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },

    // Ours, or the machine's.
    /// Something that should not fail did.
    #[error("{0}")]
    Internal(String),
}

/// What kind of fault it was: a closed set, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No address for the name.
    Resolve,
    /// No connection to the address.
    Connect,
    /// No agreement on TLS.
    Tls,
    /// Not the answer that was asked for: another HTTP status, another protocol, a redirect that is not followed.
    Handshake,
    /// A deadline passed: connecting, silence after a ping, a write.
    Timeout,
    /// The connection ended, or the program.
    Lost,
    /// A frame above the bound.
    Oversized,
    /// A frame that could not be unpacked or read.
    Decode,
    /// A line of a recording that is none.
    Line,
    /// The mapping failed.
    Program,
    /// The mapping was stopped at a bound, or the memory of a source has come to one.
    Bound,
    /// The mapping gave something that is not an event.
    Shape,
    /// An answer to the feed was dropped.
    Answer,
    /// A file that the configuration names, or a program.
    File,
    /// None of the feed's or the author's fault.
    Internal,
}

impl ErrorKind {
    /// All kinds, for metrics.
    pub const ALL: [Self; 15] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Handshake,
        Self::Timeout,
        Self::Lost,
        Self::Oversized,
        Self::Decode,
        Self::Line,
        Self::Program,
        Self::Bound,
        Self::Shape,
        Self::Answer,
        Self::File,
        Self::Internal,
    ];

    /// The word for it in status, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Oversized => "oversized",
            Self::Decode => "decode",
            Self::Line => "line",
            Self::Program => "program",
            Self::Bound => "bound",
            Self::Shape => "shape",
            Self::Answer => "answer",
            Self::File => "file",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve { .. } => ErrorKind::Resolve,
            Self::Connect { .. } => ErrorKind::Connect,
            Self::Tls { .. } => ErrorKind::Tls,
            Self::Status { .. } | Self::Handshake { .. } | Self::Redirect { .. } => ErrorKind::Handshake,
            Self::Slow { .. } | Self::Silent(_) | Self::Mute(_) | Self::Stalled(_) => ErrorKind::Timeout,
            Self::Closed(_) | Self::Broken(_) | Self::Exited(_) => ErrorKind::Lost,
            Self::Oversized(_) => ErrorKind::Oversized,
            Self::Frame(_) => ErrorKind::Decode,
            Self::Line { .. } => ErrorKind::Line,
            Self::Program(_) => ErrorKind::Program,
            Self::Bound(_) | Self::Unkept(_) | Self::Unfollowed(_) | Self::State(_) => ErrorKind::Bound,
            Self::Shape(_) | Self::Unnamed => ErrorKind::Shape,
            Self::Answers(_) => ErrorKind::Answer,
            Self::Unreadable { .. } | Self::Unplayable { .. } | Self::Authorities { .. } | Self::Spawn { .. } => {
                ErrorKind::File
            }
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Whether trying again makes no sense.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Unplayable { .. })
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Frame(error.to_string())
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Program(_) => Self::Program(error.to_string()),
            RunError::Exceeded(_) | RunError::Outputs => Self::Bound(error.to_string()),
            RunError::Panicked => Self::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_word_and_serializes_as_it() {
        for kind in ErrorKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
    }
}
