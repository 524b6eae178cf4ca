use std::task::Wake;

use proptest::prelude::*;
use standpipe_protocol::ConnectionId;

use super::*;
use crate::{Budget, Usd, gate::Unbilled};

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn account() -> Arc<Account> {
    Arc::new(Account::new(Payer::Run, 2, 1000))
}

fn gate(cap: Option<&str>, unbilled: Unbilled) -> Arc<Gate> {
    let budget = cap.map(|cap| Budget::new(usd(cap), Usd::ZERO));
    Arc::new(Gate::new(vec![usd("0.3"), usd("0.1")], budget, unbilled, None))
}

/// Each frame stands at a place of its own.
fn place(bill: &Bill) -> Place {
    Place::event(bill.taken + 1)
}

fn admit(bill: &mut Bill, class: Option<Class>) -> Result<(), Unpaid> {
    bill.admit(place(bill), class)
}

fn prove(bill: &mut Bill, frames: u64) {
    let places = bill.proven + 1..=frames;
    bill.proven(frames, places.map(Place::event));
}

fn bill(account: &Arc<Account>, gate: &Arc<Gate>) -> Bill {
    Bill::new(Arc::clone(account), Arc::clone(gate))
}

/// Takes events of `class` until none may be taken, at most `count`.
fn take(bill: &mut Bill, class: Option<Class>, count: u64) -> u64 {
    let mut taken = 0;
    while taken < count && admit(bill, class).is_ok() {
        bill.took();
        taken += 1;
    }
    bill.rest();
    taken
}

#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

const DEAR: Class = Class(0);
const CHEAP: Class = Class(1);

#[test]
fn only_what_is_proven_is_billed_and_each_as_what_it_is() {
    let account = account();
    let mut bill = bill(&account, &gate(None, Unbilled::Hold));
    take(&mut bill, Some(DEAR), 3);
    take(&mut bill, None, 2);
    take(&mut bill, Some(CHEAP), 4);
    let confirmed = || [0, 1].map(|class: usize| account.confirmed[class].load(Relaxed));
    prove(&mut bill, 2);
    assert_eq!(confirmed(), [2, 0]);
    prove(&mut bill, 7);
    assert_eq!(confirmed(), [3, 2]);
    prove(&mut bill, 7);
    prove(&mut bill, 5);
    assert_eq!((confirmed(), bill.billed(), account.unsettled()), ([3, 2], 5, 5));
    drop(bill);
    assert_eq!(confirmed(), [3, 2], "what was not proven never is");
}

#[test]
fn what_a_dead_client_tied_up_is_spent_by_a_live_one() {
    let gate = gate(Some("1"), Unbilled::Hold);
    let (mut dead, mut live) = (bill(&account(), &gate), bill(&account(), &gate));
    assert_eq!(take(&mut dead, Some(DEAR), 2), 2);
    assert_eq!(take(&mut live, Some(DEAR), 9), 1);
    assert_eq!(admit(&mut live, Some(DEAR)), Err(Unpaid::Wait(Pause::Budget)));
    let woken = Arc::new(Woken::default());
    live.wait(&Arc::clone(&woken).into());
    drop(dead);
    assert_eq!(woken.0.load(Relaxed), 1);
    assert_eq!(take(&mut live, Some(DEAR), 9), 2);
    prove(&mut live, 3);
    assert_eq!(admit(&mut live, Some(DEAR)), Err(Unpaid::Wait(Pause::Budget)), "the sink may refuse it yet");
    live.wait(&Arc::clone(&woken).into());
    gate.settle(DEAR, 3);
    assert_eq!(woken.0.load(Relaxed), 2);
    assert_eq!(admit(&mut live, Some(DEAR)), Err(Unpaid::Wait(Pause::Exhausted)));
    assert_eq!(take(&mut live, Some(CHEAP), 9), 1, "what is cheaper still fits");
}

