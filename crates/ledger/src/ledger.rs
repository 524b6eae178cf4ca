//! The ledger as a whole: started once, asked by many.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use standpipe_protocol::ConnectionId;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Bill, Budget, ChargeSink, ClassNumbers, Counts, EventName, Found, Journal, JournalError, Numbers, Payer, RequestId,
    Settlement, Tariff, Unbilled, Usd, bill::Account, driver::Driver, gate::Gate,
};

/// What is to be charged for, and how far.
#[derive(Debug)]
pub struct Config {
    /// The run that pays, or whose callers pay.
    pub run: String,
    /// Where the journal is.
    pub journal: PathBuf,
    /// What is charged as what.
    pub tariff: Arc<Tariff>,
    /// What the run may cost in all.
    pub cap: Option<Cap>,
    /// What happens to deliveries that cannot be billed.
    pub unbilled: Unbilled,
    /// How many deliveries one payer may have confirmed that are not settled; beyond it, delivery waits.
    pub max_unsettled: u64,
    /// What one connection may have confirmed and not settled; beyond it, delivery waits. What has no price is not bounded.
    pub max_owed: Option<Usd>,
}

/// The most that a run may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// In all.
    pub amount: Usd,
    /// Of this, what was charged for events that are not in the tariff.
    pub spent_otherwise: Usd,
}

/// Why nothing can be billed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// How far the cap reaches cannot be told.
    #[error("the price of `{0}` is not known, and the run has a limit of cost")]
    UnknownPrice(EventName),
    /// The keys of charges would not be this process' own.
    #[error("the system gives no randomness for the keys of charges")]
    NoRandomness,
    /// The journal was opened on a thread that ended early.
    #[error("the journal could not be opened: the task failed")]
    Failed,
}

/// The way to the ledger. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
    settle: mpsc::Sender<Settle>,
}

/// What the connections and the task that charges have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tariff: Arc<Tariff>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) run: Arc<Account>,
    max_unsettled: u64,
    /// Callers whose connections have opened since the driver last looked. Bounded by the connections.
    arrived: Mutex<Vec<(Arc<Account>, RequestId)>>,
    report: Mutex<Report>,
}

/// Somebody waits until all is settled, at most until then.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<()>,
}

/// Those who may wait for settlement at the same time.
const SETTLING: usize = 4;

/// What the ledger says of itself, as of a moment ago.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each event that is charged.
    pub events: BTreeMap<EventName, EventReport>,
    /// What calls to the sink came to.
    pub calls: Numbers,
    /// The budget, if there is a cap.
    pub budget: Option<Budget>,
    /// Connections that wait for money, or for billing to work.
    pub waiting: usize,
    /// Whether nothing can be billed at present.
    pub stalled: bool,
    /// The size of the journal.
    pub journal_bytes: u64,
    /// How often it could not be written.
    pub journal_failures: u64,
}

/// One event that is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventReport {
    /// What became of its deliveries in this process.
    pub numbers: ClassNumbers,
    /// Confirmed, and neither charged nor given up.
    pub unsettled: u64,
    /// Of these, perhaps charged.
    pub doubtful: u64,
}

