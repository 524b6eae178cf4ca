//! Who comes in: what a request's credential says of its client.
//!
//! This file decides what is carried from a request into the session and to those who publish. What a credential is, and
//! whether it is valid, is decided in `auth`.

use std::sync::Arc;

use standpipe_protocol::Identity;
use standpipe_selection::Grant;

/// What admission came to: who a client is, and what it may see and send. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What it may see and send.
    pub grant: Arc<Grant>,
}

impl Pass {
    /// Somebody of whom nothing is known, and who may see and send everything.
    pub fn anonymous() -> Self {
        Self { identity: Arc::default(), grant: Arc::new(Grant::everything()) }
    }

    /// Somebody who may see and send nothing: who was not let in, and is still to be told why.
    pub(crate) fn nobody() -> Self {
        Self { identity: Arc::default(), grant: Arc::new(Grant::nothing()) }
    }
}
