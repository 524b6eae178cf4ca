//! A certificate authority of one certificate, made anew for each upstream.

use std::{io::Write, path::Path, sync::Arc};

use tempfile::NamedTempFile;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A self-signed certificate for the loopback address, and the file that vouches for it.
pub(super) struct Authority {
    acceptor: TlsAcceptor,
    file: NamedTempFile,
}

impl Authority {
    pub(super) fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate for the loopback address");
        let mut file = NamedTempFile::new().expect("a temporary file");
        file.write_all(made.cert.pem().as_bytes()).expect("a temporary file can be written");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a key that fits its certificate");
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), file }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(super) fn file(&self) -> &Path {
        self.file.path()
    }
}
