//! What docs/operations.md and `deploy` say of a running server, against one.

mod alerts;
mod deploy;
mod front;
mod logs;
mod standing;

use std::{collections::BTreeSet, fs};

use serde_json::json;
use standpipe_tests::{
    Server, Site,
    issuer::{Issuer, mint, order},
    paths,
};

use crate::billing::Till;

/// A server that has everything that there can be: a cap, keys of tokens, and a source of which clients say what is asked
/// for.
async fn with_everything(till: &Till, issuer: &Issuer, site: &Site) -> Server {
    let prices = "prices = { \"event-delivered\" = \"0.01\" }\ncap = \"5.00\"";
    let auth = format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\nalgorithm = \"RS256\"\njwks_url = \"{}\"\n", issuer.url());
    let pages = format!(
        "[[source]]\nname = \"pages\"\nkind = \"http_poll\"\nparams = [\"page_url\"]\nurl = \"{{page_url}}\"\n\
         allow = [\"http://{}/\"]\nprivate_addresses = true\nevery = \"1s\"\n",
        site.addr()
    );
    Server::start(&format!("{}\n{auth}\n{pages}", till.config(prices))).await
}

#[tokio::test]
async fn every_metric_of_a_server_is_in_the_table_and_every_row_is_of_one() {
    let minted = mint(&[order("any", "rsa1", &json!({}))]).await;
    let issuer = Issuer::start([&minted.jwks["rsa1"]]).await;
    let (till, site) = (Till::new(), Site::start("application/json", "1").await);
    let server = with_everything(&till, &issuer, &site).await;
    server.publish(&[json!({"topic": "a", "data": 1})]).await;
    let page = server.get("/metrics").await.body;
    let shown: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let document = fs::read_to_string(paths::root().join("docs/operations.md")).expect("the document");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).map(|(name, _)| name);
    // Only a run of the platform is told something by it.
    let rows = rows.filter(|name| !name.starts_with("standpipe_apify_"));
    let told: BTreeSet<_> =
        rows.filter(|name| name.starts_with("standpipe_") || name.starts_with("process_")).collect();
    assert_eq!(shown.difference(&told).collect::<Vec<_>>(), [&""; 0], "shown, and in no row");
    assert_eq!(told.difference(&shown).collect::<Vec<_>>(), [&""; 0], "in a row, and not shown");
}
