//! A process without file descriptors: who is inside is served as before, who is outside waits, and it is said once.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use standpipe_tests::{PATIENCE, Server, Socket, Usage, Wild, eventually};
use tokio::net::TcpStream;

use crate::PUSH;

#[tokio::test]
async fn out_of_descriptors_the_clients_inside_are_served_and_the_door_opens_again() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    let mut publisher = Wild::connect([127, 0, 0, 1], server.addr()).await.expect("a connection");

    let process = Pid::from_raw(i32::try_from(server.id()).expect("a process id"));
    let few = u64::try_from(Usage::of(server.id()).descriptors + 8).expect("a number of descriptors");
    prlimit(process, Resource::Nofile, Rlimit { current: Some(few), maximum: Some(few) }).expect("a limit for a child");
    let mut crowd = Vec::new();
    for _ in 0..32 {
        crowd.push(TcpStream::connect(server.addr()).await.expect("a place in the kernel's queue"));
    }
    let told = |what: &str| server.log().iter().filter(|line| line.contains(what)).count();
    eventually("a line about it", PATIENCE, async || {
        if told("cannot accept connections") > 0 { Ok(()) } else { Err(server.log().join("\n")) }
    })
    .await;

    for n in 0..20 {
        let body = json!({"topic": "a", "data": n}).to_string();
        let (host, length) = (server.addr(), body.len());
        let head = format!("POST /publish HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        publisher.send(format!("{head}{body}")).await;
        assert_eq!(client.until("event").await["data"], n);
    }
    client.send(&json!({"op": "ping", "id": "inside"})).await;
    assert_eq!(client.until("pong").await["id"], "inside");

    drop(crowd);
    let metrics = eventually("the door open again", PATIENCE, async || {
        let metrics = server.metrics().await;
        let is_open = told("connections are accepted again") > 0 && metrics.count("standpipe_entry_shut") == 0;
        if is_open { Ok(metrics) } else { Err("it is shut, or has not said so") }
    })
    .await;
    let lines = told("cannot accept connections") as u64;
    assert!(lines < metrics.count("standpipe_entry_accept_failures_total"), "not a line for each failure: {lines}");
    assert_eq!(metrics.count("standpipe_process_panics_total"), 0);
    let mut newcomer = Socket::open(server.addr(), "/ws?topics=a&after=earliest").await;
    assert_eq!(newcomer.until("event").await["seq"], 1);
}
