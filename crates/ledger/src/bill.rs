//! What one connection was given that costs money, and how much of it is proven to have been received.
//!
//! The writer asks before it takes a frame ([`Bill::admit`]) and tells that it took it; a receipt tells how many of the
//! frames arrived. Between the two, frames of the same class are one entry: a connection whose events are all charged as
//! the same thing has one, however many are on their way. So an event costs a comparison.
//!
//! An event is billed once, however often it is delivered and proven to one client ([`Paid`]).

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, Release},
        },
    },
    task::Waker,
};

use crate::{
    Class, Left, Paid, Payer, Place,
    gate::{Gate, Pass, Pause, Ticket},
};

/// What one payer has confirmed, and how much of it is unsettled. Connections add to it; the task that charges reads it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) payer: Payer,
    /// By class, in all.
    pub(crate) confirmed: Box<[AtomicU64]>,
    /// By class, what an earlier process left. It is settled first.
    inherited: Box<[AtomicU64]>,
    /// By class, what of both is charged or given up. What was confirmed first counts as settled first.
    settled: Box<[AtomicU64]>,
    unsettled: AtomicU64,
    max_unsettled: u64,
    /// The payer cannot be charged any more.
    denied: AtomicBool,
    /// It is about to part: what it owes is charged now or never.
    pub(crate) leaving: AtomicBool,
    /// No connection belongs to it any more. Never true of the run's.
    pub(crate) parted: AtomicBool,
}

impl Account {
    pub(crate) fn new(payer: Payer, classes: usize, max_unsettled: u64) -> Self {
        let zeros = || (0..classes).map(|_| AtomicU64::new(0)).collect();
        Self {
            payer,
            confirmed: zeros(),
            inherited: zeros(),
            settled: zeros(),
            unsettled: AtomicU64::new(0),
            max_unsettled,
            denied: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            parted: AtomicBool::new(false),
        }
    }

    /// So many more are confirmed. Returns how much of the class is settled once they are.
    fn confirm(&self, class: Class, count: u64) -> u64 {
        let Some(confirmed) = self.confirmed.get(class.index()) else { return 0 };
        // Invariant: it is counted as unsettled before it can be settled.
        self.unsettled.fetch_add(count, Relaxed);
        let before = confirmed.fetch_add(count, Release);
        let inherited = self.inherited.get(class.index()).map_or(0, |inherited| inherited.load(Relaxed));
        inherited + before + count
    }

    /// Of what was confirmed, or left by an earlier process, so many are charged or given up.
    pub(crate) fn settle(&self, class: Class, count: u64) {
        self.unsettled.fetch_sub(count, Relaxed);
        if let Some(settled) = self.settled.get(class.index()) {
            settled.fetch_add(count, Relaxed);
        }
    }

    fn settled(&self, class: Class) -> u64 {
        self.settled.get(class.index()).map_or(0, |settled| settled.load(Relaxed))
    }

    /// An earlier process left so many to be charged.
    pub(crate) fn inherit(&self, class: Class, count: u64) {
        self.unsettled.fetch_add(count, Relaxed);
        if let Some(inherited) = self.inherited.get(class.index()) {
            inherited.fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn unsettled(&self) -> u64 {
        self.unsettled.load(Relaxed)
    }

    pub(crate) fn deny(&self) {
        self.denied.store(true, Relaxed);
    }
}

/// Why the writer may not take the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpaid {
    /// Asking again may help: [`Bill::wait`].
    Wait(Pause),
    /// Its payer cannot be charged any more: it ends.
    Part,
}

/// How many events' money is set aside at once.
const RESERVED: u64 = 32;

/// Frames of one class that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    class: Option<Class>,
    /// The ordinal of the last of them.
    end: u64,
}

/// Deliveries of a class that were billed, and when they are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lot {
    class: Class,
    count: u64,
    /// How much of the class its account has settled then.
    settled_at: u64,
}

/// A connection has no more lots than this, and one for each class: the newest of a class are added up.
const LOTS: usize = 4;

