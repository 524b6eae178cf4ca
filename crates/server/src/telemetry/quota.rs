//! Bounds how often one place in the code writes to the log: a storm of clients must not become a storm of lines, at
//! whatever level is shown. What was left out is counted, and told a second later.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{Event, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::{Layer, layer::Context};

/// Lines of one place in one [`WINDOW`].
const MAX_LINES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// What has been written, by the place that wrote it. There are as many as the code has.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    places: Mutex<HashMap<Identifier, Place>>,
    left_out: AtomicU64,
}

/// One place in the code.
#[derive(Debug)]
struct Place {
    metadata: &'static Metadata<'static>,
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// That of the process.
pub(crate) static QUOTA: LazyLock<Quota> = LazyLock::new(Quota::default);

impl Quota {
    /// Whether one more line of this place is written.
    fn admit(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Place { metadata, since: now, lines: 0, left_out: 0 };
        let place = places.entry(metadata.callsite()).or_insert_with(new);
        if now.saturating_duration_since(place.since) >= WINDOW {
            (place.since, place.lines) = (now, 0);
        }
        let is_admitted = place.lines < MAX_LINES;
        if is_admitted {
            place.lines += 1;
        } else {
            place.left_out += 1;
            self.left_out.fetch_add(1, Relaxed);
        }
        is_admitted
    }

    /// Lines that were not written, ever.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    /// What was left out and not told so far, and where.
    fn take_left_out(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.values_mut().map(|place| (place.metadata, std::mem::take(&mut place.left_out)));
        taken.filter(|(_, left_out)| *left_out > 0).collect()
    }

    /// Tells what was left out.
    pub(crate) fn tell(&self) {
        for (metadata, left_out) in self.take_left_out() {
            let (place, line) = (metadata.target(), metadata.line().unwrap_or_default());
            tracing::warn!(place, line, left_out, "lines of one place were left out of the log");
        }
    }

    /// Tells it again and again, for as long as it is polled.
    pub(crate) async fn keep_telling(&self) {
        let mut tick = interval(WINDOW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.tell();
        }
    }
}

impl<S: Subscriber> Layer<S> for &'static Quota {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admit(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Arc,
    };

    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_has_its_quota_each_second_and_what_is_left_out_is_told() {
        let quota: &'static Quota = Box::leak(Box::default());
        let lines = Lines::default();
        let written = lines.clone();
        let layer = fmt::layer().with_writer(move || written.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new("info")).with(quota).with(layer);
        assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO), "what is not shown costs nothing");
        let _guard = tracing::subscriber::set_default(subscriber);
        let count = |what: &str| {
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains(what)).count()
        };
        let storm = |n: u32| {
            for i in 0..n {
                tracing::info!(i, "storm");
                if i == 0 {
                    tracing::info!("another place");
                }
            }
        };
        storm(MAX_LINES + 7);
        assert_eq!((count("storm"), count("another place")), (MAX_LINES as usize, 1));
        quota.tell();
        quota.tell();
        assert_eq!((count("left_out=7"), count("were left out"), quota.left_out()), (1, 1, 7));
        tokio::time::advance(WINDOW).await;
        storm(3);
        assert_eq!(count("storm"), MAX_LINES as usize + 3);
    }
}
