//! A share in one instance of a demand-driven source.

use std::{fmt, sync::Arc};

use standpipe_protocol::{SourceState, topic::Scope};

/// One instance, as those who select its events see it.
pub trait Instance: Send + Sync {
    /// The name of its source.
    fn source(&self) -> &Arc<str>;

    /// Its state, and since when, in ms since 1970.
    fn state(&self) -> (SourceState, u64);
}

/// A share in an instance, which runs for as long as there is one, and lingers for a while then. Cheap to clone.
#[derive(Clone)]
pub struct Lease {
    scope: Scope,
    since: u64,
    instance: Arc<dyn Instance>,
}

impl Lease {
    /// A share in `instance`, whose topics are in `scope` and which began when the log's head was `since`. Dropping the last
    /// clone of `instance` gives the share back.
    pub fn new(scope: Scope, since: u64, instance: Arc<dyn Instance>) -> Self {
        Self { scope, since, instance }
    }

    /// Where its topics are.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The last place of the log before its first event could come.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// What it is a share in.
    pub fn instance(&self) -> &dyn Instance {
        &*self.instance
    }
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope
    }
}

impl Eq for Lease {}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("scope", &self.scope).field("since", &self.since).finish_non_exhaustive()
    }
}
