//! A client that gets its tokens from a command stays, whether the next one is there in time or comes late.

use super::*;

/// Has `standpipe tail` come in by a token that soon ends, with `command` for further ones. What it told in the end.
async fn stays(initial: bool, command: &str) -> String {
    let key = format!("secret:{}", secrets::plant(SECRET));
    let long = now() + 600;
    let of = |name: &str, end: u64| order(name, &key, &claims(&json!({"exp": end})));
    let minted = mint(&[of("short", now() + 4), of("long", long)]).await;
    let keys = format!("algorithm = \"HS256\"\nsecret = \"{SECRET}\"\nleeway = \"1s\"");
    let server = Server::start(&config_of_tokens(&keys)).await;
    for (name, token) in &minted.tokens {
        fs::write(server.folder().join(name), token).expect("a temporary file can be written");
    }
    let mut tail = standpipe();
    tail.args(["tail", &server.url("/ws?topics=a"), "--json", "--count", "1", "--token-command", command]);
    tail.current_dir(server.folder());
    if initial {
        tail.env("STANDPIPE_TOKEN", &minted.tokens["short"]);
    }
    let mut tail = Process::start("tail", &mut tail);
    eventually("the long token counts", PATIENCE, async || {
        let ends: Vec<_> = server.connections().await.iter().map(|connection| connection["expires"].clone()).collect();
        if ends == [json!((long + 1) * 1000)] { Ok(()) } else { Err(format!("{ends:?}")) }
    })
    .await;
    server.publish(&[json!({"topic": "a", "data": "still here"})]).await;
    assert!(tail.exit_within(PATIENCE).await.success());
    assert!(tail.stdout()[0].contains("still here"), "{:?}", tail.stdout());
    let told = tail.stderr().join("\n");
    secrets::search("what a tail told", &told);
    told
}

#[tokio::test]
async fn a_client_renews_its_token_by_a_command_and_stays() {
    stays(false, "if mv short used 2>/dev/null; then cat used; else cat long; fi").await;
}

#[tokio::test]
async fn a_client_whose_command_fails_comes_back_when_it_does_not() {
    let told = stays(true, "if mv short used 2>/dev/null; then exit 7; else cat long; fi").await;
    assert!(told.contains("cannot get a new token: the command failed, exit status: 7"), "{told}");
}
