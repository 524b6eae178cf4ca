//! Ends a process that stands still: one that answers nobody is better started again.
//!
//! A thread of its own, which needs nothing of the runtime, looks whether its heart and each shard have beaten. It counts
//! in its own looks and not in time: a process that is stopped (SIGSTOP, a suspended machine) does not look either, and has
//! missed nothing when it goes on.

use std::{
    io,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// How the process ends that stood still (`EX_SOFTWARE` of `sysexits.h`).
pub(crate) const STOOD_STILL: u8 = 70;

/// How long the last line may take: what keeps the runtime may be the log.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Decides what stands still.
#[derive(Debug)]
pub(crate) struct Watch {
    /// So many looks without a beat are too many.
    max_still: u32,
    /// Of each that should beat, how often it has by now, and for how many looks that has been so.
    seen: Vec<(u64, u32)>,
}

impl Watch {
    /// Nothing may stand still for longer than `patience`, if it is looked at every `look`.
    pub(crate) fn new(patience: Duration, look: Duration) -> Self {
        let looks = patience.as_nanos().div_ceil(look.as_nanos().max(1));
        // Between two looks something may just not have beaten yet.
        Self { max_still: u32::try_from(looks).unwrap_or(u32::MAX).max(2), seen: Vec::new() }
    }

    /// Looks at how often each has beaten so far. The place of the first that stands still, if one does.
    pub(crate) fn look(&mut self, beats: &[u64]) -> Option<usize> {
        self.seen.resize(beats.len(), (0, 0));
        for ((seen, still), now) in self.seen.iter_mut().zip(beats) {
            if seen == now {
                *still += 1;
            } else {
                (*seen, *still) = (*now, 0);
            }
        }
        self.seen.iter().position(|(_, still)| *still > self.max_still)
    }
}

/// A thread that watches until this is dropped.
pub(crate) struct Watchdog {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches what `beats` tells, each with its count; `bite` is given the place of what stands still.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(crate) fn start(
        patience: Duration,
        beats: impl Fn() -> Vec<u64> + Send + 'static,
        bite: impl FnOnce(usize) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let watch = move || {
            let mut watch = Watch::new(patience, LOOK);
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if let Some(still) = watch.look(&beats()) {
                    return bite(still);
                }
            }
        };
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// Says what stands still, and ends the process.
pub(crate) fn end_process(still: &str, patience: Duration) {
    let (said, done) = sync_channel(1);
    let what = still.to_owned();
    let say = move || {
        let patience_s = patience.as_secs_f64();
        tracing::error!(
            what,
            patience_s,
            "it stands still, and nobody is served: the process ends; please report this"
        );
        let _ = said.send(());
    };
    // Whoever holds the log may be what stands still.
    if thread::Builder::new().spawn(say).is_ok() {
        let _ = done.recv_timeout(LAST_WORD);
    }
    #[expect(clippy::disallowed_methods, reason = "what would drain stands still")]
    std::process::exit(i32::from(STOOD_STILL));
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use super::*;
    use crate::vitals::Heart;

    fn watch() -> Watch {
        Watch::new(Duration::from_secs(2), Duration::from_millis(500))
    }

    #[test]
    fn what_beats_now_and_then_is_let_be() {
        let mut watch = watch();
        assert_eq!(watch.look(&[0, 0]), None);
        for beat in 1..20 {
            for _ in 0..4 {
                assert_eq!(watch.look(&[beat, beat]), None);
            }
        }
    }

    #[test]
    fn what_does_not_beat_for_its_patience_is_found_whatever_else_beats() {
        let mut watch = watch();
        let found: Vec<_> = (0..7).map(|look| watch.look(&[look, 9, look])).collect();
        assert_eq!(found, [None, None, None, None, None, Some(1), Some(1)]);
    }

    #[test]
    fn what_goes_on_in_time_is_forgiven() {
        let mut watch = watch();
        for beat in [1, 1, 1, 1, 2, 2, 2, 2, 2, 3] {
            assert_eq!(watch.look(&[beat]), None);
        }
    }

    #[test]
    fn a_patience_shorter_than_a_look_is_two_looks() {
        let mut watch = Watch::new(Duration::from_millis(1), Duration::from_millis(500));
        let found: Vec<_> = (0..4).map(|_| watch.look(&[0])).collect();
        assert_eq!(found, [None, None, Some(0), Some(0)]);
    }

    #[test]
    fn a_runtime_that_is_kept_is_found_and_one_that_runs_is_not() {
        let (heart, is_kept) = (Arc::new(Heart::default()), Arc::new(AtomicBool::new(false)));
        let (keep, kept) = sync_channel::<()>(1);
        let (beating, blocking) = (Arc::clone(&heart), Arc::clone(&is_kept));
        let runtime = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let heart = beating.beat();
                let enough = async {
                    while beating.beats() < 12 {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! { () = heart => {}, () = enough => {} }
                // As a task would that never gives its thread back.
                blocking.store(true, Relaxed);
                let _ = kept.recv();
            });
        });
        let (found, told) = sync_channel(1);
        let (watched, was_kept) = (Arc::clone(&heart), Arc::clone(&is_kept));
        let bite = move |still| found.send((still, was_kept.load(Relaxed))).unwrap();
        let watchdog = Watchdog::start(Duration::from_secs(1), move || vec![watched.beats()], bite).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok((0, true)), "what, and not before");
        drop((watchdog, keep));
        runtime.join().unwrap();
    }

    #[test]
    fn it_ends_with_who_started_it() {
        let watchdog = Watchdog::start(Duration::from_secs(3600), || vec![0], |_| panic!("it is patient")).unwrap();
        drop(watchdog);
    }
}
