//! `wss`, with a certificate of a CA that only the test knows.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use standpipe_client::{Client, Reconnect};
use tokio::join;
use tokio_rustls::TlsAcceptor;

use crate::support::{Peer, Server, config, until};

/// A CA's certificate as PEM, and a server's acceptor with a certificate of that CA for `localhost`.
fn authority() -> (String, TlsAcceptor) {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_server_with_a_trusted_certificate_is_followed_and_another_is_not() {
    let (pem, acceptor) = authority();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();

    let server = Server::new().await;
    let mut request = server.request(&["a"]);
    request.address = server.address.replace("127.0.0.1", "https://localhost").parse().unwrap();
    let mut config = config();
    config.reconnect = Reconnect::Never;

    let mut stranger = Client::new(request.clone(), config.clone()).unwrap();
    let (told, refused) =
        join!(until(&mut stranger, "forever"), async { acceptor.accept(server.accept_raw().await).await });
    assert!(told.contains("cannot establish TLS with localhost") && told.contains("UnknownIssuer"), "{told}");
    assert!(refused.is_err());

    config.extra_ca = Some(ca);
    let mut client = Client::new(request, config).unwrap();
    let (told, ()) = join!(until(&mut client, "8"), async {
        let stream = acceptor.accept(server.accept_raw().await).await.unwrap();
        let mut peer = Peer::accept(stream).await;
        peer.begin(7).await;
        peer.events([8]).await;
    });
    assert_eq!(told, "connected 8");
}
