//! The network as one configured source sees it: whom it trusts, where it may go.
//!
//! What that takes (certificate authorities, an HTTP client) is made when it is first needed and then shared by all
//! instances of the source: each of them for itself would hold some hundred kilobytes.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use reqwest::Client;
use rustls::ClientConfig;
use tokio::sync::OnceCell;

use crate::{error::Error, reach::Reach, trust};

/// See the file's description. Cheap to clone; clones share what was made.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    ca_file: Option<PathBuf>,
    reach: Reach,
    tls: OnceCell<Arc<ClientConfig>>,
    http: OnceCell<Client>,
}

impl Network {
    /// A network of which `reach` is within reach, where the certificate authorities of `ca_file` (PEM) are trusted, or
    /// without one the public ones.
    pub fn new(ca_file: Option<PathBuf>, reach: Reach) -> Self {
        Self(Arc::new(Inner { ca_file, reach, tls: OnceCell::new(), http: OnceCell::new() }))
    }

    /// Where a source may connect to.
    pub fn reach(&self) -> &Reach {
        &self.0.reach
    }

    /// How an encrypted connection is made. A file that cannot be read is read again the next time.
    pub(crate) async fn tls(&self) -> Result<&Arc<ClientConfig>, Error> {
        self.0.tls.get_or_try_init(|| trust::trusted(self.0.ca_file.clone())).await
    }

    /// What asks HTTP servers, made by `make` if there is none yet.
    pub(crate) async fn http(&self, make: impl AsyncFnOnce() -> Result<Client, Error>) -> Result<&Client, Error> {
        self.0.http.get_or_try_init(|| make()).await
    }

    /// The addresses of a name, as far as they are within reach.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let failed = |reason: String| Error::Resolve { host: host.to_owned(), reason };
        let found = tokio::net::lookup_host((host, port)).await.map_err(|e| failed(e.to_string()))?;
        let mut found = found.peekable();
        if found.peek().is_none() {
            return Err(failed("the name has no address".to_owned()));
        }
        let within = self.0.reach.of_resolved(found);
        if within.is_empty() { Err(failed("it has no public address".to_owned())) } else { Ok(within) }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new(None, Reach::default())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("ca_file", &self.0.ca_file).field("reach", &self.0.reach).finish()
    }
}
