//! A web server with one answer, whatever it is asked for and by whatever name: a page of somebody else, or the keys of an
//! issuer.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::wait::PATIENCE;

/// A running site. It ends when dropped.
pub struct Site {
    addr: SocketAddr,
    content: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Site {
    /// Answers with `content`, of this media type.
    pub async fn start(media_type: &'static str, content: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let (content, asked) = (Arc::new(Mutex::new(Some(content.to_owned()))), Arc::new(AtomicUsize::new(0)));
        let serve = {
            let (content, asked) = (Arc::clone(&content), Arc::clone(&asked));
            async move {
                // Browsers open connections ahead on which they ask for nothing: nobody waits for another here.
                let mut visitors = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (content, asked) = (Arc::clone(&content), Arc::clone(&asked));
                    // Whoever hangs up, or does not ask, gets no answer.
                    visitors
                        .spawn(timeout(PATIENCE, async move { answer(stream, media_type, &content, &asked).await }));
                    while visitors.try_join_next().is_some() {}
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when dropped")]
        let task = tokio::spawn(serve);
        Self { addr, content, asked, task }
    }

    /// A page without anything on it.
    pub async fn blank() -> Self {
        Self::start("text/html", "<!doctype html><title>A page</title>").await
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers with this from now on; with nothing, 500.
    pub fn show(&self, content: Option<String>) {
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = content;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    media_type: &str,
    content: &Mutex<Option<String>>,
    asked: &AtomicUsize,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    asked.fetch_add(1, Relaxed);
    let content = content.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, body) = content.map_or(("500 Internal Server Error", String::new()), |content| ("200 OK", content));
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}
