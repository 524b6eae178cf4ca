//! The whole ledger, with files on a disk and time that stands still.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::Poll,
};

use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Bill, Cap, Charge, Config, EventName, FileSink, Ledger, Pause, Rule, StartError, Tariff, Terms, Unbilled, Unpaid,
};

/// The file, behind a door.
#[derive(Clone)]
struct Door {
    sink: FileSink,
    open: Arc<AtomicBool>,
}

impl ChargeSink for Door {
    fn terms(&self) -> Terms {
        self.sink.terms()
    }

    async fn charge(&self, charge: &Charge) -> Answer {
        if self.open.load(Relaxed) { self.sink.charge(charge).await } else { Answer::NotNow { retry_after: None } }
    }

    async fn counts(&self) -> Result<Counts, CountsError> {
        self.sink.counts().await
    }
}

struct World {
    directory: TempDir,
    tracker: TaskTracker,
    cancel: CancellationToken,
    door: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        Self { directory: TempDir::new().unwrap(), tracker, cancel, door: Arc::new(AtomicBool::new(true)) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, run: &str, price: Option<&str>, cap: Option<&str>) -> Config {
        let event = EventName::new("op").unwrap();
        let rules = vec![Rule { selects: Box::new(|_| true), event }];
        let tariff = Tariff::new(rules, |_| price.map(|price| price.parse().unwrap())).unwrap();
        Config {
            run: run.to_owned(),
            journal: self.path("journal.jsonl"),
            tariff: Arc::new(tariff),
            cap: cap.map(|cap| Cap { amount: cap.parse().unwrap(), spent_otherwise: crate::Usd::ZERO }),
            unbilled: Unbilled::Hold,
            max_unsettled: 10_000,
            max_owed: None,
        }
    }

    async fn start(&self, config: Config) -> Result<Ledger, StartError> {
        let sink = FileSink::open(&self.path("charges.jsonl"), &config.run).unwrap();
        let counts = sink.counts().await.unwrap();
        let door = Door { sink, open: Arc::clone(&self.door) };
        Ledger::start(config, door, &counts, &self.tracker, self.cancel.clone()).await
    }

    /// Ends the process, as it were, without settling anything.
    async fn end(&mut self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        (self.tracker, self.cancel) = (TaskTracker::new(), CancellationToken::new());
    }

    fn charged(&self, run: &str) -> u64 {
        charged(&self.path("charges.jsonl"), run)
    }
}

fn charged(path: &Path, run: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["run"] == run).map(|line| line["count"].as_u64().unwrap()).sum()
}

fn ask(bill: &mut Bill) -> Result<(), Unpaid> {
    bill.admit(crate::Place::nowhere(), Some(Class(0)))
}

