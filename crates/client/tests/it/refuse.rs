//! Servers that do not want the client, or are none.

use standpipe_client::{Client, Error, Reconnect};
use standpipe_protocol::command::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::TcpListener,
};

use crate::support::{Server, config, until};

/// Reads a request and answers `answer`.
async fn answer(server: &Server, answer: &str) -> String {
    let mut stream = server.accept_raw().await;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut request).await.unwrap();
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_refused_handshake_ends_the_client_with_what_the_server_said() {
    let server = Server::new().await;
    let mut client = server.client(&["a..b"]);
    let body = r#"{"error":{"code":"INVALID_TOPIC","message":"empty token in `a..b`","hint":"remove a dot"}}"#;
    let refusal = http("400 Bad Request", "", body);
    let (told, _) = join!(until(&mut client, "forever"), answer(&server, &refusal));
    let error =
        "error: the server refused the connection with HTTP 400, INVALID_TOPIC: empty token in `a..b` (remove a dot)";
    assert_eq!(told, format!("{error} end"));
}

#[tokio::test]
async fn a_full_server_is_asked_again() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let body = r#"{"error":{"code":"OVER_CAPACITY","message":"full"}}"#;
    let (told, ()) = join!(until(&mut client, "connected"), async {
        answer(&server, &http("503 Service Unavailable", "Retry-After: 0\r\n", body)).await;
        server.accept().await.begin(1).await;
    });
    let refused = "disconnected: the server refused the connection with HTTP 503, OVER_CAPACITY: full";
    assert_eq!(told, format!("{refused} connected"));
}

#[tokio::test]
async fn the_token_is_sent_as_a_header_and_one_that_cannot_be_is_refused() {
    let server = Server::new().await;
    let mut request = server.request(&["a"]);
    request.token = Some(Secret("t0ken".into()));
    let mut client = Client::new(request.clone(), config()).unwrap();
    join!(until(&mut client, "connected"), async {
        let mut peer = server.accept().await;
        assert_eq!(peer.authorization.as_deref(), Some("Bearer t0ken"));
        peer.begin(1).await;
    });
    request.token = Some(Secret("two\r\nlines".into()));
    assert!(matches!(Client::new(request, config()), Err(Error::Token)));
}

#[tokio::test]
async fn a_verdict_of_never_ends_the_client() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (told, ()) = join!(until(&mut client, "forever"), async {
        let mut peer = server.accept().await;
        peer.begin(1).await;
        peer.events([2]).await;
        peer.bye(r#""reason":"KICKED","verdict":"never""#, 4013).await;
    });
    assert_eq!(told, "connected 2 error: the server closed the connection: KICKED (4013) end");
}

#[tokio::test]
async fn a_code_alone_says_the_same_as_a_verdict() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (told, ()) = join!(until(&mut client, "forever"), async {
        for code in [4200, 4100, 1001] {
            let mut peer = server.accept().await;
            peer.begin(1).await;
            peer.close(code).await;
        }
        let mut peer = server.accept().await;
        peer.begin(1).await;
        peer.close(4001).await;
    });
    assert_eq!(told.matches("disconnected").count(), 3, "{told}");
    assert!(told.ends_with("error: the server closed the connection with code 4001 end"), "{told}");
}

#[tokio::test]
async fn an_expired_token_is_tried_once_more_and_then_told() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let body = r#"{"error":{"code":"UNAUTHORIZED","message":"the token expired"}}"#;
    let (told, ()) = join!(until(&mut client, "forever"), async {
        let mut peer = server.accept().await;
        peer.begin(1).await;
        peer.bye(r#""reason":"TOKEN_EXPIRED","verdict":"renew""#, 4203).await;
        answer(&server, &http("401 Unauthorized", "", body)).await;
    });
    assert!(told.ends_with("HTTP 401, UNAUTHORIZED: the token expired end"), "{told}");
}

#[tokio::test]
async fn a_client_that_does_not_reconnect_ends_with_the_reason() {
    for (reconnect, connections) in [(Reconnect::Never, 1), (Reconnect::OnceConnected, 0)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap().to_string();
        drop(listener);
        let server = Server::new().await;
        let mut config = config();
        config.reconnect = reconnect;
        let mut request = server.request(&["a"]);
        if connections == 0 {
            request.address = nobody.parse().unwrap();
        }
        let mut client = Client::new(request, config).unwrap();
        let told = if connections == 0 {
            until(&mut client, "forever").await
        } else {
            let serve = async { server.accept().await.begin(1).await };
            join!(until(&mut client, "forever"), serve).0
        };
        let expected = match reconnect {
            Reconnect::Never => "connected error: the connection was lost: ".to_owned(),
            _ => format!("error: cannot connect to {nobody}: connection refused end"),
        };
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut request = Server::new().await.request(&["a"]);
    request.address = address.to_string().parse().unwrap();
    let mut client = Client::new(request, config()).unwrap();
    assert_eq!(
        until(&mut client, "disconnected").await,
        format!("disconnected: cannot connect to {address}: connection refused")
    );
}