/// See the file's description. What was set aside and never proven is free again when it is dropped.
#[derive(Debug)]
pub struct Bill {
    account: Arc<Account>,
    gate: Arc<Gate>,
    /// What the frame that was admitted last is billed as.
    admitted: Option<Class>,
    /// Invariant: the ends increase, and two neighbours are of different classes.
    runs: VecDeque<Run>,
    taken: u64,
    proven: u64,
    /// Money that is set aside for events that are not taken yet.
    spare: Option<(Class, u64)>,
    ticket: Option<Ticket>,
    billed: u64,
    /// Of these, what is not known to be settled, in the order of the receipts.
    lots: VecDeque<Lot>,
    paid: Paid,
}

impl Bill {
    pub(crate) fn new(account: Arc<Account>, gate: Arc<Gate>) -> Self {
        let (admitted, runs, taken, proven, spare, ticket, billed, lots, paid) = Default::default();
        Self { account, gate, admitted, runs, taken, proven, spare, ticket, billed, lots, paid }
    }

    /// Whether the next data frame may be taken: the event at `place`, charged as `class`, or something that costs nothing.
    /// What was paid costs nothing.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, place: Place, class: Option<Class>) -> Result<(), Unpaid> {
        let is_paid = place.seq().is_some_and(|seq| self.paid.contains(seq));
        self.admitted = match class.filter(|_| !is_paid) {
            Some(class) => self.pass(class)?,
            None => None,
        };
        Ok(())
    }

    /// What an event of `class` is billed as now, if anybody pays for it.
    fn pass(&mut self, class: Class) -> Result<Option<Class>, Unpaid> {
        if self.account.denied.load(Relaxed) {
            return Err(Unpaid::Part);
        }
        if self.spare.is_some_and(|(of, count)| of == class && count > 0) {
            return Ok(Some(class));
        }
        self.rest();
        let is_full = self.account.unsettled() >= self.account.max_unsettled || self.owes_too_much();
        match self.gate.pass(class, RESERVED, is_full) {
            Pass::Billed => Ok(Some(class)),
            Pass::Unbilled => Ok(None),
            Pass::Reserved(count) => {
                self.spare = Some((class, count));
                Ok(Some(class))
            }
            Pass::No(pause) => Err(Unpaid::Wait(pause)),
        }
    }

    /// The data frame that was admitted last was taken.
    pub fn took(&mut self) {
        let class = self.admitted.take();
        if let (Some(class), Some((of, count))) = (class, &mut self.spare)
            && class == *of
        {
            *count = count.saturating_sub(1);
        }
        self.taken += 1;
        match self.runs.back_mut() {
            Some(run) if run.class == class => run.end = self.taken,
            _ => self.runs.push_back(Run { class, end: self.taken }),
        }
    }

    /// What was set aside beyond what was taken is for others. To be called when nothing more is taken for now.
    pub fn rest(&mut self) {
        if let Some((class, count)) = self.spare.take() {
            self.gate.release(class, count);
        }
    }

    /// Has `waker` woken when [`Bill::admit`] may answer differently. What has changed by now does not wake it: ask again.
    pub fn wait(&mut self, waker: &Waker) {
        self.ticket = Some(self.gate.wait(self.ticket, waker));
    }

    /// All data frames up to the `frames`th are proven to have been received: those that were not yet, at `places`.
    pub fn proven(&mut self, frames: u64, mut places: impl Iterator<Item = Place>) {
        let frames = frames.min(self.taken);
        while let Some(run) = self.runs.front_mut().filter(|_| self.proven < frames) {
            let (end, class) = (run.end.min(frames), run.class);
            let (count, mut billed) = (end - self.proven, 0);
            self.proven = end;
            if run.end == end {
                self.runs.pop_front();
            }
            for _ in 0..count {
                let seq = places.next().and_then(Place::seq);
                // It may have been on its way twice.
                billed += u64::from(class.is_some() && seq.is_none_or(|seq| self.paid.insert(seq)));
            }
            if let Some(class) = class {
                self.confirm(class, billed);
                self.gate.release(class, count - billed);
            }
        }
    }

    fn confirm(&mut self, class: Class, count: u64) {
        if count == 0 {
            return;
        }
        self.billed += count;
        let settled_at = self.account.confirm(class, count);
        self.gate.confirm(class, count);
        let is_full = self.lots.len() >= LOTS;
        match self.lots.iter_mut().rev().find(|lot| is_full && lot.class == class) {
            Some(lot) => (lot.count, lot.settled_at) = (lot.count + count, settled_at),
            None => self.lots.push_back(Lot { class, count, settled_at }),
        }
    }

    /// How many of those that were billed are neither charged nor given up. Of what several connections owe together, what
    /// was confirmed first counts as settled first.
    pub fn unsettled(&mut self) -> u64 {
        self.forget_settled();
        self.lots.iter().map(|lot| lot.count).sum()
    }

    fn owes_too_much(&mut self) -> bool {
        self.forget_settled();
        self.gate.is_too_much(self.lots.iter().map(|lot| (lot.class, lot.count)))
    }

    fn forget_settled(&mut self) {
        self.lots.retain(|lot| self.account.settled(lot.class) < lot.settled_at);
    }

    /// Who pays is about to go, and cannot be charged any more then: what is owed is charged as soon as it can be. Whether
    /// there is anything to wait for.
    pub fn hasten(&mut self) -> bool {
        let is_worth_it = self.account.payer != Payer::Run && self.unsettled() > 0;
        if is_worth_it {
            self.account.leaving.store(true, Release);
        }
        is_worth_it
    }

    /// What is left of a connection that has ended: its unproven frames stand at `places`, and the last place that was
    /// fully written is `position`. Their money is free again.
    pub fn leave(&mut self, places: impl IntoIterator<Item = Place>, position: Option<u64>) -> Left {
        let mut classes = Vec::new();
        for run in &self.runs {
            let frames = usize::try_from(run.end - self.proven).unwrap_or(usize::MAX);
            classes.resize(frames, run.class);
        }
        self.untake(self.proven);
        let frames = places.into_iter().zip(classes).collect();
        Left { frames, paid: std::mem::take(&mut self.paid), position, peer: None }
    }

    /// This bill goes on from what another connection of its client left, of which all frames are proven now. They are
    /// billed as far as there is money for them: nobody has set any aside since that connection has ended.
    pub fn go_on(&mut self, left: Left) {
        self.paid = left.paid;
        let mut frames = left.frames.into_iter().filter_map(|(place, class)| Some((place.seq()?, class?))).peekable();
        while let Some((seq, class)) = frames.next() {
            let mut count = u64::from(self.paid.insert(seq));
            while let Some((seq, _)) = frames.next_if(|(_, next)| *next == class) {
                count += u64::from(self.paid.insert(seq));
            }
            self.bill_late(class, count);
        }
    }

    fn bill_late(&mut self, class: Class, mut count: u64) {
        while count > 0 && self.pass(class) == Ok(Some(class)) {
            // Where nothing has to be set aside, any number may be billed.
            let billed = self.spare.as_ref().map_or(count, |(_, spare)| count.min(*spare));
            if let Some((_, spare)) = &mut self.spare {
                *spare -= billed;
            }
            self.confirm(class, billed);
            count -= billed;
        }
        self.rest();
    }

    /// Of the frames that were taken, those behind the `frames`th were not written and never will be.
    pub fn untake(&mut self, frames: u64) {
        let frames = frames.max(self.proven);
        while self.taken > frames {
            let Some(run) = self.runs.pop_back() else { break };
            let start = self.runs.back().map_or(self.proven, |before| before.end);
            let kept = start.max(frames);
            if let Some(class) = run.class {
                self.gate.release(class, run.end - kept);
            }
            self.taken = kept;
            if kept > start {
                self.runs.push_back(Run { class: run.class, end: kept });
            }
        }
    }

    /// How many were proven and billed so far.
    pub fn billed(&self) -> u64 {
        self.billed
    }

    /// A quiet connection holds no memory.
    pub fn give_back(&mut self) {
        if self.runs.is_empty() {
            self.runs = VecDeque::new();
        }
        if self.unsettled() == 0 {
            self.lots = VecDeque::new();
        }
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.rest();
        self.untake(self.proven);
        if let Some(ticket) = self.ticket {
            self.gate.leave(ticket);
        }
        if self.account.payer != Payer::Run {
            self.account.parted.store(true, Release);
        }
    }
}

#[cfg(test)]
mod tests;
