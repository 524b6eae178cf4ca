//! No credential in any answer or log line.

use standpipe_entry::Operations;
use standpipe_protocol::command::Secret;

use crate::support::{Log, Server, handshake};

#[tokio::test]
async fn no_credential_is_logged_or_answered_at_any_level() {
    let log = Log::default();
    let _guard = log.listen();
    let server = Server::with(|config| config.operations = Operations::Token(Secret("hunter2-admin".to_owned())));
    for request in [
        "GET /metrics?access_token=hunter2-a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2-b\r\n\r\n".to_owned(),
        "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2-admin\r\n\r\n".to_owned(),
        "GET /nothing?token=hunter2-c HTTP/1.1\r\nHost: a\r\nCookie: hunter2-d\r\n\r\n".to_owned(),
        "POST /publish?access_token=hunter2-e HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2-admin\r\n\r\n"
            .to_owned(),
        handshake("/ws?access_token=hunter2-f&token=hunter2-g&nonsense=1", "Authorization: Bearer hunter2-h\r\n"),
        handshake("/ws?access_token=hunter2-i&access_token=hunter2-i", ""),
        handshake("/ws?access_token=hunter2-j%ff", ""),
        handshake("/ws", "Sec-WebSocket-Protocol: standpipe.auth.hunter2-k, mqtt\r\n"),
        handshake("/ws?access_token=hunter2-l", "Sec-WebSocket-Protocol: standpipe.auth.hunter2-m, standpipe.v1\r\n"),
        "GET /ws?access_token=hunter2-n HTTP/1.1\r\nAuthorization: Bearer hunter2-o\r\nbroken\r\n\r\n".to_owned(),
    ] {
        let mut raw = server.connect().await;
        raw.send(&request).await;
        let reply = raw.head().await;
        let rest = if reply.status == 101 {
            String::new()
        } else {
            raw.end().await;
            raw.rest().await
        };
        assert!(!format!("{}{rest}", reply.head).contains("hunter2"), "{request}\n{}{rest}", reply.head);
    }
    server.stopped().await;
    let text = log.text();
    assert!(text.contains("GET /nothing"), "the access log is there");
    assert!(!text.contains("hunter2"), "{text}");
}
