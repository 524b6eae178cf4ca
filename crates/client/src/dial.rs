//! The way to a server: TCP, and TLS for `wss`. What is said on it begins in `handshake`.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use url::{Host, Url};

use crate::Error;

/// Opens byte streams to servers. [`Connector`] does it over the network, tests do it in memory.
pub trait Dial: Send + Sync + 'static {
    /// A stream of bytes.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream to the host of `url`, ready for an HTTP request.
    fn dial(&self, url: &Url) -> impl Future<Output = Result<Self::Io, Error>> + Send;
}

/// Dials over TCP, with TLS for `wss` and `https`.
///
/// Trusted are the certificates of the system; where it has none, those of Mozilla, as compiled in; and in any case
/// those given.
#[derive(Clone)]
pub struct Connector {
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// A connector for servers like that of `url`. Certificates are read only if it needs them.
    pub fn new(url: &Url, extra_ca: Option<&Path>) -> Result<Self, Error> {
        if !matches!(url.scheme(), "wss" | "https") {
            return Ok(Self { tls: None });
        }
        let mut config = tls(extra_ca, url)?;
        // RFC 6455 upgrades HTTP/1.1 and nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Some(Arc::new(config)) })
    }
}

/// What a TLS connection to `url` trusts, and how it is made. Reads files.
///
/// # Errors
/// If `extra_ca` cannot be read, or no TLS is possible.
pub fn tls(extra_ca: Option<&Path>, url: &Url) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // A system's store may hold a few that cannot be read; the others serve.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = extra_ca {
        trust(&mut roots, path).map_err(|reason| Error::ExtraCa { path: path.to_owned(), reason })?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Tls { host: host(url), source: std::io::Error::other(source) })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Dial for Connector {
    type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

    async fn dial(&self, url: &Url) -> Result<Self::Io, Error> {
        let unreachable = |source| Error::Unreachable { host: host(url), source };
        let port = url.port_or_known_default().unwrap_or(80);
        let tcp = match url.host() {
            Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
            None => Err(std::io::ErrorKind::InvalidInput.into()),
        };
        let tcp = tcp.map_err(unreachable)?;
        // Commands are small and rare: none of them waits for the next.
        tcp.set_nodelay(true).map_err(unreachable)?;
        let Some(config) = &self.tls else { return Ok(Either::Left(tcp)) };
        let failed = |source| Error::Tls { host: host(url), source };
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()),
            Some(Host::Ipv4(address)) => Ok(ServerName::from(std::net::IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => Ok(ServerName::from(std::net::IpAddr::V6(address))),
            None => ServerName::try_from(String::new()),
        };
        let name = name.map_err(|e| failed(std::io::Error::other(e)))?;
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(failed)?;
        Ok(Either::Right(Box::new(tls)))
    }
}

/// Host and port of `url`, as people and the header `Host` have it.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn trust(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let pem = CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?;
    let mut found = false;
    for certificate in pem {
        let certificate = certificate.map_err(|e| e.to_string())?;
        roots.add(certificate).map_err(|e| e.to_string())?;
        found = true;
    }
    if found { Ok(()) } else { Err("the file holds no certificate in PEM form".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let url = Url::parse("wss://h/ws").unwrap();
        let problem = || Connector::new(&url, Some(&path)).err().map(|e| e.to_string()).unwrap();
        assert!(problem().starts_with("cannot use the certificates in /"));
        std::fs::write(&path, "hello").unwrap();
        assert!(problem().ends_with("holds no certificate in PEM form"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n").unwrap();
        assert!(problem().contains("BadEncoding"), "{}", problem());
    }

    #[test]
    fn a_host_is_named_with_its_port_unless_the_scheme_says_it() {
        for (url, expected) in
            [("ws://h:80/ws", "h"), ("ws://h:8080/ws", "h:8080"), ("wss://[::1]:8080/ws", "[::1]:8080")]
        {
            assert_eq!(host(&Url::parse(url).unwrap()), expected);
        }
    }
}
