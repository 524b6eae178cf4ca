//! What will not be charged: because the sink refuses it for good, or who would pay is gone.

use std::time::Instant;

use standpipe_protocol::ConnectionId;

use super::{Batch, Effect, Settlement, Stage};
use crate::{Class, Denied, Entry, Outcome, Payer, Scope};

impl Settlement {
    /// The connection of a caller has ended: what is not on its way to the sink cannot be charged any more.
    pub fn part(&mut self, connection: ConnectionId, now: Instant) {
        let payer = Payer::Connection(connection);
        self.requests.remove(&connection);
        self.give_up_denied(now);
        self.forgo(|who, _| who == payer);
        self.lines.retain(|(who, _), line| *who != payer || line.open > 0);
    }

    /// Nothing more of this is tried.
    pub(super) fn stop(&mut self, payer: Payer, class: Class, denied: Denied) {
        match denied.scope {
            Scope::Charge => return,
            Scope::Payer => match payer {
                Payer::Connection(connection) => drop(self.requests.remove(&connection)),
                Payer::Run => self.denied = Some(denied.clone()),
            },
            Scope::Event => {
                if let Some(book) = self.book(class) {
                    book.denied = true;
                }
            }
            Scope::Everything => self.denied = Some(denied.clone()),
        }
        let owing: Vec<_> = self.lines.keys().copied().filter(|(who, what)| self.is_denied(*who, *what)).collect();
        self.forgo(|who, what| owing.contains(&(who, what)));
        self.effects.push(Effect::Stopped(payer, class, denied));
    }

    /// Charges that wait to be tried, and would be denied.
    pub(super) fn give_up_denied(&mut self, now: Instant) {
        let waits = |batch: &Batch| matches!(batch.stage, Stage::Unwritten | Stage::Writing | Stage::Ready);
        let denied = |batch: &Batch| waits(batch) && self.is_denied(batch.payer, batch.class);
        let denied: Vec<u64> = self.batches.iter().filter(|(_, batch)| denied(batch)).map(|(n, _)| *n).collect();
        for number in denied {
            self.give_up(number, now);
        }
    }

    pub(super) fn is_denied(&self, payer: Payer, class: Class) -> bool {
        let is_gone = matches!(payer, Payer::Connection(connection) if !self.requests.contains_key(&connection));
        is_gone || self.denied.is_some() || self.books.get(class.index()).is_none_or(|book| book.denied)
    }

    /// Deliveries that are owed will not be charged, where no charge of them is under way.
    pub(super) fn forgo(&mut self, which: impl Fn(Payer, Class) -> bool) {
        for ((payer, class), line) in self.lines.iter_mut().filter(|((payer, class), _)| which(*payer, *class)) {
            let count = line.owed.saturating_sub(line.open);
            let Some(book) = self.books.get_mut(class.index()).filter(|_| count > 0) else { continue };
            line.owed -= count;
            book.numbers.denied += count;
            if *payer == Payer::Run {
                let event = book.priced.name.clone();
                self.entries.push(Entry::Confirmed { event: event.clone(), total: book.confirmed });
                book.journaled = book.confirmed;
                self.entries.push(Entry::Forgone { event, count });
            }
            self.effects.push(Effect::Forgiven(*payer, *class, count));
        }
    }

    /// A charge will not be tried again, and was denied unless an earlier attempt had its effect.
    pub(super) fn give_up(&mut self, number: u64, now: Instant) {
        let Some(batch) = self.batches.get(&number) else { return };
        match batch.payer {
            _ if !batch.perhaps => self.close(number, Outcome::Denied),
            Payer::Run => self.doubt(number, now),
            // If it was not charged, nobody is there any more to be charged anew.
            Payer::Connection(_) => self.close(number, Outcome::Dropped),
        }
    }
}