impl Ledger {
    /// Opens the journal and begins to charge. `counts` is what the sink has charged in this run so far.
    ///
    /// The task ends when `cancel` says so, whatever is left: [`Ledger::settle`] comes before.
    ///
    /// # Errors
    /// If it could not be said what is to be charged, or how far.
    pub async fn start<S: ChargeSink>(
        config: Config,
        sink: S,
        counts: &Counts,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<Self, StartError> {
        let random = getrandom::u64().map_err(|_| StartError::NoRandomness)?;
        let Config { run, journal, tariff, cap, unbilled, max_unsettled, max_owed } = config;
        if let Some(unknown) = tariff.names().iter().find(|priced| cap.is_some() && priced.price.is_none()) {
            return Err(StartError::UnknownPrice(unknown.name.clone()));
        }
        let opened = tokio::task::spawn_blocking({
            let counted = tariff.names().iter().map(|priced| priced.name.clone());
            let counts: Counts = counted.map(|name| (name.clone(), counts.get(&name).copied().unwrap_or(0))).collect();
            let run = run.clone();
            move || open(&journal, &run, &counts)
        });
        let journal = opened.await.map_err(|_| StartError::Failed)??;
        let past = journal.state();
        let prices: Vec<_> = tariff.names().iter().map(|priced| priced.price.unwrap_or_default()).collect();
        let budget = cap.map(|cap| {
            let spent = tariff.names().iter().map(|priced| {
                let counted = past.events.get(&priced.name).and_then(|past| past.counted);
                priced.price.unwrap_or_default().times(counted.unwrap_or(0))
            });
            Budget::new(cap.amount, spent.fold(cap.spent_otherwise, |sum, spent| sum + spent))
        });
        let shared = Arc::new(Shared {
            gate: Arc::new(Gate::new(prices, budget, unbilled, max_owed)),
            run: Arc::new(Account::new(Payer::Run, tariff.names().len(), max_unsettled)),
            tariff,
            max_unsettled,
            arrived: Mutex::default(),
            report: Mutex::default(),
        });
        let settlement = Settlement::new(&run, random, sink.terms(), shared.tariff.names(), past, std_now());
        let (settle, settling) = mpsc::channel(SETTLING);
        let driver = Driver::new(sink, settlement, journal, Arc::clone(&shared), settling);
        tracker.spawn(driver.run(cancel));
        Ok(Self { shared, settle })
    }

    /// What is charged as what.
    pub fn tariff(&self) -> Arc<Tariff> {
        Arc::clone(&self.shared.tariff)
    }

    /// The bill of a connection that the run pays for.
    pub fn bill(&self) -> Bill {
        self.shared.bill(Arc::clone(&self.shared.run))
    }

    /// The bill of a connection whose caller pays, and is known to the sink by `request`.
    pub fn bill_to(&self, connection: ConnectionId, request: RequestId) -> Bill {
        let (classes, max_unsettled) = (self.shared.tariff.names().len(), self.shared.max_unsettled);
        let account = Arc::new(Account::new(Payer::Connection(connection), classes, max_unsettled));
        lock(&self.shared.arrived).push((Arc::clone(&account), request));
        self.shared.bill(account)
    }

    /// Waits until all that is confirmed is settled, at most until `deadline`. Nothing is gathered any more from then on.
    pub async fn settle(&self, deadline: Instant) {
        let (answer, answered) = oneshot::channel();
        if self.settle.send(Settle { deadline, answer }).await.is_ok() {
            // The driver keeps the deadline.
            let _ = answered.await;
        }
    }

    /// What the ledger says of itself.
    pub fn report(&self) -> Report {
        lock(&self.shared.report).clone()
    }
}

impl Shared {
    fn bill(&self, account: Arc<Account>) -> Bill {
        Bill::new(account, Arc::clone(&self.gate))
    }

    pub(crate) fn take_arrived(&self) -> Vec<(Arc<Account>, RequestId)> {
        std::mem::take(&mut *lock(&self.arrived))
    }

    pub(crate) fn publish(&self, report: Report) {
        *lock(&self.report) = report;
    }
}

impl Report {
    /// Confirmed deliveries that are neither charged nor given up.
    pub fn unsettled(&self) -> u64 {
        self.events.values().map(|event| event.unsettled).sum()
    }
}

/// Blocks.
fn open(path: &std::path::Path, run: &str, counts: &Counts) -> Result<Journal, JournalError> {
    let (mut journal, Found { torn, other_run }) = Journal::open(path, run)?;
    if torn > 0 {
        tracing::info!(bytes = torn, "the journal's last line was torn, as after a crash; it is cut off");
    }
    if let Some((run, left)) = other_run {
        let left: Vec<_> = left.iter().map(|(event, count)| format!("{event}: {count}")).collect();
        tracing::warn!(run, left = left.join(", "), "the journal was of another run; what it left cannot be charged");
    }
    journal.begin_with(counts)?;
    Ok(journal)
}

/// The pure parts are given the standard library's time.
pub(crate) fn std_now() -> std::time::Instant {
    Instant::now().into_std()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
