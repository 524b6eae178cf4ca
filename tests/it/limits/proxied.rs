//! Behind proxies: whose address counts, and that a proxy on the same machine does not make operations public.

use std::net::SocketAddr;

use serde_json::Value;
use standpipe_tests::{
    Server, Socket, Wild,
    http::{self, Request},
    nginx::{self, Nginx},
    skip,
    skip::is_ci,
};

use crate::PUSH;

#[tokio::test]
async fn a_trusted_proxy_says_whose_connection_it_is() {
    let limits = "[limits]\nmax_connections_per_ip = 1\ntrusted_proxies = [\"127.0.1.0/24\"]\n";
    let server = Server::start(&format!("{limits}{PUSH}")).await;
    let mut open = Vec::new();
    for (proxy, header, status) in [
        ([127, 0, 1, 1], "X-Forwarded-For: 203.0.113.1\r\n", 101),
        ([127, 0, 1, 2], "X-Forwarded-For: 203.0.113.1\r\n", 503),
        ([127, 0, 1, 2], "X-Forwarded-For: 203.0.113.2\r\n", 101),
        // What the client wrote itself changes nothing.
        ([127, 0, 1, 2], "X-Forwarded-For: 198.51.100.7, 203.0.113.2, 127.0.1.9\r\n", 503),
        ([127, 0, 1, 1], "X-Forwarded-For: 2001:db8:1:2::1\r\n", 101),
        ([127, 0, 1, 1], "X-Forwarded-For: 2001:db8:1:2::2\r\n", 503),
        ([127, 0, 1, 1], "X-Forwarded-For: 2001:db8:1:3::2\r\n", 101),
        ([127, 0, 2, 1], "X-Forwarded-For: 203.0.113.1\r\n", 101),
        ([127, 0, 2, 1], "X-Forwarded-For: 203.0.113.9\r\n", 503),
    ] {
        let mut wild = Wild::connect(proxy, server.addr()).await.expect("a connection");
        wild.handshake("/ws", header).await;
        assert_eq!(wild.answer().await.map(|answer| answer.status), Some(status), "{proxy:?} {header}");
        open.push(wild);
    }
    let connections = server.connections().await;
    let peers: Vec<_> = connections.iter().filter_map(|connection| connection["peer"].as_str()).collect();
    for address in ["203.0.113.1", "203.0.113.2", "2001:db8:1:2::1"] {
        assert!(peers.contains(&address), "{address}: {peers:?}");
    }
}

/// nginx in front of a server, as people set it up: each way has a path of its own.
async fn in_front_of(server: SocketAddr) -> Nginx {
    let upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection";
    Nginx::start(|addr| {
        format!(
            "server {{ listen {addr};\n\
             location /default/ {{ proxy_pass http://{server}/; }}\n\
             location /http11/ {{ proxy_pass http://{server}/; proxy_http_version 1.1; }}\n\
             location /recipe/ {{ proxy_pass http://{server}/; {upgrade} \"upgrade\"; }}\n\
             location /told/ {{ proxy_pass http://{server}/; {upgrade} \"upgrade\"; proxy_set_header X-Forwarded-For \
             $proxy_add_x_forwarded_for; }} }}"
        )
    })
    .await
}

#[tokio::test]
async fn nginx_on_the_same_machine_does_not_make_operations_public() {
    if !nginx::is_installed() {
        assert!(!is_ci(), "nginx is not installed");
        skip!("needs nginx");
    }
    let server = Server::start(PUSH).await;
    let nginx = in_front_of(server.addr()).await;
    for way in ["default", "http11", "recipe", "told"] {
        let ask = async |method, path: &str| {
            let path = format!("/{way}{path}");
            http::send(nginx.addr(), Request { method, path: &path, ..Request::default() }).await
        };
        assert_eq!(ask("GET", "/live").await.status, 200, "{way}");
        for (method, path) in [("GET", "/metrics"), ("GET", "/connections"), ("GET", "/sources"), ("POST", "/drain")] {
            let refused = ask(method, path).await;
            assert_eq!(refused.status, 403, "{way} {path}: {refused:?}");
            assert!(refused.body.contains("admin.token"), "{way} {path}: {refused:?}");
        }
    }
    // And it passes sockets on, by its own recipe.
    let mut client = Socket::open(nginx.addr(), "/told/ws?topics=a").await;
    assert_eq!(client.until("subscribed").await["topics"], Value::from(vec!["a"]));
    assert_eq!(server.get("/ready").await.status, 200, "nobody drained it");
}
