//! No credential in any answer or log line.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use standpipe_entry::Operations;
use standpipe_protocol::command::Secret;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Server, handshake};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_credential_is_logged_or_answered_at_any_level() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // The runtime of this test has one thread, this one.
    let _guard = tracing::subscriber::set_default(subscriber);
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
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("GET /nothing"), "the access log is there");
    assert!(!text.contains("hunter2"), "{text}");
}
