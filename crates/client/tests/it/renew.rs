//! New credentials: before the old one ends, and behind its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use standpipe_client::{Client, RenewError};
use standpipe_protocol::command::Secret;
use tokio::{io::DuplexStream, join, sync::mpsc};

use crate::support::{Memory, Peer, Server, config, until};

/// In milliseconds since 1970. Sooner than a server without a word is given up.
fn soon() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(10);
    u64::try_from(now.as_millis()).unwrap()
}

/// Gives `token-1`, `token-2` and so on; but for the first `failures`, it says why not.
fn issuer(failures: u64) -> impl standpipe_client::Renew {
    let asked = Arc::new(AtomicU64::new(0));
    move || {
        let asked = asked.fetch_add(1, Relaxed);
        async move {
            if asked < failures {
                return Err(RenewError::from("the issuer is away"));
            }
            Ok(Secret(format!("token-{}", asked + 1 - failures)))
        }
    }
}

const EXPIRED: &str = r#""reason":"TOKEN_EXPIRED","verdict":"renew""#;

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_on_the_open_connection_before_it_ends() {
    let (memory, mut network) = Memory::new();
    let server = Server::new().await;
    let mut client = Client::over(memory, server.request(&["a"]), config()).unwrap().renewing(issuer(0));
    let (told, ()) = join!(until(&mut client, "3"), async {
        let mut peer = Peer::accept(network.recv().await.unwrap()).await;
        assert_eq!(peer.authorization.as_deref(), Some("Bearer token-1"), "a client without a token asks for one");
        peer.begin_until(soon()).await;
        peer.events([2]).await;
        let begun = tokio::time::Instant::now();
        for token in ["token-2", "token-3"] {
            let refresh = peer.hear().await;
            assert!(refresh.contains(r#""op":"refresh""#) && refresh.contains(token), "{refresh}");
            let expires = soon();
            peer.say(format!(r#"{{"op":"refreshed","expires":{expires},"topics":["a"],"seq":2}}"#)).await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(2 * 7), "{:?}", begun.elapsed());
        peer.events([3]).await;
    });
    assert_eq!(told, "connected 2 refreshed refreshed 3");
}

/// A client with `token-0`, whose issuer fails at first, and the network on which it connects.
async fn renewing(failures: u64) -> (Client<Memory>, mpsc::Receiver<DuplexStream>) {
    let (memory, network) = Memory::new();
    let mut request = Server::new().await.request(&["a"]);
    request.token = Some(Secret("token-0".to_owned()));
    let client = Client::over(memory, request, config()).unwrap().renewing(issuer(failures));
    (client, network)
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_told_and_tried_again() {
    let (mut client, mut network) = renewing(1).await;
    let (told, ()) = join!(until(&mut client, "2"), async {
        let mut peer = Peer::accept(network.recv().await.unwrap()).await;
        assert_eq!(peer.authorization.as_deref(), Some("Bearer token-0"));
        peer.begin_until(soon()).await;
        for token in ["token-1", "token-2"] {
            let refresh = peer.hear().await;
            assert!(refresh.contains(token), "{refresh}");
            let id: serde_json::Value = serde_json::from_str(&refresh).unwrap();
            if token == "token-1" {
                let id = &id["id"];
                peer.say(format!(r#"{{"op":"error","code":"FORBIDDEN","message":"no","id":{id}}}"#)).await;
            }
        }
        peer.events([2]).await;
    });
    let unrenewed = "unrenewed: cannot get a new token: the issuer is away";
    assert_eq!(told, format!("connected {unrenewed} refused: FORBIDDEN: no 2"));
}

#[tokio::test(start_paused = true)]
async fn behind_the_end_of_a_token_the_next_connection_begins_with_a_new_one() {
    let (mut client, mut network) = renewing(1).await;
    let (told, ()) = join!(until(&mut client, "2"), async {
        let mut peer = Peer::accept(network.recv().await.unwrap()).await;
        peer.begin(1).await;
        peer.bye(EXPIRED, 4203).await;
        let mut peer = Peer::accept(network.recv().await.unwrap()).await;
        assert_eq!(peer.authorization.as_deref(), Some("Bearer token-1"));
        peer.begin(1).await;
        peer.events([2]).await;
    });
    let ended = "disconnected: the server closed the connection: TOKEN_EXPIRED (4203)";
    let failed = "disconnected: cannot get a new token: the issuer is away";
    assert!(told.starts_with(&format!("connected {ended} {failed} connected")) && told.ends_with(" 2"), "{told}");
}
