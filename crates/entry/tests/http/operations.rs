//! Who may use the operations, over a real connection.

use standpipe_entry::Operations;
use standpipe_protocol::command::Secret;

use crate::support::{KNOWN, Server};

/// Every operation: method and path.
fn operations() -> Vec<(&'static str, String)> {
    vec![
        ("GET", "/metrics".to_owned()),
        ("GET", "/connections".to_owned()),
        ("GET", format!("/connections/{KNOWN}")),
        ("DELETE", format!("/connections/{KNOWN}")),
        ("GET", "/sources".to_owned()),
        ("GET", "/topics".to_owned()),
        ("POST", "/publish".to_owned()),
        ("POST", "/drain".to_owned()),
    ]
}

#[tokio::test]
async fn no_operation_answers_through_a_proxy_a_strangers_name_or_a_strangers_page() {
    let server = Server::start();
    let here = server.address;
    for (headers, word) in [
        (format!("Host: {here}\r\nX-Forwarded-For: 203.0.113.9\r\n"), "proxy"),
        (format!("Host: {here}\r\nForwarded: for=203.0.113.9\r\n"), "proxy"),
        (format!("Host: {here}\r\nVia: 1.1 nginx\r\n"), "proxy"),
        (format!("Host: {here}\r\nX-Actor-Request-ID: abc\r\n"), "proxy"),
        (format!("Host: rebound.example:{}\r\n", here.port()), "Host"),
        (format!("Host: {here}.evil.example\r\n"), "Host"),
        (format!("Host: {here}\r\nConnection: close\r\n"), "Connection: close"),
        (format!("Host: {here}\r\nConnection: upgrade\r\n"), "Connection: upgrade"),
        (format!("Host: {here}\r\nOrigin: https://evil.example\r\n"), "Origin"),
        (format!("Host: {here}\r\nOrigin: null\r\n"), "Origin"),
        (format!("Host: {here}\r\nSec-Fetch-Site: cross-site\r\n"), "Sec-Fetch-Site"),
    ] {
        for (method, path) in operations() {
            let reply = server.ask(format!("{method} {path} HTTP/1.1\r\n{headers}\r\n")).await;
            assert_eq!((reply.status, reply.code().as_str()), (403, "FORBIDDEN"), "{method} {path} {headers}");
            let error = &reply.json()["error"];
            assert!(error["message"].as_str().unwrap().contains(word), "{error}");
            assert!(error["hint"].as_str().unwrap().contains("admin.token"), "{error}");
        }
    }
    let absolute = server.ask(format!("GET http://rebound.example/metrics HTTP/1.1\r\nHost: {here}\r\n\r\n")).await;
    assert_eq!(absolute.status, 403);
    let old = server.ask(format!("GET /metrics HTTP/1.0\r\nHost: {here}\r\n\r\n")).await;
    assert_eq!((old.status, old.code().as_str()), (403, "FORBIDDEN"));
    assert!(!server.house.draining.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test]
async fn with_a_token_only_the_token_counts() {
    let server = Server::with(|config| config.operations = Operations::Token(Secret("right".to_owned())));
    for (method, path) in operations() {
        for (credential, expected) in
            [("", 401), ("Authorization: Bearer wrong\r\n", 401), ("Authorization: Basic right\r\n", 401)]
        {
            let reply =
                server.ask(format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{credential}\r\n", server.address)).await;
            assert_eq!((reply.status, reply.code().as_str()), (expected, "UNAUTHORIZED"), "{method} {path}");
            // RFC 6750 §3.1: of a token that was shown, and only of one.
            let error = if credential.contains("Bearer") { ", error=\"invalid_token\"" } else { "" };
            assert_eq!(reply.headers["www-authenticate"], format!("Bearer realm=\"standpipe\"{error}"));
            assert!(!reply.body.contains("wrong"));
        }
    }
    let reply = server
        .ask("GET /metrics HTTP/1.1\r\nHost: public.example\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer right\r\n\r\n")
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn what_is_public_answers_everybody() {
    let server = Server::with(|config| config.operations = Operations::Token(Secret("right".to_owned())));
    for path in ["/", "/live", "/ready", "/status"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: public.example\r\nVia: 1.1 proxy\r\nOrigin: https://page.example\r\n\r\n"
        );
        assert_eq!(server.ask(request).await.status, 200, "{path}");
    }
}
