//! What can go wrong between the platform and us.

/// See the file's description.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What we were given to begin with is not what it should be.
    #[error("{what}: {why}")]
    Given {
        /// Which of it.
        what: &'static str,
        /// What is wrong with it. Never a secret.
        why: String,
    },
    /// No call can be made at all.
    #[error("make an HTTP client: {0}")]
    Client(String),
    /// A call was not answered.
    #[error("{what}: {why}")]
    Unanswered {
        /// What was attempted.
        what: &'static str,
        /// What the network says, without the address.
        why: String,
    },
    /// A call was answered by something else than what it was made for.
    #[error("{what}: the platform answers {status} {message}")]
    Answered {
        /// What was attempted.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it says, for people.
        message: String,
    },
    /// The answer is not in a form that is known.
    #[error("{what}: the answer is not understood: {why}")]
    Form {
        /// What was attempted.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// Whether the same call may be answered a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Answered { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Given { .. } | Self::Client(_) | Self::Form { .. } => false,
        }
    }
}
