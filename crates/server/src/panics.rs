//! A panic ends one task. It is counted and logged; the process lives.

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// From here on, panics are counted, and logged with their place. Once in a process.
pub(crate) fn count_panics() {
    panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Relaxed);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!(place, what, "a task panicked; please report this");
    }));
}

/// How many there were.
pub(crate) fn count() -> u64 {
    PANICS.load(Relaxed)
}