#[test]
fn what_cannot_be_billed_waits_or_is_given_away_as_configured() {
    for (unbilled, expected) in [(Unbilled::Hold, Err(Unpaid::Wait(Pause::Billing))), (Unbilled::Give, Ok(()))] {
        let (account, gate) = (account(), gate(None, unbilled));
        let mut bill = bill(&account, &gate);
        gate.set_stalled(true);
        assert_eq!(admit(&mut bill, Some(DEAR)), expected);
        take(&mut bill, Some(DEAR), 2);
        gate.set_stalled(false);
        gate.deny(DEAR);
        assert_eq!((admit(&mut bill, Some(DEAR)), admit(&mut bill, Some(CHEAP))), (expected, Ok(())));
        take(&mut bill, Some(DEAR), 2);
        prove(&mut bill, 4);
        assert_eq!(account.unsettled(), 0, "what was given away is not billed later");
        account.deny();
        assert_eq!((admit(&mut bill, Some(CHEAP)), admit(&mut bill, None)), (Err(Unpaid::Part), Ok(())));
    }
}

#[test]
fn no_account_has_more_unsettled_than_it_may() {
    let account = Arc::new(Account::new(Payer::Run, 2, 3));
    let mut bill = bill(&account, &gate(None, Unbilled::Hold));
    assert_eq!(take(&mut bill, Some(DEAR), 5), 5);
    prove(&mut bill, 5);
    assert_eq!(admit(&mut bill, Some(DEAR)), Err(Unpaid::Wait(Pause::Billing)));
    account.settle(DEAR, 3);
    assert_eq!(admit(&mut bill, Some(DEAR)), Ok(()));
}

#[test]
fn no_connection_owes_more_than_it_may() {
    let (account, prices) = (account(), vec![usd("0.3"), usd("0.1")]);
    let gate = Arc::new(Gate::new(prices, None, Unbilled::Hold, Some(usd("0.5"))));
    let (mut one, mut other) = (bill(&account, &gate), bill(&account, &gate));
    take(&mut one, Some(CHEAP), 2);
    prove(&mut one, 2);
    take(&mut one, Some(DEAR), 1);
    assert_eq!(admit(&mut one, Some(CHEAP)), Ok(()), "what is not proven is not owed");
    prove(&mut one, 3);
    assert_eq!(admit(&mut one, Some(CHEAP)), Err(Unpaid::Wait(Pause::Billing)));
    assert_eq!(admit(&mut one, None), Ok(()));
    assert_eq!(admit(&mut other, Some(DEAR)), Ok(()), "others owe for themselves");
    account.settle(CHEAP, 2);
    assert_eq!(admit(&mut one, Some(CHEAP)), Ok(()));
}

#[test]
fn what_is_proven_after_the_end_is_billed_to_who_goes_on_and_nothing_twice() {
    let gate = gate(Some("100"), Unbilled::Hold);
    let (old, new) = (account(), account());
    let mut ended = bill(&old, &gate);
    take(&mut ended, Some(DEAR), 3);
    take(&mut ended, Some(CHEAP), 50);
    prove(&mut ended, 2);
    let mut left = ended.leave((3..=53).map(Place::event), Some(53));
    drop(ended);
    assert_eq!(gate.budget().unwrap().free(), usd("99.4"), "nothing is set aside meanwhile");
    left.frames.truncate(41);
    let mut bill = bill(&new, &gate);
    bill.go_on(left);
    let confirmed = |account: &Account| [0, 1].map(|class: usize| account.confirmed[class].load(Relaxed));
    assert_eq!((confirmed(&old), confirmed(&new), bill.billed()), ([2, 0], [1, 40], 41));
    assert_eq!(gate.budget().unwrap().free(), usd("95.1"));
    for seq in [1, 43, 44, 44] {
        bill.admit(Place::event(seq), Some(CHEAP)).unwrap();
        bill.took();
    }
    bill.rest();
    bill.proven(4, [1, 43, 44, 44].into_iter().map(Place::event));
    assert_eq!(confirmed(&new), [1, 41], "only what was not billed before, and that once");
    assert_eq!(gate.budget().unwrap().free(), usd("95.0"));
}

#[test]
fn what_is_proven_late_is_billed_as_far_as_there_is_money() {
    let (account, gate) = (account(), gate(Some("1"), Unbilled::Hold));
    let mut ended = bill(&account, &gate);
    take(&mut ended, Some(DEAR), 3);
    let left = ended.leave((1..=3).map(Place::event), Some(3));
    drop(ended);
    let mut other = bill(&account, &gate);
    assert_eq!(take(&mut other, Some(DEAR), 2), 2, "a live client has spent what was free");
    let mut bill = bill(&account, &gate);
    bill.go_on(left);
    assert_eq!(bill.billed(), 1);
}

