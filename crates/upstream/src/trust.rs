//! Whom an encrypted connection to a feed trusts.
//!
//! The certificate authorities of the machine; Mozilla's, as compiled in, where the machine has none; or, if the
//! configuration names a file, those in it and no others. Names and dates of certificates are always checked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::error::Error;

/// Reads the authorities, `ca_file` or the public ones, and makes a TLS configuration of them.
pub(crate) async fn trusted(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Error> {
    let read = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref())).await;
    read.map_err(|e| Error::Internal(format!("reading the certificate authorities failed: {e}")))?
}

/// Reads files: not for a worker thread.
fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let roots = match ca_file {
        Some(path) => named(path)?,
        None => public(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| Error::Internal(format!("no TLS is possible: {e}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn public() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read is left out: one bad file must not take the good ones away.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn named(path: &Path) -> Result<RootCertStore, Error> {
    let unusable = |reason: String| Error::Authorities { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("it holds no certificate".to_owned())) } else { Ok(roots) }
}
