//! What is measured where clients are served: with each write, and with each receipt.
//!
//! Each thread counts for itself, so that no two cores share what they count with; whoever asks adds the threads up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use standpipe_protocol::{SharedSpread, Spread};

/// How connections are served, over all that there ever were in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes of one write.
    pub write_bytes: Spread,
    /// How long the first frame of a write had waited for it, in microseconds.
    pub waits: Spread,
    /// From when a ping was written to its pong, in microseconds.
    pub receipts: Spread,
    /// From when an event was queued to its proof, in microseconds: of one at a time of each connection.
    pub confirmations: Spread,
}

/// What one thread has counted.
#[derive(Debug, Default)]
struct Share {
    write_bytes: SharedSpread,
    waits: SharedSpread,
    receipts: SharedSpread,
    confirmations: SharedSpread,
}

/// As many as there were ever threads at the same time.
static SHARES: Mutex<Vec<Arc<Share>>> = Mutex::new(Vec::new());

thread_local! {
    // Invariant: no other thread counts in it.
    static OWN: Arc<Share> = take_share();
}

/// The share of a thread that has ended, or a new one.
fn take_share() -> Arc<Share> {
    let mut shares = SHARES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(left) = shares.iter().find(|share| Arc::strong_count(share) == 1) {
        return Arc::clone(left);
    }
    let share = Arc::new(Share::default());
    shares.push(Arc::clone(&share));
    share
}

/// A write took `bytes`, whose first frame had waited for so long.
pub(crate) fn wrote(bytes: usize, waited: Duration) {
    OWN.with(|own| {
        own.write_bytes.count_alone(bytes as u64);
        own.waits.count_alone(micros(waited));
    });
}

/// A ping was answered after so long.
pub(crate) fn proved(after: Duration) {
    OWN.with(|own| own.receipts.count_alone(micros(after)));
}

/// An event was proven to have been received, so long after it was queued.
pub(crate) fn confirmed(after: Duration) {
    OWN.with(|own| own.confirmations.count_alone(micros(after)));
}

/// What was measured so far.
pub fn measured() -> Measured {
    let mut sum = Measured::default();
    for share in &*SHARES.lock().unwrap_or_else(PoisonError::into_inner) {
        sum.write_bytes.merge(&share.write_bytes.read());
        sum.waits.merge(&share.waits.read());
        sum.receipts.merge(&share.receipts.read());
        sum.confirmations.merge(&share.confirmations.read());
    }
    sum
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_threads_have_counted_outlives_them_and_their_places_are_taken_again() {
        let before = measured();
        for _ in 0..20 {
            let counted = thread::spawn(|| {
                wrote(1000, Duration::from_millis(3));
                proved(Duration::from_secs(1));
            });
            counted.join().unwrap();
        }
        let after = measured();
        assert!(after.write_bytes.total() >= before.write_bytes.total() + 20);
        assert!(after.waits.sum() >= before.waits.sum() + 60_000);
        assert!(after.receipts.sum() >= before.receipts.sum() + 20_000_000);
        let shares = SHARES.lock().unwrap().len();
        assert!(shares < 20, "{shares} of threads one after the other");
    }
}
