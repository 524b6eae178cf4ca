//! docs/clients.md: every error and every end has an example there, and those that can be had by asking are had by asking.

use std::fs;

use standpipe_protocol::{CloseReason, ErrorCode};
use standpipe_tests::{Server, Socket, paths};

use crate::PUSH;

/// The rows of the table with this head, without their marks, as texts.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rest) = document.split_once(head).unwrap_or_else(|| panic!("no table {head}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[tokio::test]
async fn every_error_has_an_example_that_is_what_happens() {
    let document = fs::read_to_string(paths::root().join("docs/clients.md")).expect("the document");
    let rows = table(&document, "| code | for example | message | what to do |");
    let named: Vec<_> = rows.iter().filter_map(|row| code(&row[0])).collect();
    assert_eq!(named, ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    let server = Server::start(&format!("[limits]\nmax_subscriptions = 2\n{PUSH}")).await;
    let mut socket = Socket::open(server.addr(), "/ws?topics=a").await;
    let epoch = socket.message().await["epoch"].as_str().expect("an epoch").to_owned();
    let mut executed = 0;
    for row in &rows {
        let Some(example) = code(&row[1]) else { continue };
        let error = if example.starts_with("/ws") {
            let path = example.replace("EPOCH", &epoch);
            let refused = Socket::try_open(server.addr(), &path, &[]).await.err();
            refused.unwrap_or_else(|| panic!("{example} is followed")).body["error"].clone()
        } else if example.starts_with('/') {
            server.get(example).await.json()["error"].clone()
        } else {
            socket.send_text(example).await;
            socket.until("error").await
        };
        assert_eq!(Some(error["code"].as_str().unwrap_or_default()), code(&row[0]), "{example}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!row[2].is_empty() && message.contains(&row[2]), "{example}: {message}");
        executed += 1;
    }
    assert!(executed >= 16, "{executed} examples");
}

#[test]
fn every_end_has_an_example() {
    let document = fs::read_to_string(paths::root().join("docs/clients.md")).expect("the document");
    let rows = table(&document, "| code | for example | what to do |");
    let named: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(named, CloseReason::ALL.iter().map(|reason| reason.code().to_string()).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.iter().all(|cell| !cell.is_empty())));
}
