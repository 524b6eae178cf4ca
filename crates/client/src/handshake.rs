//! The HTTP upgrade (RFC 6455 §4.1), as the client sees it.
//!
//! It is made here and not by tungstenite because a refusal's body must be read to its end: the server says there what
//! was wrong and what would be right. The bytes behind the answer belong to the WebSocket.

use std::time::Duration;

use serde::Deserialize;
use standpipe_protocol::{SUBPROTOCOL, command::Secret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{
    handshake::{
        client::{Response, generate_key},
        derive_accept_key,
        machine::TryParse,
    },
    http::header,
};
use url::Url;

use crate::{Error, Refusal, Refused, dial::host};

/// The longest head of an answer, and the longest body of a refusal, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// How much of a body that is not ours is shown, in characters.
const SHOWN: usize = 200;

/// Asks for the upgrade. Returns what stands behind the answer.
pub(crate) async fn upgrade<S>(stream: &mut S, url: &Url, token: Option<&Secret>) -> Result<Vec<u8>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = generate_key();
    let lost = |error: std::io::Error| Error::Lost(format!("during the handshake: {error}"));
    stream.write_all(request(url, token, &key).as_bytes()).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;

    let mut bytes = Vec::with_capacity(1024);
    let answer = loop {
        let read = stream.read_buf(&mut bytes).await.map_err(lost)?;
        let parsed = Response::try_parse(&bytes).map_err(|e| Error::Foreign(format!("its answer is not HTTP: {e}")))?;
        if let Some((length, answer)) = parsed {
            bytes.drain(..length);
            break answer;
        }
        if read == 0 {
            return Err(Error::Lost("the server closed it during the handshake".to_owned()));
        }
        if bytes.len() > MAX_ANSWER {
            return Err(Error::Foreign(format!("the head of its answer is longer than {MAX_ANSWER} bytes")));
        }
    };
    if answer.status() != 101 {
        read_body(stream, &answer, &mut bytes).await;
        return Err(Error::from(Box::new(refused(&answer, &bytes))));
    }
    verify(&answer, &key).map_err(|why| Error::Foreign(format!("its handshake is wrong: {why}")))?;
    Ok(bytes)
}

