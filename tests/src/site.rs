//! A web server of the test's own: a page of somebody else, the keys of an issuer, an interface with many resources.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
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
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    task: JoinHandle<()>,
}

/// What a site answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// 200, with this.
    Content(String),
    /// 307, to this address.
    Elsewhere(String),
    /// 500.
    Broken,
}

/// What is answered to a request for a path, query included.
type Pages = Arc<dyn Fn(&str) -> Page + Send + Sync>;

impl Site {
    /// Answers with `content`, of this media type, whatever it is asked for.
    pub async fn start(media_type: &'static str, content: &str) -> Self {
        let content = Arc::new(Mutex::new(Some(content.to_owned())));
        let shown = Arc::clone(&content);
        let pages = move |_: &str| {
            let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            shown.map_or(Page::Broken, Page::Content)
        };
        Self::listen(media_type, content, Arc::new(pages)).await
    }

    /// Answers to each request for a path, query included, as `pages` says.
    pub async fn with(media_type: &'static str, pages: impl Fn(&str) -> Page + Send + Sync + 'static) -> Self {
        Self::listen(media_type, Arc::default(), Arc::new(pages)).await
    }

    async fn listen(media_type: &'static str, content: Arc<Mutex<Option<String>>>, pages: Pages) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<_>>::default();
        let serve = {
            let asked = Arc::clone(&asked);
            async move {
                // Browsers open connections ahead on which they ask for nothing: nobody waits for another here.
                let mut visitors = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (pages, asked) = (Arc::clone(&pages), Arc::clone(&asked));
                    // Whoever hangs up, or does not ask, gets no answer.
                    visitors.spawn(timeout(PATIENCE, async move { answer(stream, media_type, &*pages, &asked).await }));
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
        self.asked_for().values().sum()
    }

    /// How often it was asked for each path, query included.
    pub fn asked_for(&self) -> BTreeMap<String, usize> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    pages: &(dyn Fn(&str) -> Page + Send + Sync),
    asked: &Mutex<BTreeMap<String, usize>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    *asked.lock().unwrap_or_else(PoisonError::into_inner).entry(path.to_owned()).or_default() += 1;
    let (status, body) = match pages(path) {
        Page::Content(content) => ("200 OK".to_owned(), content),
        Page::Elsewhere(address) => (format!("307 Temporary Redirect\r\nLocation: {address}"), String::new()),
        Page::Broken => ("500 Internal Server Error".to_owned(), String::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}
