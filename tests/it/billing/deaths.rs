//! The server is killed, again and again, at points that chance chooses; what it charges in the end is told from outside.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{
    Dice, PATIENCE, Server, Socket, dice::seed, process::Signal, socket::Received, wait::eventually,
};

use super::{Till, drain};
use crate::numbered;

const DEATHS: usize = 50;

/// Events of one life. Some of them are acknowledged by its end.
const EVENTS: u64 = 60;

/// The longest that a process lives on behind the last acknowledgement: longer than it takes to read the accounts.
const AFTERMATH: u64 = 300;

impl Till {
    /// How many deliveries were confirmed in all, as far as the journal has it.
    fn journaled(&self) -> u64 {
        let text = fs::read_to_string(self.0.path().join("journal.jsonl")).expect("the journal");
        // A last line may be torn.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["is"] == "confirmed").filter_map(|line| line["total"].as_u64()).max().unwrap_or(0)
    }
}

#[tokio::test]
async fn killed_at_fifty_points_it_charges_all_that_the_journal_had_and_never_more_than_was_proven() {
    let (till, mut dice) = (Till::new(), Dice::new(seed(), 0));
    // What the journal had at the last death, of all that was proven.
    let (mut kept, mut all) = (0, 0);
    for death in 0..DEATHS {
        let mut server = Server::start(&till.config("")).await;
        let mut client = Socket::open(server.addr(), "/ws?topics=a&confirm=ack").await;
        client.until("subscribed").await;
        server.publish(&numbered(60, |_| "a".to_owned())).await;
        let acknowledged = 1 + dice.throw(EVENTS);
        for delivered in 1..=acknowledged {
            client.until("event").await;
            client.send(&json!({"op": "ack", "delivered": delivered})).await;
        }
        let (mut safe, proven) = (kept, kept + acknowledged);
        if dice.once_in(3) {
            eventually("the journal has what was proven", PATIENCE, async || match till.journaled() {
                journaled if journaled == proven => Ok(()),
                journaled => Err(format!("{journaled} of {proven}")),
            })
            .await;
            // From here on it outlives every death: its charge may not have begun, or be under way.
            safe = proven;
        }
        let aftermath = Duration::from_millis(dice.throw(AFTERMATH));
        let reading = async { while let Received::Message(_) = client.receive().await {} };
        let ended = tokio::time::timeout(aftermath, reading).await;
        assert!(ended.is_err(), "death {death}: the connection ended first");
        server.signal(Signal::KILL);
        server.exit_within(PATIENCE).await;
        let (charged, journaled) = (till.charged(None), till.journaled());
        assert!(safe <= journaled && journaled <= proven, "death {death}: {safe}, {journaled} of {proven}");
        assert!(charged <= journaled, "death {death}: {charged} of {journaled}");
        (kept, all) = (journaled, all + acknowledged);
    }
    let server = Server::start(&till.config("")).await;
    server.audited().await;
    drain(server).await;
    assert_eq!(till.charged(None), kept, "of {all}");
    // Nothing of it is charged to another run.
    let other = Server::start(&till.config("run = \"another\"")).await;
    drain(other).await;
    assert_eq!(till.charged(None), kept);
}
