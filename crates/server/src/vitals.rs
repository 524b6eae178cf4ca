//! How the process itself is: what it uses of the machine, whether its runtime runs what it is to run in time, and how far
//! its drain has come.

use std::{
    fs,
    sync::{OnceLock, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};
use standpipe_protocol::{SharedSpread, Spread};
use tokio::{
    runtime::Handle,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{panics, telemetry::QUOTA};

/// From one beat to the next.
pub(crate) const BEAT: Duration = Duration::from_millis(250);

/// What the process is asked about itself.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    pub(crate) uptime: Duration,
    /// Since 1970.
    pub(crate) started: Duration,
    pub(crate) panics: u64,
    /// Lines that were left out of the log.
    pub(crate) left_out: u64,
    pub(crate) drain: Option<Drain>,
    pub(crate) tasks: usize,
    pub(crate) workers: usize,
    pub(crate) busy: Duration,
    pub(crate) queued: usize,
    /// How late the heart beat, in microseconds.
    pub(crate) late: Spread,
    /// What the system tells, if it does.
    pub(crate) system: Option<System>,
}

/// A drain that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    pub(crate) since: Duration,
    /// How many clients there were then.
    pub(crate) clients: usize,
}

/// What the process uses of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_files: u64,
    pub(crate) max_files: Option<u64>,
}

/// Beats for as long as the runtime runs what it is to run.
#[derive(Debug, Default)]
pub(crate) struct Heart {
    beats: AtomicU64,
    late: SharedSpread,
    drained: OnceLock<(Instant, usize)>,
}

impl Heart {
    /// Beats, for as long as it is polled.
    pub(crate) async fn beat(&self) {
        let mut tick = interval(BEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tick.tick().await;
            self.late.count(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
            self.beats.fetch_add(1, Relaxed);
        }
    }

    /// How often it has.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Relaxed)
    }

    /// The drain begins, with so many clients.
    pub(crate) fn drains(&self, clients: usize) {
        self.drained.get_or_init(|| (Instant::now(), clients));
    }

    /// What can be told of a process that was started at `started`, and at `started_at` in ms since 1970.
    pub(crate) fn vitals(&self, started: Instant, started_at: u64) -> Vitals {
        let runtime = Handle::current().metrics();
        let workers = runtime.num_workers();
        Vitals {
            uptime: started.elapsed(),
            started: Duration::from_millis(started_at),
            panics: panics::count(),
            left_out: QUOTA.left_out(),
            drain: self.drained.get().map(|(at, clients)| Drain { since: at.elapsed(), clients: *clients }),
            tasks: runtime.num_alive_tasks(),
            workers,
            busy: (0..workers).map(|worker| runtime.worker_total_busy_duration(worker)).sum(),
            queued: runtime.global_queue_depth(),
            late: self.late.read(),
            system: System::ask(),
        }
    }
}

impl System {
    /// What the system tells in `/proc` (proc(5)); nothing where there is none.
    pub(crate) fn ask() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        Self::read(&stat, clock_ticks_per_second(), page_size() as u64)
    }

    fn read(stat: &str, ticks_per_second: u64, page_size: u64) -> Option<Self> {
        // The second field is the program's name in parentheses, which may have any characters in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)? + field(15)?;
        Some(Self {
            cpu: Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)),
            threads: field(20)?,
            resident_bytes: field(24)? * page_size,
            open_files: open_files()?,
            max_files: getrlimit(Resource::Nofile).current,
        })
    }
}

/// How many files the process has open. Newer systems tell the number; else they are counted.
fn open_files() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        told => Some(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_line_is_read_whatever_the_program_is_called() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 9 0 12345 1000000 300 18446744073709551615 1";
        let system = System::read(stat, 100, 4096).unwrap();
        assert_eq!((system.cpu, system.threads, system.resident_bytes), (Duration::from_secs(3), 9, 300 * 4096));
        assert_eq!(System::read("7 (a) S 1", 100, 4096), None);
    }

    #[test]
    fn an_open_file_is_counted() {
        let Some(before) = System::ask() else { return };
        let files: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let System { open_files, threads, resident_bytes, .. } = System::ask().unwrap();
        assert!(open_files >= before.open_files + 10, "{open_files} after {}", before.open_files);
        assert!(threads >= 1 && resident_bytes > 100_000, "{threads} {resident_bytes}");
        drop(files);
    }

    #[tokio::test(start_paused = true)]
    async fn a_heart_that_beats_in_time_is_not_late() {
        let heart = Heart::default();
        let _ = tokio::time::timeout(Duration::from_millis(900), heart.beat()).await;
        assert_eq!((heart.beats.load(Relaxed), heart.late.read().sum()), (4, 0));
    }

    #[tokio::test]
    async fn how_far_a_drain_has_come_is_told() {
        let heart = Heart::default();
        assert!(heart.vitals(Instant::now(), 0).drain.is_none());
        heart.drains(7);
        heart.drains(3);
        assert_eq!(heart.vitals(Instant::now(), 0).drain.unwrap().clients, 7);
    }
}
