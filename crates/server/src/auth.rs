//! How clients prove who they are, running: the keys of tokens are fetched here, from a file or over HTTP.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use standpipe_client::{Connector, Dial as _};
use standpipe_entry::{
    Auth,
    auth::{
        Algorithm, Fetch, FetchError, KeySet, Keys, Tokens,
        key_set::{Known, MAX_SET_BYTES},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{self, KeysUrl, TokenKeys};

/// Makes what the entry asks. What has to be fetched is fetched on `tracker`, until `cancel` says so.
///
/// # Errors
/// If keys are to be fetched over TLS, and there is none.
pub(crate) fn start(auth: &config::Auth, tracker: &TaskTracker, cancel: &CancellationToken) -> anyhow::Result<Auth> {
    let (rules, keys) = match auth {
        config::Auth::Open => return Ok(Auth::Open),
        config::Auth::Keys(keys) => return Ok(Auth::Keys(Keys::new(keys.iter().cloned()))),
        config::Auth::Tokens(rules, keys) => (rules, keys),
    };
    let (first, fetch, every): (_, Box<dyn Fetch>, _) = match keys {
        TokenKeys::Given(keys) => return Ok(Auth::Tokens(Box::new(Tokens::new((**rules).clone(), keys.clone())))),
        // What the configuration was checked with: nobody has to wait.
        TokenKeys::File(path, every) => {
            (read(path, rules.algorithm), Box::new(FromFile(Arc::new(path.clone()))), *every)
        }
        TokenKeys::Url(url, every) => {
            let connector = Connector::new(&url.0, None).with_context(|| format!("ask {} for keys", url.host()))?;
            (None, Box::new(FromUrl { url: url.clone(), connector }), *every)
        }
    };
    let (keys, keeper) = KeySet::kept(rules.algorithm, first, fetch, every);
    tracker.spawn(keeper.run(cancel.clone()));
    Ok(Auth::Tokens(Box::new(Tokens::new((**rules).clone(), keys))))
}

fn read(path: &PathBuf, algorithm: Algorithm) -> Option<Known> {
    Known::parse(&fs::read(path).ok()?, algorithm).ok()
}

/// A set of keys in a file.
struct FromFile(Arc<PathBuf>);

impl Fetch for FromFile {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        let path = Arc::clone(&self.0);
        // A file may be on a disk that is slow, or gone.
        let read = tokio::task::spawn_blocking(move || {
            let failed = |why: String| FetchError(format!("{}: {why}", path.display()));
            let len = fs::metadata(&*path).map_err(|error| failed(error.to_string()))?.len();
            if usize::try_from(len).map_or(true, |len| len > MAX_SET_BYTES) {
                return Err(failed(format!("it has more than {MAX_SET_BYTES} bytes")));
            }
            fs::read(&*path).map_err(|error| failed(error.to_string()))
        });
        async { read.await.unwrap_or_else(|_| Err(FetchError("the file could not be read".to_owned()))) }.boxed()
    }
}

/// A set of keys at a URL.
struct FromUrl {
    url: KeysUrl,
    connector: Connector,
}

impl FromUrl {
    /// One `GET`. Redirects are not followed: whoever may redirect could name other keys.
    async fn get(&self) -> Result<Vec<u8>, String> {
        let stream = self.connector.dial(&self.url.0).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let path = self
            .url
            .0
            .query()
            .map_or_else(|| self.url.0.path().to_owned(), |query| format!("{}?{query}", self.url.0.path()));
        let request = Request::get(path)
            .header(header::HOST, self.url.host())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = async move {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("it answers {}", answer.status()));
            }
            let body = Limited::new(answer.into_body(), MAX_SET_BYTES).collect().await;
            body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string())
        };
        // The connection is what moves both; its own end is no news.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }
}

impl Fetch for FromUrl {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        async { self.get().await.map_err(|why| FetchError(format!("{}: {why}", self.url.host()))) }.boxed()
    }
}
