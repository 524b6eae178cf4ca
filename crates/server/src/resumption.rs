//! Clients that come back with the secret of an earlier connection: what that proves, and what they need not pay again.
//!
//! What a secret is worth is decided by [`standpipe_ledger::Sessions`]; here it meets the connections that are open. One
//! that its client has left, and that nobody knows yet to be dead, ends here.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use standpipe_connections::{Connection, Registry};
use standpipe_ledger::{Bounds, Left, ResumeNumbers, Sessions};
use standpipe_protocol::{After, Epoch, Identity, ResumeToken};
use tokio::time::{Instant, timeout};

/// How long the end of the earlier connection is awaited. It takes a moment, whatever its client does.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Resumption(Mutex<Sessions>);

impl Resumption {
    /// Nobody has been here.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Mutex::new(Sessions::new(bounds)))
    }

    /// A connection has opened.
    pub(crate) fn open(&self, connection: &Connection) {
        if let Some(proof) = &connection.opening.proof {
            self.sessions().open(proof.resume, connection.id());
        }
    }

    /// A connection has ended, and this is what it leaves.
    pub(crate) fn end(&self, connection: &Connection, left: Left) {
        let owner = connection.identity().subject.clone();
        if let Some(proof) = &connection.opening.proof {
            self.sessions().end(proof.resume, owner, left, Instant::now().into_std());
        }
        connection.succeed();
    }

    /// What is left to a client that shows `token` and goes on behind `after`, proven by that; nothing if the token is
    /// worth nothing. The connection that it is of ends, if it is open.
    pub(crate) async fn go_on(
        &self,
        token: ResumeToken,
        after: Option<&After>,
        identity: &Identity,
        epoch: Epoch,
        registry: &Registry,
    ) -> Option<Left> {
        let cursor = match after {
            Some(After::Cursor(cursor)) if cursor.epoch == epoch => Some(cursor.seq),
            // It says nothing about what it has.
            Some(After::Cursor(_) | After::Earliest) | None => None,
        };
        let open = self.sessions().find(token);
        if let Some(old) = open.and_then(|id| registry.find(id))
            && old.identity().subject == identity.subject
        {
            let ended = old.succeeded(cursor);
            drop(old);
            // Whether it was told in time: what is known of it is looked at.
            let _ = timeout(PATIENCE, ended).await;
        }
        self.sessions().resume(token, identity.subject.as_ref(), cursor, Instant::now().into_std())
    }

    /// What came of the secrets that were shown.
    pub(crate) fn numbers(&self) -> ResumeNumbers {
        self.sessions().numbers()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
