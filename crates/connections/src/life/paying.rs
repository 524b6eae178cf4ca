//! A connection whose deliveries are billed: what may be taken for money, and how soon its receipt is asked for.
//!
//! What may not be taken now waits in its place, with all that is behind it; its client is not slow for that.

use std::{task::Context, time::Duration};

use standpipe_ledger::{Bill, Left, Pause, Place, Unpaid};
use standpipe_protocol::{Class, CloseReason};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life};
use crate::{Closing, queued::Queued};

/// See the file's description.
#[derive(Debug)]
pub struct Paying {
    bill: Bill,
    /// The longest that what was written goes without a ping behind it.
    receipt_interval: Duration,
    stamped: Instant,
    /// Why the next frame was not taken, where it stands, and what it is charged as.
    refused: Option<(Unpaid, Place, Option<Class>)>,
}

impl Paying {
    /// A connection with `bill`, asked for a receipt every `receipt_interval` while it is written to.
    pub fn new(bill: Bill, receipt_interval: Duration) -> Self {
        Self { bill, receipt_interval, stamped: Instant::now(), refused: None }
    }

    /// It goes on from what an earlier connection of its client left.
    pub fn go_on(&mut self, left: Left) {
        self.bill.go_on(left);
    }

    /// Whether `next` may be taken. Only data can cost something.
    pub(super) fn admit(&mut self, next: &Queued) -> bool {
        if !next.mark.is_data() {
            return true;
        }
        match self.bill.admit(next.place(), next.class()) {
            Ok(()) => true,
            Err(unpaid) => {
                self.refused = Some((unpaid, next.place(), next.class()));
                false
            }
        }
    }

    /// It was taken.
    pub(super) fn took(&mut self, queued: &Queued) {
        if queued.mark.is_data() {
            self.bill.took();
        }
    }

    /// Nothing more is taken for now. Returns the end of the connection, if nothing ever will be.
    fn rest(&mut self, cx: &Context<'_>) -> Option<Closing> {
        self.bill.rest();
        let (unpaid, place, class) = self.refused?;
        match unpaid {
            Unpaid::Part => Some(Closing::now(CloseReason::Restart)),
            Unpaid::Wait(Pause::Exhausted) => Some(Closing::now(CloseReason::BudgetExhausted)),
            Unpaid::Wait(Pause::Budget | Pause::Billing) => {
                self.bill.wait(cx.waker());
                // It may have become free before the waker was known.
                if self.bill.admit(place, class).is_ok() {
                    cx.waker().wake_by_ref();
                }
                self.bill.rest();
                None
            }
        }
    }

    /// When a receipt is to be asked for, if `unstamped` frames lie behind the last ping.
    pub(super) fn receipt_at(&self, unstamped: u64) -> Option<Instant> {
        (unstamped > 0).then(|| self.stamped + self.receipt_interval)
    }

    /// A receipt was asked for, as far as that is possible.
    pub(super) fn stamped(&mut self, now: Instant) {
        self.stamped = now;
    }

    /// All data frames up to the `frames`th are proven: those that were not yet, at `places`.
    fn proven(&mut self, frames: u64, places: impl Iterator<Item = Place>) {
        self.bill.proven(frames, places);
    }

    /// How many were billed so far, and how many of these are not settled.
    pub(super) fn billed(&mut self) -> (u64, u64) {
        (self.bill.billed(), self.bill.unsettled())
    }

    /// The client goes. Whether what it owes has to be charged before it has gone.
    pub(super) fn hasten(&mut self) -> bool {
        self.bill.hasten()
    }

    /// What was taken behind the `frames`th data frame was dropped.
    pub(super) fn untake(&mut self, frames: u64) {
        self.bill.untake(frames);
    }

    pub(super) fn give_back(&mut self) {
        self.bill.give_back();
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// Frames are about to be taken.
    pub(super) fn begin_paying(&mut self) {
        if let Some(paying) = &mut self.paying {
            paying.refused = None;
        }
    }

    /// Nothing more is taken for now.
    pub(super) fn end_paying(&mut self, cx: &Context<'_>) {
        let Some(paying) = &mut self.paying else { return };
        let closing = paying.rest(cx);
        self.connection.set_unpaid(paying.refused.is_some());
        if let Some(closing) = closing {
            self.connection.close(closing);
        }
    }

    /// Whether what waits does so for money, and not because its client is slow.
    pub(super) fn is_unpaid(&self) -> bool {
        self.paying.as_ref().is_some_and(|paying| paying.refused.is_some())
    }

    /// All data up to the `frames`th is proven; or, where nothing can be, written.
    pub(super) fn prove(&mut self, frames: u64) {
        let places = self.unproven.prove(frames);
        match &mut self.paying {
            Some(paying) => paying.proven(frames, places),
            None => drop(places),
        }
        self.tell_billed();
    }

    /// Shows what was billed, and what of it is settled.
    pub(super) fn tell_billed(&mut self) {
        if let Some(paying) = &mut self.paying {
            let (billed, unsettled) = paying.billed();
            self.connection.set_billed(billed, unsettled);
        }
    }

    /// Whether nothing is left that has to be charged before the client has gone.
    pub(super) fn is_settled(&mut self) -> bool {
        self.paying.as_mut().is_none_or(|paying| paying.billed().1 == 0)
    }

    /// What is left to a client that comes back, once this has come to its end.
    pub fn leave(&mut self) -> Left {
        let (places, position) = (self.unproven.take(), self.connection.position().map(|cursor| cursor.seq));
        let left = match &mut self.paying {
            Some(paying) => paying.bill.leave(places, position),
            None => {
                Left { frames: places.into_iter().map(|place| (place, None)).collect(), position, ..Left::default() }
            }
        };
        Left { peer: Some(self.connection.opening.peer), ..left }
    }

    /// A ping goes behind what is written next, if only behind what is written already.
    pub(super) fn want_receipt(&mut self, now: Instant) {
        self.ping_wanted = true;
        if let Some(paying) = &mut self.paying {
            paying.stamped(now);
        }
    }

    /// When a receipt is to be asked for, because it is worth money.
    pub(super) fn receipt_at(&self) -> Option<Instant> {
        if !self.is_answered() {
            return None;
        }
        let unstamped = self.writer.placed().frames.saturating_sub(self.receipts.last_stamp().frames);
        self.paying.as_ref().and_then(|paying| paying.receipt_at(unstamped))
    }
}