#[test]
fn of_what_several_owe_together_what_was_proven_first_is_settled_first() {
    let (account, gate) = (account(), gate(None, Unbilled::Hold));
    account.inherit(DEAR, 10);
    let [mut first, mut second] = [bill(&account, &gate), bill(&account, &gate)];
    for bill in [&mut first, &mut second] {
        take(bill, Some(DEAR), 3);
        take(bill, Some(CHEAP), 2);
    }
    prove(&mut first, 3);
    prove(&mut second, 5);
    prove(&mut first, 5);
    assert_eq!((first.unsettled(), second.unsettled()), (5, 5));
    account.settle(DEAR, 12);
    assert_eq!((first.unsettled(), second.unsettled()), (5, 5), "what an earlier process left goes first");
    account.settle(DEAR, 1);
    account.settle(CHEAP, 2);
    assert_eq!((first.unsettled(), second.unsettled()), (2, 3));
    account.settle(DEAR, 3);
    account.settle(CHEAP, 2);
    assert_eq!((first.unsettled(), second.unsettled()), (0, 0));
    assert!(!first.hasten(), "the run is there, whoever goes");
}

#[test]
fn a_connection_has_few_lots_however_many_receipts_it_gives() {
    let account = Arc::new(Account::new(Payer::Connection(ConnectionId(1)), 2, 1000));
    let mut bill = bill(&account, &gate(None, Unbilled::Hold));
    take(&mut bill, Some(DEAR), 100);
    (1..=100).for_each(|frames| prove(&mut bill, frames));
    assert_eq!((bill.unsettled(), bill.lots.len()), (100, LOTS));
    assert!(bill.hasten() && account.leaving.load(Relaxed));
    account.settle(DEAR, 100);
    bill.give_back();
    assert_eq!((bill.unsettled(), bill.lots.capacity()), (0, 0));
}

proptest! {
    #[test]
    fn money_is_neither_lost_nor_made(operations in prop::collection::vec((0usize..3, 0u8..4, 0u64..40), 0..120)) {
        let gate = gate(Some("7.7"), Unbilled::Hold);
        let account = Arc::new(Account::new(Payer::Run, 2, u64::MAX));
        let make = || bill(&account, &gate);
        let mut bills = [make(), make(), make()];
        // What each has taken and not proven, frame by frame.
        let mut models: [Vec<Option<Class>>; 3] = Default::default();
        let mut totals = [(0u64, 0u64); 3];
        for (who, operation, n) in operations {
            let (bill, model, (taken, proven)) = (&mut bills[who], &mut models[who], &mut totals[who]);
            match operation {
                0 => for i in 0..n {
                    let class = [Some(DEAR), Some(CHEAP), Some(CHEAP), None][usize::try_from((i + n) / 3 % 4).unwrap()];
                    if admit(bill, class).is_ok() {
                        bill.took();
                        model.push(class);
                        *taken += 1;
                    }
                },
                1 => { let to = *taken - n.min(*taken - *proven); bill.untake(to); model.truncate(usize::try_from(to - *proven).unwrap()); *taken = to; }
                2 => { let to = *proven + n.min(*taken - *proven); prove(bill, to); model.drain(..usize::try_from(to - *proven).unwrap()); *proven = to; }
                _ => { *bill = make(); model.clear(); (*taken, *proven) = (0, 0); }
            }
            bill.rest();
            let price = |class: &Class| if *class == DEAR { usd("0.3") } else { usd("0.1") };
            let reserved = models.iter().flatten().flatten().map(price).fold(Usd::ZERO, |sum, price| sum + price);
            let owed = [DEAR, CHEAP].map(|class| price(&class).times(account.confirmed[class.index()].load(Relaxed)));
            let free = usd("7.7").less(reserved + owed[0] + owed[1]);
            prop_assert_eq!(gate.budget().unwrap().free(), free);
        }
    }
}
