//! The one task that charges: it reads what connections have confirmed, writes the journal, calls the sink.
//!
//! It decides nothing of its own: [`Settlement`] says what is written and called, this says when it is asked.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Acquire},
    time::Duration,
};

use futures_util::{StreamExt as _, future::OptionFuture, stream::FuturesUnordered};
use standpipe_protocol::ConnectionId;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Answer, ChargeSink, Class, Counts, CountsError, Effect, Entry, Journal, JournalError, Payer, Scope, Settlement,
    bill::Account,
    ledger::{EventReport, Report, Settle, Shared, std_now},
};

/// How often accounts are read and the journal is written: what a crash of the process takes along was confirmed since.
const TICK: Duration = Duration::from_millis(200);

/// After the journal could not be written, it is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// A write to the journal, on a thread of its own. It brings the journal back, and what was to be written.
type Written = (Journal, Vec<Entry>, Result<(), JournalError>);
type Writing = JoinHandle<Written>;
type Call = Pin<Box<dyn Future<Output = (u64, Answer)> + Send>>;
type Counting = Pin<Box<dyn Future<Output = Result<Counts, CountsError>> + Send>>;

/// See the file's description.
pub(crate) struct Driver<S> {
    sink: Arc<S>,
    settlement: Settlement,
    shared: Arc<Shared>,
    settling: mpsc::Receiver<Settle>,
    /// Those who wait for all to be settled. Bounded as the queue that they come through.
    waiting: Vec<Settle>,
    accounts: BTreeMap<Payer, Known>,
    /// Nothing while it is being written, or if the thread that had it is lost.
    journal: Option<Journal>,
    /// What it does not hold yet, although it was tried.
    unwritten: Vec<Entry>,
    write_at: Instant,
    writing: Option<Writing>,
    /// Bounded by the terms of the sink.
    calls: FuturesUnordered<Call>,
    counting: Option<Counting>,
    journal_bytes: u64,
    journal_failures: u64,
}

/// An account, and how much of what it confirmed was taken over.
struct Known {
    account: Arc<Account>,
    seen: Vec<u64>,
}

impl Known {
    fn new(account: Arc<Account>) -> Self {
        let seen = vec![0; account.confirmed.len()];
        Self { account, seen }
    }
}

