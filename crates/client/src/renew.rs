//! Where a new credential comes from, and when it is asked for: before the old one ends, and when the server says that it
//! has ended.
//!
//! The end is told by the server (`welcome.expires`), the clock is this machine's. If that is behind, the server ends the
//! connection first, and the new credential is got before the next one is opened.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use standpipe_protocol::command::Secret;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Error;

/// Why there is no new credential, as whoever gets it says. Nothing secret.
pub type RenewError = Box<dyn std::error::Error + Send + Sync>;

/// This part of what is left of a credential's life is left for renewing it …
const LEAD: u32 = 5;
/// … and no more than this.
const MAX_LEAD: Duration = Duration::from_secs(60);

/// From an attempt that failed to the next one.
const PAUSE: Duration = Duration::from_secs(5);

/// Gets a new credential: asks whoever signs them, runs a program, reads a file. A closure that returns a future is one.
pub trait Renew: Send + Sync + 'static {
    /// The new credential. Given up when it takes longer than [`crate::Timing::renew`].
    ///
    /// # Errors
    /// It is tried again, in some seconds or for the next connection.
    fn renew(&self) -> BoxFuture<'static, Result<Secret, RenewError>>;
}

impl<F, T> Renew for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<Secret, RenewError>> + Send + 'static,
{
    fn renew(&self) -> BoxFuture<'static, Result<Secret, RenewError>> {
        Box::pin(self())
    }
}

/// The renewals of one client.
///
/// ```text
/// Idle ──`expires`──▶ Due ──it is time──▶ Asking ──▶ a credential, or why there is none
///                      ▲───── `failed` ─────────────────────┘
/// ```
pub(crate) struct Renewal {
    source: Arc<dyn Renew>,
    patience: Duration,
    state: State,
    /// The command by which the last one was sent.
    sent: Option<String>,
}

type Asking = BoxFuture<'static, Result<Secret, Error>>;

enum State {
    Idle,
    Due(Instant),
    Asking(Asking),
}

/// Whether it can stand in a header.
pub(crate) fn is_sendable(token: &Secret) -> bool {
    !token.0.is_empty() && token.0.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Renewal {
    pub(crate) fn new(source: impl Renew, patience: Duration) -> Self {
        Self { source: Arc::new(source), patience, state: State::Idle, sent: None }
    }

    /// A new credential, within its deadline.
    pub(crate) fn ask(&self) -> Asking {
        let (renewed, patience) = (self.source.renew(), self.patience);
        Box::pin(async move {
            match timeout(patience, renewed).await {
                Err(_) => Err(Error::Timeout { attempted: "getting a new token", patience }),
                Ok(Err(why)) => Err(Error::Renewal(why)),
                Ok(Ok(token)) if is_sendable(&token) => Ok(token),
                Ok(Ok(_)) => Err(Error::Token),
            }
        })
    }

    /// The credential that counts now ends then, in milliseconds since 1970; `None` if it does not.
    ///
    /// By a clock that is ahead, even a new one has ended: one that was just taken is not renewed at once.
    pub(crate) fn expires(&mut self, expires: Option<u64>, now: Instant) {
        let least = if self.sent.take().is_some() { PAUSE } else { Duration::ZERO };
        self.state = expires.map_or(State::Idle, |expires| {
            let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_millis(expires).saturating_sub(today);
            let due = now.checked_add(left.saturating_sub((left / LEAD).min(MAX_LEAD)).max(least));
            due.map_or(State::Idle, State::Due)
        });
    }

    /// A credential was sent by this command: its answer tells the next time.
    pub(crate) fn sent(&mut self, id: String) {
        self.sent = Some(id);
    }

    /// Whether this is the command by which the last one was sent.
    pub(crate) fn is_sent_by(&self, id: &str) -> bool {
        self.sent.as_deref() == Some(id)
    }

    /// There was none, or the server did not take it.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.state = State::Due(now + PAUSE);
    }

    /// The connection is gone, and with it the time.
    pub(crate) fn lost(&mut self) {
        (self.state, self.sent) = (State::Idle, None);
    }

    /// The next credential, when it is time. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Secret, Error> {
        loop {
            self.state = match &mut self.state {
                State::Idle => pending().await,
                State::Due(at) => {
                    sleep_until(*at).await;
                    State::Asking(self.ask())
                }
                State::Asking(asking) => {
                    let token = asking.await;
                    self.state = State::Idle;
                    return token;
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_has_ended_by_this_clock_is_not_renewed_in_a_loop() {
        let mut renewal = Renewal::new(async || Ok(Secret("t".to_owned())), PAUSE);
        renewal.expires(Some(0), Instant::now());
        assert!(renewal.next().now_or_never().is_some(), "the first is renewed at once");
        renewal.sent("1".to_owned());
        renewal.expires(Some(0), Instant::now());
        let before = Instant::now();
        assert!(renewal.next().await.is_ok());
        assert_eq!(before.elapsed(), PAUSE);
    }
}
