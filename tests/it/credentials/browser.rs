//! The same table once more, by pages in a real browser: it can send no header, and is not shown why a handshake failed.

use standpipe_tests::{
    browser,
    browser::{Opening, Visit},
};

use super::*;

#[tokio::test]
async fn a_page_comes_in_with_a_valid_token_and_with_no_other() {
    let browser = browser!();
    let minted = table().await;
    let (_issuer, server) = rotated(&minted).await;
    known(&server, &minted.tokens["rotated"]).await;
    let opening = |url: String, subprotocols: &[&str]| {
        let subprotocols = subprotocols.iter().map(|name| (*name).to_owned()).collect();
        Opening { url, subprotocols, until: "subscribed" }
    };
    let sockets = TABLE.iter().flat_map(|(what, _)| {
        let token = &minted.tokens[*what];
        let subprotocol = format!("standpipe.auth.{token}");
        [
            opening(server.url("/ws?topics=a"), &["standpipe.v1", &subprotocol]),
            opening(server.url(&format!("/ws?topics=a&access_token={token}")), &[]),
        ]
    });
    // A page of this machine, which may open sockets here.
    let visit = Visit { page: format!("http://{}/", server.addr()), sockets: sockets.collect(), requests: Vec::new() };
    let seen = browser.visit(&[visit]).await.remove(0);
    assert_eq!(seen.sockets.len(), 2 * TABLE.len());
    for ((what, expected), places) in TABLE.iter().zip(seen.sockets.chunks(2)) {
        for (place, collected) in ["subprotocol", "access_token"].iter().zip(places) {
            let Err((_, code)) = expected else {
                assert_eq!(collected.ending, Ending::Left("op".to_owned()), "{what}, in {place}");
                continue;
            };
            assert_eq!(collected.of("error")[0]["code"], *code, "{what}, in {place}");
            let close = if *code == "TOKEN_EXPIRED" { 4203 } else { 4001 };
            let closed = Ending::Closed { code: close, reason: (*code).to_owned() };
            assert_eq!(collected.ending, closed, "{what}, in {place}");
        }
    }
}