impl<S: ChargeSink> Driver<S> {
    pub(crate) fn new(
        sink: S,
        settlement: Settlement,
        journal: Journal,
        shared: Arc<Shared>,
        settling: mpsc::Receiver<Settle>,
    ) -> Self {
        let run = Known::new(Arc::clone(&shared.run));
        for class in (0..).map(Class).take(run.seen.len()) {
            let left = settlement.unsettled(class);
            run.account.inherit(class, left);
            shared.gate.inherit(class, left);
        }
        Self {
            sink: Arc::new(sink),
            settlement,
            shared,
            settling,
            waiting: Vec::new(),
            accounts: BTreeMap::from([(Payer::Run, run)]),
            journal_bytes: journal.bytes(),
            journal: Some(journal),
            unwritten: Vec::new(),
            write_at: Instant::now(),
            writing: None,
            calls: FuturesUnordered::new(),
            counting: None,
            journal_failures: 0,
        }
    }

    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased; // The end first; then what is known already, before more is begun.
                () = cancel.cancelled() => break,
                Some((number, answer)) = self.calls.next(), if !self.calls.is_empty() => {
                    self.settlement.answered(number, answer, std_now(), random());
                }
                Some(counts) = OptionFuture::from(self.counting.as_mut()) => {
                    self.counting = None;
                    if let Err(error) = &counts {
                        tracing::warn!(%error, "what became of charges that were not answered is still unknown");
                    }
                    self.settlement.counted(counts.as_ref(), std_now(), random());
                }
                Some(written) = OptionFuture::from(self.writing.as_mut()) => {
                    self.writing = None;
                    self.written(written);
                }
                Some(settle) = self.settling.recv() => {
                    self.settlement.hurry();
                    self.waiting.push(settle);
                    self.look();
                }
                _ = tick.tick() => self.look(),
            }
            self.go_on();
        }
        // What is being written is whole before the process ends.
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
    }

    /// Takes over what was confirmed, and begins to write down what follows from it.
    fn look(&mut self) {
        self.read_accounts();
        self.write();
        self.answer_waiting();
        self.publish();
    }

    fn read_accounts(&mut self) {
        let now = std_now();
        for (account, request) in self.shared.take_arrived() {
            if let Payer::Connection(connection) = account.payer {
                self.settlement.introduce(connection, request);
            }
            self.accounts.insert(account.payer, Known::new(account));
        }
        let mut parted: Vec<ConnectionId> = Vec::new();
        for (payer, known) in &mut self.accounts {
            // Invariant: read first, so that nothing is confirmed behind what is read of a parted one.
            let has_parted = known.account.parted.load(Acquire);
            for (class, (seen, confirmed)) in (0..).map(Class).zip(known.seen.iter_mut().zip(&known.account.confirmed))
            {
                let total = confirmed.load(Acquire);
                if total > *seen {
                    self.settlement.confirmed(*payer, class, total - *seen, now);
                    *seen = total;
                }
            }
            if known.account.leaving.load(Acquire) {
                self.settlement.hasten(*payer, now);
            }
            match payer {
                Payer::Connection(connection) if has_parted => parted.push(*connection),
                _ => {}
            }
        }
        for connection in parted {
            self.settlement.part(connection, now);
            self.accounts.remove(&Payer::Connection(connection));
        }
    }

    /// Gives the journal what it does not hold yet, unless it is being written.
    fn write(&mut self) {
        if self.journal.is_none() || Instant::now() < self.write_at {
            return;
        }
        if self.unwritten.is_empty() {
            self.unwritten = self.settlement.commit(std_now());
        }
        if self.unwritten.is_empty() {
            return;
        }
        let Some(mut journal) = self.journal.take() else { return };
        let entries = std::mem::take(&mut self.unwritten);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let written = journal.append(&entries);
            (journal, entries, written)
        }));
    }

    fn written(&mut self, written: Result<Written, JoinError>) {
        let gate = &self.shared.gate;
        match written {
            Ok((journal, _, Ok(()))) => {
                if gate.is_stalled() {
                    tracing::info!("the journal is written again: billing goes on");
                }
                gate.set_stalled(false);
                self.journal_bytes = journal.bytes();
                self.journal = Some(journal);
                self.settlement.committed();
            }
            Ok((journal, entries, Err(error))) => {
                if !gate.is_stalled() {
                    tracing::error!(%error, "billing stops until the journal can be written");
                }
                gate.set_stalled(true);
                self.journal_failures += 1;
                (self.journal, self.unwritten) = (Some(journal), entries);
                self.write_at = Instant::now() + PAUSE;
            }
            Err(error) => {
                tracing::error!(%error, "the journal is lost, and nothing more is billed; please report this");
                gate.set_stalled(true);
                self.journal_failures += 1;
            }
        }
    }

    /// Begins what can be begun now, and passes on what has come about.
    fn go_on(&mut self) {
        let now = std_now();
        while let Some((number, charge)) = self.settlement.send(now) {
            let sink = Arc::clone(&self.sink);
            self.calls.push(Box::pin(async move { (number, sink.charge(&charge).await) }));
        }
        if self.counting.is_none() && self.settlement.wants_counts(now) {
            let sink = Arc::clone(&self.sink);
            self.counting = Some(Box::pin(async move { sink.counts().await }));
        }
        for effect in self.settlement.effects() {
            self.pass_on(effect);
        }
        if !self.waiting.is_empty() {
            self.write();
            self.answer_waiting();
        }
    }

    fn pass_on(&self, effect: Effect) {
        let gate = &self.shared.gate;
        match effect {
            Effect::Settled(payer, class, count) => {
                self.settle(payer, class, count);
                gate.settle(class, count);
            }
            Effect::Forgiven(payer, class, count) => {
                self.settle(payer, class, count);
                gate.forgive(class, count);
            }
            Effect::Stopped(payer, class, denied) => {
                let event = self.shared.tariff.names().get(class.index()).map_or("", |priced| priced.name.as_str());
                match (denied.scope, payer) {
                    (Scope::Charge, _) => {}
                    (Scope::Payer, Payer::Connection(connection)) => {
                        tracing::debug!(%connection, why = denied.why, "a caller cannot be charged any more");
                        if let Some(known) = self.accounts.get(&payer) {
                            known.account.deny();
                        }
                        gate.wake_all();
                    }
                    (Scope::Event, _) => {
                        tracing::error!(event, why = denied.why, "the event is not charged any more");
                        gate.deny(class);
                    }
                    (Scope::Everything, _) | (Scope::Payer, Payer::Run) => {
                        tracing::error!(event, why = denied.why, "nothing is charged any more");
                        (0..).map(Class).take(self.shared.tariff.names().len()).for_each(|class| gate.deny(class));
                    }
                }
            }
        }
    }

    fn settle(&self, payer: Payer, class: Class, count: u64) {
        if let Some(known) = self.accounts.get(&payer) {
            known.account.settle(class, count);
        }
    }

    fn answer_waiting(&mut self) {
        let is_written = self.unwritten.is_empty() && self.writing.is_none();
        let (is_settled, now) = (is_written && self.settlement.is_settled(), Instant::now());
        let is_over = |settle: &mut Settle| is_settled || settle.deadline <= now;
        let over: Vec<_> = self.waiting.extract_if(.., is_over).collect();
        if over.is_empty() {
            return;
        }
        // Whoever waited reads what is left.
        self.publish();
        for settle in over {
            // Who asked may have gone.
            let _ = settle.answer.send(());
        }
    }

    fn publish(&self) {
        let classes = (0..=u8::MAX).map(Class);
        let events = self.settlement.by_class().zip(classes).map(|((event, numbers), class)| {
            let (unsettled, doubtful) = (self.settlement.unsettled(class), self.settlement.doubtful(class));
            (event.clone(), EventReport { numbers, unsettled, doubtful })
        });
        self.shared.publish(Report {
            events: events.collect(),
            calls: self.settlement.numbers(),
            budget: self.shared.gate.budget(),
            waiting: self.shared.gate.waiting(),
            stalled: self.shared.gate.is_stalled(),
            journal_bytes: self.journal_bytes,
            journal_failures: self.journal_failures,
        });
    }
}

/// However it ended: what is confirmed from now on is not charged, so it is not delivered for money either.
impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.gate.set_stalled(true);
    }
}

/// For waits only: it need not be secret.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
