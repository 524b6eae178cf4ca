//! Every route, every status that it can have.

use std::{sync::atomic::Ordering, time::Duration};

use expect_test::expect;
use standpipe_entry::{Operations, ROUTES};
use standpipe_protocol::command::Secret;

use crate::support::{KNOWN, Server};

#[tokio::test]
async fn every_route_answers() {
    let server = Server::start();
    let told = [
        ("GET", "/live"),
        ("GET", "/ready"),
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/connections"),
        ("GET", &format!("/connections/{KNOWN}")),
        ("DELETE", &format!("/connections/{KNOWN}")),
        ("GET", "/sources"),
        ("GET", "/topics?prefix=a.&limit=3&after=a.b"),
        ("POST", "/drain"),
        ("GET", "/ready"),
    ];
    let mut lines = Vec::new();
    for (method, path) in told {
        let reply = server.ask(format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address)).await;
        let media_type = &reply.headers["content-type"];
        lines.push(format!("{method} {path} {} {media_type} {}", reply.status, reply.body.trim_end()));
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    }
    expect![[r#"
        GET /live 200 application/json {"live":true}
        GET /ready 200 application/json {"ready":true}
        GET /status 200 application/json {"connections":1}
        GET /metrics 200 text/plain; version=0.0.4; charset=utf-8 standpipe_up 1
        GET /connections 200 application/json [{"id":"c00000000000000ff","asked":"Id 1000 false"}]
        GET /connections/c00000000000000ff 200 application/json {"id":"c00000000000000ff"}
        DELETE /connections/c00000000000000ff 200 application/json {"closed":"c00000000000000ff"}
        GET /sources 200 application/json [{"name":"in"}]
        GET /topics?prefix=a.&limit=3&after=a.b 200 application/json {"asked":"Name a. 3 a.b"}
        POST /drain 202 application/json {"draining":true}
        GET /ready 503 application/json {"ready":false}"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn the_platforms_probe_is_answered_on_any_path() {
    let server = Server::start();
    for target in ["GET /", "GET /nothing/here", "GET /ws", "POST /publish", "GET /metrics"] {
        let reply = server
            .ask(format!(
                "{target} HTTP/1.1\r\nHost: anything.example\r\nX-Apify-Container-Server-Readiness-Probe: 1\r\n\
                 Connection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status, 200, "{target}");
    }
    let reply = server.ask("GET / HTTP/1.1\r\nHost: a\r\nx-apify-container-server-readiness-probe:\r\n\r\n").await;
    assert_eq!(reply.body, "ready");
}

#[tokio::test]
async fn the_index_names_every_route() {
    let server = Server::start();
    let index = server.get("/").await.json();
    assert_eq!(index["name"], "standpipe");
    assert_eq!(index["protocol"], 1);
    let paths: Vec<_> =
        index["routes"].as_array().unwrap().iter().map(|route| route["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ROUTES.iter().map(|(_, path, _)| *path).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_browser_gets_the_console_there_and_the_probe_its_answer() {
    let server = Server::start();
    let ask = async |headers: &str| {
        server.ask(format!("GET /?token=x HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address)).await
    };
    let page = ask("Accept: text/html,*/*;q=0.8\r\n").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.body.starts_with("<!doctype html>"));
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'; script-src 'sha256-"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("vary", "accept"),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    let again = ask(&format!("Accept: text/html\r\nIf-None-Match: {}\r\n", page.headers["etag"])).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let index = ask(accept).await;
        assert_eq!((index.json()["name"].as_str(), index.headers["vary"].as_str()), (Some("standpipe"), "accept"));
    }
    let probe = ask("Accept: text/html\r\nX-Apify-Container-Server-Readiness-Probe: 1\r\n").await;
    assert_eq!(probe.body, "ready");
}

#[tokio::test]
async fn the_index_says_whether_operations_would_be_answered() {
    let local = Server::start();
    let told = Server::with(|config| config.operations = Operations::Token(Secret("s3cret".to_owned())));
    for (server, headers, operations) in [
        (&local, "", "yes"),
        (&local, "Via: 1.1 proxy\r\n", "no"),
        (&told, "", "token"),
        (&told, "Authorization: Bearer wrong\r\n", "token"),
        (&told, "Authorization: Bearer s3cret\r\n", "yes"),
        (&told, "Authorization: Bearer of-the-platform\r\nX-Standpipe-Admin-Token: s3cret\r\n", "yes"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address);
        assert_eq!(server.ask(request).await.json()["operations"], operations, "{headers}");
    }
}

#[tokio::test]
async fn a_page_of_topics_is_asked_for_as_it_can_be() {
    let server = Server::start();
    for (query, asked) in
        [("", "Name  100 "), ("?sort=events&limit=1000", "Events  1000 "), ("?prefix=a%2Fb", "Name a/b 100 ")]
    {
        assert_eq!(server.get(&format!("/topics{query}")).await.json()["asked"], asked, "{query}");
    }
    for wrong in ["limit=0", "limit=1001", "limit=x", "sort=age", "sort=events&after=a", "page=2"] {
        assert_eq!(server.get(&format!("/topics?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn every_route_of_the_table_is_there() {
    let server = Server::start();
    for (methods, path, _) in ROUTES {
        let path = path.replace("{id}", KNOWN).replace("{topic}", "a");
        let reply = server.ask(format!("PATCH {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address)).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "METHOD_NOT_ALLOWED"), "{path}");
        let allowed: Vec<_> = reply.headers["allow"].split(", ").filter(|method| *method != "HEAD").collect();
        assert_eq!(allowed.join(", "), **methods, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let server = Server::start();
    assert_eq!(server.get("/live/").await.status, 200);
    for path in ["/nothing", "/live/x", "/wsx", "//live", "/%6cive", "/connections/a/b", "/Live", "/publish/x"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "NOT_FOUND"), "{path}");
        assert_eq!(reply.json()["routes"].as_array().unwrap().len(), ROUTES.len());
    }
    assert_eq!(server.get("/stauts").await.json()["error"]["hint"], "did you mean `/status`?");
    for (target, status) in [("OPTIONS *", 404), ("CONNECT a.example:443", 405)] {
        let reply = server.ask(format!("{target} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address)).await;
        assert_eq!(reply.status, status, "{target}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_there_is_not_found() {
    let server = Server::start();
    for id in ["c0000000000000000", "nonsense", "%00", "c"] {
        for method in ["GET", "DELETE"] {
            let request = format!("{method} /connections/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
            let reply = server.ask(request).await;
            assert_eq!((reply.status, reply.code().as_str()), (404, "NOT_FOUND"), "{method} {id}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start();
    let whole = server.get("/status").await;
    let mut raw = server.connect().await;
    raw.send(format!("HEAD /status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address)).await;
    let head = raw.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-length"], whole.body.len().to_string());
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn an_answer_that_is_not_found_in_time_is_a_504() {
    let server = Server::with(|config| config.deadlines.answer = Duration::from_millis(50));
    server.house.hangs.store(true, Ordering::Relaxed);
    let reply = server.get("/status").await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "ANSWER_TIMEOUT"));
    assert_eq!(server.get("/live").await.status, 200);
}
