//! What a client may see and send.

use std::sync::Arc;

use crate::{Filter, Pattern};

/// What a credential allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The topics that may be subscribed. None: nothing may.
    pub subscribe: Vec<Pattern>,
    /// The topics to which may be published. None: to nothing.
    pub publish: Vec<Pattern>,
    /// Holds for every event that the client is shown, whatever it selects.
    pub filter: Option<Arc<Filter>>,
}

impl Grant {
    /// Everything may be seen and sent.
    pub fn everything() -> Self {
        Self { subscribe: vec![Pattern::everything()], publish: vec![Pattern::everything()], filter: None }
    }
}
