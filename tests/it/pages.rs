//! Pages in a real browser: whose may open a socket, and that none of a stranger comes at what this machine alone may,
//! by whatever name the stranger calls it.

use standpipe_tests::{
    Server, Site, browser,
    browser::{Asking, Opening, Visit},
    foreign::Ending,
};

use crate::PUSH;

/// What only operators may, and one thing for everybody.
const ASKED: [(&str, &str); 5] =
    [("GET", "/metrics"), ("GET", "/connections"), ("POST", "/publish"), ("POST", "/drain"), ("GET", "/live")];

fn asking(base: &str, mode: &'static str) -> Vec<Asking> {
    ASKED.iter().map(|(method, path)| Asking { url: format!("{base}{path}"), method, mode }).collect()
}

fn opening(url: String) -> Vec<Opening> {
    vec![Opening { url, subprotocols: vec!["standpipe.v1".to_owned()], until: "subscribed" }]
}

/// A handshake that was answered with no more than an error: a page is told nothing else.
fn refused() -> Ending {
    Ending::Closed { code: 1006, reason: String::new() }
}

fn let_in() -> Ending {
    Ending::Left("op".to_owned())
}

#[tokio::test]
async fn pages_of_this_machine_may_open_a_socket_and_those_of_others_may_not() {
    let browser = browser!();
    let (server, site) = (Server::start(PUSH).await, Site::blank().await);
    let (here, port) = (server.addr(), site.addr().port());
    let visits = [
        format!("http://{here}/live"),
        format!("http://{}/", site.addr()),
        format!("http://localhost:{port}/"),
        format!("http://stranger.example:{port}/"),
        format!("http://127.0.0.1.example:{port}/"),
    ]
    .map(|page| Visit { page, sockets: opening(server.url("/ws?topics=a")), requests: Vec::new() });
    let seen = browser.visit(&visits).await;
    let endings: Vec<_> = seen.iter().map(|seen| seen.sockets[0].ending.clone()).collect();
    assert_eq!(endings, [let_in(), let_in(), let_in(), refused(), refused()]);
    assert_eq!(
        server.metrics().await.value("standpipe_entry_handshakes_refused_total", &[("code", "FORBIDDEN")]),
        Some(2.0)
    );
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_open_a_socket_and_its_neighbours_may_not() {
    let browser = browser!();
    let site = Site::blank().await;
    let port = site.addr().port();
    let allowed = format!("http://app.example:{port}");
    let server = Server::start(&format!("[auth]\nallowed_origins = [\"{allowed}\"]\n{PUSH}")).await;
    let visits = [
        format!("{allowed}/"),
        format!("http://other.example:{port}/"),
        format!("http://{}/", site.addr()),
        format!("http://{}/live", server.addr()),
    ]
    .map(|page| Visit { page, sockets: opening(server.url("/ws?topics=a")), requests: Vec::new() });
    let seen = browser.visit(&visits).await;
    let endings: Vec<_> = seen.iter().map(|seen| seen.sockets[0].ending.clone()).collect();
    assert_eq!(endings, [let_in(), refused(), refused(), refused()]);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_operations() {
    let browser = browser!();
    let (server, site) = (Server::start(PUSH).await, Site::blank().await);
    let base = format!("http://{}", server.addr());
    let port = site.addr().port();
    let visits = ["stranger.example", "localhost"].map(|name| Visit {
        page: format!("http://{name}:{port}/"),
        sockets: Vec::new(),
        requests: [asking(&base, "cors"), asking(&base, "no-cors")].concat(),
    });
    for seen in browser.visit(&visits).await {
        // Without a CORS header of the server, and with an opaque answer, the page sees nothing either way.
        assert!(seen.answers.iter().all(|(status, _)| *status == 0), "{seen:?}");
        assert_eq!(seen.answers.len(), 2 * ASKED.len());
    }
    assert_eq!(server.get("/ready").await.status, 200, "nobody drained it");
    let asked = server.metrics().await;
    let refused = asked.value("standpipe_entry_requests_refused_total", &[("code", "FORBIDDEN")]);
    assert_eq!(refused, Some(2.0 * 2.0 * 4.0), "each page, in both ways, at each of the four");
}

/// DNS rebinding: a stranger's name is made to point here, and the page that came by it is of the same origin.
#[tokio::test]
async fn a_name_that_was_rebound_to_this_machine_opens_nothing() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    let port = server.addr().port();
    let visit = |host: &str| {
        let base = format!("http://{host}:{port}");
        Visit {
            page: format!("{base}/live"),
            sockets: opening(format!("ws://{host}:{port}/ws?topics=a")),
            requests: asking(&base, "cors"),
        }
    };
    let [rebound, own] = &browser.visit(&[visit("rebound.example"), visit("127.0.0.1")]).await[..] else {
        panic!("two pages were opened")
    };
    assert_eq!(rebound.sockets[0].ending, refused());
    let statuses = |seen: &[(u64, String)]| seen.iter().map(|(status, _)| *status).collect::<Vec<_>>();
    assert_eq!(statuses(&rebound.answers), [403, 403, 403, 403, 200]);
    assert!(rebound.answers[0].1.contains("`Host` is not a loopback address"), "{:?}", rebound.answers);
    // The same page by the machine's own address may: it is the operator's.
    assert_eq!(own.sockets[0].ending, let_in());
    assert_eq!((own.answers[0].0, own.answers[1].0), (200, 200));
}
