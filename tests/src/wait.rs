//! Waiting for a fact, with a deadline, instead of sleeping and hoping.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How long a thing may take that is normally there at once. Long, since the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Tries until it succeeds.
///
/// # Panics
/// If it did not within `deadline`, with the reason of the last attempt.
pub async fn eventually<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    const PAUSE: Duration = Duration::from_millis(10);
    let end = Instant::now() + deadline;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(why) if Instant::now() >= end => panic!("{what}: not within {deadline:?}: {why}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Waits for a future.
///
/// # Panics
/// If it is not ready within `deadline`.
pub async fn within<T>(what: &str, deadline: Duration, future: impl Future<Output = T>) -> T {
    timeout(deadline, future).await.unwrap_or_else(|_| panic!("{what}: not within {deadline:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_true_later_is_waited_for() {
        let mut attempts = 0;
        let found = eventually("three attempts", PATIENCE, async || {
            attempts += 1;
            if attempts == 3 { Ok(attempts) } else { Err("not yet") }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the moon: not within 20s: still up")]
    async fn what_never_comes_true_is_told_with_its_last_reason() {
        eventually("the moon", PATIENCE, async || Err::<(), _>("still up")).await;
    }
}
