//! A full disk under the journal: nothing is billed until there is room, it is said, and what becomes of deliveries is chosen.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use standpipe_tests::{PATIENCE, Server, Socket, wait::eventually};

use super::{Till, drain, events, read_until_charged};
use crate::numbered;

/// Lets the server's files grow to this many bytes and no further: to it, that is a disk without room.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let process = Pid::from_raw(i32::try_from(server.id()).expect("a process id"));
    prlimit(process, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit for a child");
}

/// The size of the journal, once it says of every charge what became of it.
async fn settled_journal(till: &Till) -> u64 {
    eventually("every charge is closed", PATIENCE, async || {
        let text = fs::read_to_string(till.0.path().join("journal.jsonl")).expect("the journal");
        let count = |what: &str| text.matches(what).count();
        let (opened, closed) = (count(r#""is":"opened""#), count(r#""is":"closed""#));
        if opened == closed && opened > 0 { Ok(text.len() as u64) } else { Err(format!("{closed} of {opened}")) }
    })
    .await
}

async fn publish(server: &Server, count: usize) {
    server.publish(&numbered(count, |_| "a".to_owned())).await;
}

#[tokio::test]
async fn on_a_full_disk_billing_stops_and_goes_on_when_there_is_room_and_deliveries_wait_or_are_given() {
    for (unbilled, charged) in [("hold", 2 + 1 + 3 + 1), ("give", 2 + 1 + 1)] {
        let till = Till::new();
        let server = Server::start(&till.config(&format!("unbilled = \"{unbilled}\""))).await;
        let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
        client.until("subscribed").await;
        publish(&server, 2).await;
        events(&mut client, 2).await;
        read_until_charged(&mut client, &till, 2).await;

        let size = settled_journal(&till).await;
        limit_files(&server, Some(size));
        publish(&server, 1).await;
        events(&mut client, 1).await;
        client.reading(server.until_counted("standpipe_ledger_stalled", |stalled| stalled == 1)).await;
        publish(&server, 3).await;
        if unbilled == "give" {
            events(&mut client, 3).await;
            let confirmed = |confirmed| confirmed == 6;
            client.reading(server.until_counted("standpipe_ledger_confirmed_total", confirmed)).await;
        } else {
            client.reading(server.until_counted("standpipe_ledger_waiting", |waiting| waiting == 1)).await;
        }
        assert_eq!(till.charged(None), 2, "{unbilled}");
        let told = server.log().iter().filter(|line| line.contains("billing stops until the journal")).count();
        assert_eq!(told, 1, "{unbilled}: it is said once: {:?}", server.log());

        limit_files(&server, None);
        if unbilled == "hold" {
            events(&mut client, 3).await;
        }
        client.reading(server.until_counted("standpipe_ledger_stalled", |stalled| stalled == 0)).await;
        publish(&server, 1).await;
        events(&mut client, 1).await;
        read_until_charged(&mut client, &till, charged).await;
        assert!(server.log().iter().any(|line| line.contains("billing goes on")), "{:?}", server.log());
        server.audited().await;
        drain(server).await;
        assert_eq!(till.charged(None), charged, "{unbilled}");
    }
}
