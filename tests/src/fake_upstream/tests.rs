use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::*;
use crate::{
    PATIENCE,
    feeds::{Frame, Page, Recorded},
    http, within,
};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn frames(texts: &[&str]) -> Vec<Frame> {
    texts.iter().map(|text| Frame { at: Duration::ZERO, text: (*text).to_owned() }).collect()
}

async fn client(upstream: &FakeUpstream) -> Client {
    connect_async(upstream.url()).await.unwrap().0
}

async fn text(client: &mut Client) -> Option<String> {
    let next = within("a frame", PATIENCE, client.next()).await;
    next.and_then(Result::ok).filter(Message::is_text).map(|message| message.to_text().unwrap().to_owned())
}

#[tokio::test]
async fn each_client_is_served_the_connection_that_it_asked_for() {
    let trade = Recorded { name: "a".into(), sends: vec![json!({"sub": "trade"})], frames: frames(&["t1", "t2"]) };
    let book = Recorded { name: "b".into(), sends: vec![json!({"sub": "book"})], frames: frames(&["b1"]) };
    let upstream = FakeUpstream::start(Capture { connections: vec![trade, book], pages: vec![] }, Speed::Max).await;
    upstream.release();
    let (mut one, mut two) = (client(&upstream).await, client(&upstream).await);
    one.send(Message::text(r#"{ "sub": "book" }"#)).await.unwrap();
    two.send(Message::text(r#"{"sub":"trade"}"#)).await.unwrap();
    assert_eq!(text(&mut one).await.as_deref(), Some("b1"));
    assert_eq!(text(&mut two).await.as_deref(), Some("t1"));
    assert_eq!(text(&mut two).await.as_deref(), Some("t2"));
    assert!(upstream.is_finished());
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn a_feed_goes_on_where_it_was_when_the_connection_was_cut() {
    for how in [Cut::Close, Cut::Reset] {
        let upstream = FakeUpstream::start(Capture::of(["1", "2", "3"]), Speed::Max).await;
        let mut first = client(&upstream).await;
        upstream.release();
        assert_eq!(text(&mut first).await.as_deref(), Some("1"));
        crate::eventually("all frames sent", PATIENCE, async || upstream.is_finished().then_some(()).ok_or("no")).await;
        upstream.cut(how);
        while text(&mut first).await.is_some() {}
        crate::eventually("the cut", PATIENCE, async || (upstream.open() == 0).then_some(()).ok_or("open")).await;
        let _second = client(&upstream).await;
        assert_eq!((upstream.accepted(), upstream.sent()), (2, 3));
    }
}

#[tokio::test]
async fn what_was_on_the_air_while_nobody_was_there_is_gone() {
    let upstream = FakeUpstream::start(Capture::of(["1", "2", "3"]), Speed::OnCue).await;
    let followed = async |count| {
        crate::eventually("the followers", PATIENCE, async || (upstream.followed() == count).then_some(()).ok_or("no"))
            .await;
    };
    let mut first = client(&upstream).await;
    followed(1).await;
    upstream.air(1);
    assert_eq!(text(&mut first).await.as_deref(), Some("1"));
    upstream.cut(Cut::Close);
    while text(&mut first).await.is_some() {}
    followed(0).await;
    upstream.air(1);
    let mut second = client(&upstream).await;
    followed(1).await;
    upstream.air(1);
    assert_eq!(text(&mut second).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn nothing_comes_before_the_release() {
    let upstream = FakeUpstream::start(Capture::of(["1"]), Speed::Recorded).await;
    let mut client = client(&upstream).await;
    client.send(Message::Ping("x".into())).await.unwrap();
    let first = within("the pong", PATIENCE, client.next()).await.unwrap().unwrap();
    assert!(first.is_pong(), "{first:?}");
    upstream.release();
    assert_eq!(text(&mut client).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn recorded_pages_are_served_on_the_same_port() {
    let pages = vec![Page { path: "/a?b=c".into(), body: "{}".into() }];
    let upstream = FakeUpstream::start(Capture { pages, ..Capture::default() }, Speed::Max).await;
    assert_eq!(http::get(upstream.addr, "/a?b=c").await.body, "{}");
    assert_eq!(http::get(upstream.addr, "/other").await.status, 404);
}
