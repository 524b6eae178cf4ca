//! Selection by commands: what is said, and what is said again.

use std::collections::BTreeMap;

use standpipe_client::{Client, Request, Update};
use standpipe_protocol::{Subscribe, Unsubscribe};
use tokio::join;

use crate::support::{EPOCH, Peer, Server, config, until};

fn subscribe(topics: &[&str], after: Option<&str>) -> Subscribe {
    Subscribe {
        id: None,
        topics: topics.iter().map(ToString::to_string).collect(),
        filter: None,
        params: BTreeMap::new(),
        after: after.map(|after| after.parse().unwrap()),
        snapshot: false,
        conflate: false,
    }
}

fn client(server: &Server) -> Client {
    Client::new(Request::new(server.address.parse().unwrap()), config()).unwrap()
}

async fn connected(server: &Server, client: &mut Client) -> Peer<tokio::net::TcpStream> {
    let (_, peer) = join!(until(client, "connected"), async {
        let mut peer = server.accept().await;
        assert_eq!(peer.uri.split('?').next(), Some("/ws"));
        peer.welcome(7).await;
        peer
    });
    peer
}

#[tokio::test]
async fn what_was_selected_before_connecting_is_said_after_the_welcome() {
    let server = Server::new().await;
    let mut client = client(&server);
    client.subscribe(subscribe(&["a", "b"], None)).unwrap();
    client.subscribe(subscribe(&["c"], Some("earliest"))).unwrap();
    let mut peer = connected(&server, &mut client).await;
    // Commands are written while the client waits for what comes.
    join!(until(&mut client, "8"), async {
        assert_eq!(peer.hear().await, r#"{"op":"subscribe","id":"3","topics":["a","b"]}"#);
        assert_eq!(peer.hear().await, r#"{"op":"subscribe","id":"4","topics":["c"],"after":"earliest"}"#);
        peer.events([8]).await;
    });
}

#[tokio::test]
async fn a_client_cut_inside_a_bracket_asks_for_the_old_place_again_and_gets_nothing_twice() {
    let server = Server::new().await;
    let mut client = client(&server);
    client.subscribe(subscribe(&["a"], None)).unwrap();
    let mut peer = connected(&server, &mut client).await;
    let (told, ()) = join!(until(&mut client, "8"), async {
        peer.hear().await;
        peer.subscribed(Some("2"), 7).await;
        peer.events([8]).await;
    });
    assert_eq!(told, "8");

    assert_eq!(client.subscribe(subscribe(&["b"], Some("earliest"))).unwrap().as_deref(), Some("3"));
    let (told, ()) = join!(until(&mut client, "9"), async move {
        assert_eq!(peer.hear().await, r#"{"op":"subscribe","id":"3","topics":["b"],"after":"earliest"}"#);
        peer.subscribed(Some("3"), 8).await;
        peer.say(r#"{"op":"replay","id":"3","from":1,"to":8}"#).await;
        peer.events([1, 2, 8]).await;
        drop(peer);

        let mut peer = server.accept().await;
        peer.welcome(8).await;
        assert_eq!(
            peer.hear().await,
            format!(r#"{{"op":"subscribe","id":"4","topics":["a"],"after":"{EPOCH}:8:t:8"}}"#)
        );
        assert_eq!(peer.hear().await, r#"{"op":"subscribe","id":"5","topics":["b"],"after":"earliest"}"#);
        peer.subscribed(Some("4"), 8).await;
        peer.subscribed(Some("5"), 8).await;
        peer.say(r#"{"op":"replay","id":"5","from":1,"to":8}"#).await;
        peer.events([1, 2, 3, 8]).await;
        peer.say(r#"{"op":"replayed","id":"5"}"#).await;
        drop(peer);

        let mut peer = server.accept().await;
        peer.welcome(8).await;
        let both = format!(r#"{{"op":"subscribe","id":"6","topics":["a","b"],"after":"{EPOCH}:8:t:8"}}"#);
        assert_eq!(peer.hear().await, both);
        peer.subscribed(Some("6"), 8).await;
        peer.events([9]).await;
    });
    let shown: Vec<&str> = told.split(' ').filter(|word| word.parse::<u64>().is_ok() || "[]".contains(word)).collect();
    assert_eq!(shown, ["[", "1", "2", "[", "3", "]", "9"]);
}

#[tokio::test]
async fn a_refused_subscription_is_told_and_not_said_again() {
    let server = Server::new().await;
    let mut client = client(&server);
    client.subscribe(subscribe(&["a"], None)).unwrap();
    client.subscribe(subscribe(&["b"], Some("earliest"))).unwrap();
    let mut peer = connected(&server, &mut client).await;
    let (told, ()) = join!(until(&mut client, "8"), async move {
        peer.hear().await;
        peer.hear().await;
        peer.subscribed(Some("3"), 7).await;
        peer.say(r#"{"op":"error","code":"FORBIDDEN","message":"not yours","id":"4"}"#).await;
        drop(peer);
        let mut peer = server.accept().await;
        peer.welcome(7).await;
        assert_eq!(peer.hear().await, format!(r#"{{"op":"subscribe","id":"5","topics":["a"],"after":"{EPOCH}:7"}}"#));
        peer.subscribed(Some("5"), 7).await;
        peer.events([8]).await;
    });
    assert!(told.starts_with("refused: FORBIDDEN: not yours disconnected"), "{told}");
}

#[tokio::test]
async fn what_was_unsubscribed_is_not_said_again() {
    let server = Server::new().await;
    let mut client = client(&server);
    client.subscribe(subscribe(&["a", "b"], None)).unwrap();
    let mut peer = connected(&server, &mut client).await;
    join!(until(&mut client, "8"), async {
        peer.hear().await;
        peer.subscribed(Some("2"), 7).await;
        peer.events([8]).await;
    });
    client.unsubscribe(Unsubscribe { id: None, topics: vec!["a".into()], params: BTreeMap::new() }).unwrap();
    join!(until(&mut client, "9"), async move {
        assert_eq!(peer.hear().await, r#"{"op":"unsubscribe","id":"3","topics":["a"]}"#);
        drop(peer);
        let mut peer = server.accept().await;
        peer.welcome(7).await;
        let again = format!(r#"{{"op":"subscribe","id":"4","topics":["b"],"after":"{EPOCH}:8:t:8"}}"#);
        assert_eq!(peer.hear().await, again);
        peer.subscribed(Some("4"), 8).await;
        peer.events([9]).await;
    });
}

#[tokio::test]
async fn acks_and_pings_are_said_and_answered() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (_, mut peer) = join!(until(&mut client, "9"), async {
        let mut peer = server.accept().await;
        peer.begin(7).await;
        // A repeat is a data frame too.
        peer.events([8, 8, 9]).await;
        peer
    });
    client.ack().unwrap();
    let id = client.ping().unwrap();
    let (update, ()) = join!(client.next(), async {
        assert_eq!(peer.hear().await, r#"{"op":"ack","delivered":3}"#);
        let ping = peer.hear().await;
        assert_eq!(ping, format!(r#"{{"op":"ping","id":"{id}"}}"#));
        peer.say(ping.replace("ping", "pong")).await;
    });
    assert!(matches!(update, Some(Ok(Update::Pong { id: Some(pong) })) if pong == id));
}

#[tokio::test]
async fn a_client_that_closes_says_1000() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (_, mut peer) = join!(until(&mut client, "connected"), async {
        let mut peer = server.accept().await;
        peer.welcome(7).await;
        peer
    });
    let ((), heard) = join!(client.close(), async {
        let heard = peer.hear().await;
        drop(peer);
        heard
    });
    assert_eq!(heard, "close Some(1000)");
}
