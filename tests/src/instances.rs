//! A demand-driven source of pages, and what one instance of it takes.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde_json::json;

use crate::{
    server::Server,
    site::{Page, Site},
    socket::Socket,
    usage::Usage,
};

/// Pages that say something new each time they are asked for, and whose page it is.
pub async fn pages() -> Site {
    let n = AtomicUsize::new(0);
    Site::with("application/json", move |path| {
        Page::Content(json!({"page": path, "n": n.fetch_add(1, Relaxed)}).to_string())
    })
    .await
}

/// The table of a source of these pages, on which nothing is out of reach but what is no page; `more` are lines of it.
pub fn source(site: &Site, more: &str) -> String {
    format!(
        r#"
        [[source]]
        name = "pages"
        kind = "http_poll"
        params = ["page_url"]
        url = "{{page_url}}"
        allow = ["http://{}/pages/"]
        private_addresses = true
        every = "100ms"
        map = '{{topic: "pages", key: $params.page_url, data: .}}'
        {more}
        "#,
        site.addr()
    )
}

/// The address of one page.
pub fn url_of(site: &Site, page: usize) -> String {
    format!("http://{}/pages/{page}", site.addr())
}

/// What one instance takes of the server's memory, in bytes: a thousand of them, each having read its page, without a hundred that
/// were there before.
pub async fn memory_of_one() -> usize {
    const BEFORE: usize = 100;
    const INSTANCES: usize = 1000;
    let site = pages().await;
    let more = "max_instances = 2000\nmax_instances_per_client = 2000\n";
    let config = source(&site, more).replace("\"100ms\"", "\"10m\"");
    let server =
        Server::start(&format!("[limits]\nmax_subscriptions = 2000\ncommand_rate = \"100000/s\"\n{config}")).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let subscribe = |page| json!({"op": "subscribe", "topics": [">"], "params": {"page_url": url_of(&site, page)}});
    let fetch = async |client: &mut Socket, pages: Range<usize>| {
        for page in pages.clone() {
            client.send(&subscribe(page)).await;
        }
        for _ in pages {
            client.until("event").await;
        }
    };
    fetch(&mut client, 0..BEFORE).await;
    let before = Usage::of(server.id()).resident;
    fetch(&mut client, BEFORE..BEFORE + INSTANCES).await;
    Usage::of(server.id()).resident.saturating_sub(before) / INSTANCES
}