fn take(bill: &mut Bill, count: u64) -> u64 {
    let mut taken = 0;
    while taken < count && ask(bill).is_ok() {
        bill.took();
        taken += 1;
    }
    bill.rest();
    taken
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn what_was_proven_is_charged_and_nothing_else() {
    let world = World::new();
    let ledger = world.start(world.config("run", None, None)).await.unwrap();
    let (mut one, mut other) = (ledger.bill(), ledger.bill());
    assert_eq!((take(&mut one, 100), take(&mut other, 50)), (100, 50));
    one.proven(60, std::iter::empty());
    other.proven(50, std::iter::empty());
    drop(one);
    ledger.settle(soon()).await;
    assert_eq!(world.charged("run"), 110);
    let report = ledger.report();
    assert_eq!((report.unsettled(), report.calls.accepted), (0, 1), "many connections are one charge");
}

#[tokio::test(start_paused = true)]
async fn the_next_process_of_the_run_charges_what_this_one_could_not() {
    let mut world = World::new();
    world.door.store(false, Relaxed);
    let ledger = world.start(world.config("run", None, None)).await.unwrap();
    let mut bill = ledger.bill();
    take(&mut bill, 40);
    bill.proven(40, std::iter::empty());
    ledger.settle(soon()).await;
    assert_eq!((ledger.report().unsettled(), world.charged("run")), (40, 0), "the deadline is kept");
    world.end().await;
    world.door.store(true, Relaxed);
    let again = world.start(world.config("run", None, None)).await.unwrap();
    again.settle(soon()).await;
    assert_eq!((again.report().unsettled(), world.charged("run")), (0, 40));
}

#[tokio::test(start_paused = true)]
async fn a_new_run_charges_nothing_of_an_old_one() {
    let mut world = World::new();
    world.door.store(false, Relaxed);
    let ledger = world.start(world.config("old", None, None)).await.unwrap();
    let mut bill = ledger.bill();
    take(&mut bill, 40);
    bill.proven(40, std::iter::empty());
    ledger.settle(soon()).await;
    world.end().await;
    world.door.store(true, Relaxed);
    let new = world.start(world.config("new", None, None)).await.unwrap();
    new.settle(soon()).await;
    assert_eq!((world.charged("old"), world.charged("new"), new.report().unsettled()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cap_is_used_to_the_last_event_by_those_who_live_and_never_passed() {
    let world = World::new();
    let ledger = world.start(world.config("run", Some("0.0003"), Some("1.00"))).await.unwrap();
    let mut bills: Vec<_> = (0..10).map(|_| ledger.bill()).collect();
    let mut taken = [0u64; 10];
    for round in 0..400 {
        for (i, bill) in bills.iter_mut().enumerate() {
            taken[i] += take(bill, 7 + i as u64);
            // Three of ten are dead: they never prove anything, and are given up now and then.
            if i >= 3 {
                bill.proven(taken[i], std::iter::empty());
            } else if round % 50 == 49 {
                (*bill, taken[i]) = (ledger.bill(), 0);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(world.charged("run") <= 3333);
    }
    drop(bills);
    ledger.settle(soon()).await;
    assert_eq!(world.charged("run"), 3333);
    assert_eq!(ask(&mut ledger.bill()), Err(Unpaid::Wait(Pause::Exhausted)));
}

#[tokio::test(start_paused = true)]
async fn a_cap_without_a_price_is_refused_by_name() {
    let world = World::new();
    let refused = world.start(world.config("run", None, Some("1"))).await.unwrap_err();
    assert_eq!(refused.to_string(), "the price of `op` is not known, and the run has a limit of cost");
}

#[tokio::test(start_paused = true)]
async fn what_the_run_had_spent_before_counts() {
    let mut world = World::new();
    let ledger = world.start(world.config("run", Some("0.3"), Some("1"))).await.unwrap();
    let mut bill = ledger.bill();
    assert_eq!(take(&mut bill, 2), 2);
    bill.proven(2, std::iter::empty());
    ledger.settle(soon()).await;
    world.end().await;
    let again = world.start(world.config("run", Some("0.3"), Some("1"))).await.unwrap();
    assert_eq!(take(&mut again.bill(), 9), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_cannot_be_written_nothing_is_delivered_for_money() {
    let world = World::new();
    let ledger = world.start(world.config("run", None, None)).await.unwrap();
    let mut bill = ledger.bill();
    take(&mut bill, 5);
    bill.proven(5, std::iter::empty());
    let shared = Arc::clone(&ledger.shared);
    world.cancel.cancel();
    world.tracker.close();
    world.tracker.wait().await;
    // The same driver by hand, so that its journal can be reached.
    let (_settle, settling) = mpsc::channel(1);
    let (mut journal, _) = Journal::open(&world.path("journal.jsonl"), "run").unwrap();
    let good = journal.fill_disk();
    let sink = FileSink::open(&world.path("charges.jsonl"), "run").unwrap();
    let settlement = Settlement::new("run", 9, sink.terms(), shared.tariff.names(), journal.state(), std_now());
    let mut driver = Driver::new(sink, settlement, journal, shared, settling);
    let wait = futures_util::future::poll_fn(|cx| match ask(&mut bill) {
        Err(Unpaid::Wait(Pause::Billing)) => {
            bill.wait(cx.waker());
            Poll::Pending
        }
        asked => Poll::Ready(asked),
    });
    driver.look();
    let written = driver.writing.take().unwrap().await;
    driver.written(written);
    let mut wait = std::pin::pin!(wait);
    assert!(futures_util::poll!(&mut wait).is_pending());
    driver.journal.as_mut().unwrap().free_disk(good);
    tokio::time::advance(PAUSE).await;
    driver.look();
    let written = driver.writing.take().unwrap().await;
    driver.written(written);
    assert_eq!(wait.await, Ok(()));
    let op = EventName::new("op").unwrap();
    assert_eq!(driver.journal.as_ref().unwrap().state().events[&op].confirmed, 5, "and what was proven is not lost");
}