fn request(url: &Url, token: Option<&Secret>, key: &str) -> String {
    let path = url.path();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let token = token.map(|Secret(token)| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "GET {path}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\
         User-Agent: standpipe-client/{version}\r\n{token}\r\n",
        host = host(url),
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Reads the body as far as it goes: what cannot be read is only missing from a message.
async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, answer: &Response, body: &mut Vec<u8>) {
    let announced = text(answer, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let most = announced.unwrap_or(MAX_ANSWER).min(MAX_ANSWER);
    while body.len() < most {
        match stream.read_buf(body).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// `{"error": {"code": …, "message": …, "hint": …}}`
#[derive(Deserialize)]
struct Body {
    error: Refusal,
}

fn refused(answer: &Response, body: &[u8]) -> Refused {
    let refusal = serde_json::from_slice(body).ok().map(|Body { error }| error);
    let body = if refusal.is_some() { String::new() } else { shown(body) };
    Refused {
        status: answer.status().as_u16(),
        refusal,
        // The other form, a date, is not worth a clock here.
        retry_after: text(answer, header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs),
        location: text(answer, header::LOCATION).map(str::to_owned),
        body,
    }
}

/// The beginning of a body that is not ours, on one line, and without what a terminal would follow.
fn shown(body: &[u8]) -> String {
    let words: Vec<String> = String::from_utf8_lossy(body).split_whitespace().map(str::to_owned).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// RFC 6455 §4.1, the list of what a client checks. A server without subprotocols is taken for one that serves ours.
fn verify(answer: &Response, key: &str) -> Result<(), String> {
    let has = |name, value: &str| {
        let values = answer.headers().get_all(name).into_iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(value))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err("it does not name the upgrade to `websocket`".to_owned());
    }
    if text(answer, header::SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
        return Err("`Sec-WebSocket-Accept` does not belong to the key that was sent".to_owned());
    }
    if let Some(extensions) = text(answer, header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(format!("it uses extensions that were not offered: {extensions}"));
    }
    match text(answer, header::SEC_WEBSOCKET_PROTOCOL) {
        None => Ok(()),
        Some(chosen) if chosen == SUBPROTOCOL => Ok(()),
        Some(chosen) => Err(format!("it chose the subprotocol `{chosen}`, which was not offered")),
    }
}

fn text(answer: &Response, name: header::HeaderName) -> Option<&str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const URL: &str = "ws://h:8080/ws?topics=a";

    /// Answers one request by `answer`, in which KEY stands for the right `Sec-WebSocket-Accept`.
    async fn answered(answer: &str) -> (Result<Vec<u8>, Error>, String) {
        let (mut client, mut server) = duplex(256 << 10);
        let url = Url::parse(URL).unwrap();
        let secret = Secret("t0ken".into());
        let serve = async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                server.read_buf(&mut request).await.unwrap();
            }
            let request = String::from_utf8(request).unwrap();
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let answer = answer.replace("KEY", &derive_accept_key(key.as_bytes()));
            server.write_all(answer.as_bytes()).await.unwrap();
            request
        };
        tokio::join!(upgrade(&mut client, &url, Some(&secret)), serve)
    }

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: standpipe.v1\r\n\r\n";

    #[tokio::test]
    async fn the_bytes_behind_the_answer_belong_to_the_websocket() {
        let (tail, request) = answered(&format!("{GOOD}\u{1}tail")).await;
        assert_eq!(tail.unwrap(), b"\x01tail");
        let lines: Vec<&str> = request.lines().collect();
        assert_eq!(lines[..2], ["GET /ws?topics=a HTTP/1.1", "Host: h:8080"]);
        assert!(lines.contains(&"Authorization: Bearer t0ken"));
        assert!(lines.contains(&"Sec-WebSocket-Protocol: standpipe.v1"));
    }

    #[tokio::test]
    async fn a_refusal_carries_what_the_server_says() {
        let body = r#"{"error":{"code":"INVALID_TOPIC","message":"no","hint":"yes"}}"#;
        let answer = format!(
            "HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
            body.len()
        );
        let (result, _) = answered(&answer).await;
        let Err(Error::Refused(refused)) = result else { panic!("{result:?}") };
        let refusal = refused.refusal.unwrap();
        assert_eq!((refused.status, refused.retry_after), (503, Some(Duration::from_secs(7))));
        assert_eq!((&*refusal.code, &*refusal.message, refusal.hint.as_deref()), ("INVALID_TOPIC", "no", Some("yes")));
    }

    #[tokio::test]
    async fn a_refusal_of_another_server_is_shown_in_part() {
        let (result, _) = answered(&format!("HTTP/1.1 404 x\r\n\r\n<h1>\n  no \u{1b}[1m{}", "x".repeat(5000))).await;
        let Err(Error::Refused(refused)) = result else { panic!("{result:?}") };
        assert!(refused.body.starts_with("<h1> no [1mxxx") && refused.body.len() == SHOWN, "{}", refused.body);
    }

    #[tokio::test]
    async fn wrong_handshakes_are_told_apart() {
        for (answer, why) in [
            ("hello\r\n\r\n".to_owned(), "its answer is not HTTP"),
            (GOOD.replace("KEY", "a2V5"), "does not belong to the key"),
            (GOOD.replace("WebSocket\r\n", "h2c\r\n"), "does not name the upgrade"),
            (GOOD.replace("standpipe.v1", "chat"), "subprotocol `chat`"),
            (GOOD.replace("Upgrade: W", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: W"), "extensions"),
            (format!("HTTP/1.1 101 x\r\nA: {}", "x".repeat(MAX_ANSWER)), "longer than"),
            ("HTTP/1.1 101".to_owned(), "the server closed it during the handshake"),
        ] {
            let (result, _) = answered(&answer).await;
            let error = result.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_without_subprotocols_will_do() {
        let (tail, _) = answered(&GOOD.replace("Sec-WebSocket-Protocol: standpipe.v1\r\n", "")).await;
        assert!(tail.is_ok());
    }
}
