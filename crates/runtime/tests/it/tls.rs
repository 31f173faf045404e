//! TLS, client certificates, HTTP/2 and reloading, through our own client.

use std::{path::Path, time::Duration};

use axum::{Extension, Router, routing::get};
use bytes::Bytes;
use conche_runtime::{
    egress::{ClientTls, Egress, EgressConfig, Error, Request},
    listener::{
        Auth, ClientAuth, Error as ListenError, Listener, ListenerConfig, ListenerLimits, Peer,
        TlsConfig,
    },
    supervisor::{Stage, Supervisor},
    units::Span,
};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tower::Service;

use crate::peers::{Authority, Issued, Wire, plain, serve, soon};

fn router() -> Router {
    let route = get(
        |version: http::Version, Extension(peer): Extension<Peer>| async move {
            let fingerprint = peer.client_certificate.as_ref();
            let fingerprint = fingerprint.map(|certificate| certificate.fingerprint());
            let subject = peer.subject().unwrap_or_default();
            format!("{version:?} {} {subject}", fingerprint.unwrap_or_default())
        },
    );
    Router::new().route("/", route)
}

fn config(issued: &Issued, client_ca: Option<&Authority>) -> ListenerConfig {
    ListenerConfig {
        tls: Some(TlsConfig {
            certificate: issued.certificate.clone(),
            key: issued.key.clone(),
            client_ca: client_ca.map(|authority| authority.file.clone()),
            client_certificate: ClientAuth::Required,
        }),
        ..plain(ListenerLimits::default())
    }
}

/// A client that trusts the authority in `ca_file`.
fn client(ca_file: &Path, own: Option<&Issued>) -> Egress {
    Egress::new(&EgressConfig {
        allow: vec!["127.0.0.1".parse().unwrap()],
        tls: ClientTls {
            ca_file: Some(ca_file.to_owned()),
            certificate: own.map(|own| own.certificate.clone()),
            key: own.map(|own| own.key.clone()),
        },
        ..EgressConfig::default()
    })
    .unwrap()
}

#[tokio::test]
async fn http2_is_negotiated_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let served = serve(
        config(&authority.issue("server", "127.0.0.1"), None),
        router(),
    )
    .await;
    let client = client(&authority.file, None);
    let url = format!("https://{}/", served.address);
    let response = soon(client.request(Request::get(&url))).await.unwrap();
    assert_eq!(response.body, "HTTP/2.0  ");
    assert_eq!(served.shutdown(5).await.stragglers, []);
}

#[tokio::test]
async fn an_http2_stream_that_takes_nothing_ends_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let mut config = config(&authority.issue("server", "127.0.0.1"), None);
    config.limits.write_idle = Span::from_millis(300);
    let large = get(|| async { vec![b'x'; 8 << 20] });
    let served = serve(config, Router::new().route("/", large)).await;
    let url = format!("https://{}/", served.address);
    let mut connector = client(&authority.file, None).connector();
    let stream = soon(connector.call(url.parse().unwrap())).await.unwrap();
    let (mut requests, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    let request = http::Request::get(&url)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let (ended, response) = soon(async {
        tokio::join!(connection, async {
            let response = requests.send_request(request).await.unwrap();
            (requests, response)
        })
    })
    .await;
    assert!(
        ended.is_err(),
        "the server ended it while the body was unread"
    );
    assert_eq!(response.1.status(), 200);
}

#[tokio::test]
async fn a_client_certificate_is_demanded_verified_and_told_to_the_route() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let clients = Authority::new(folder.path(), "clients");
    let server = authority.issue("server", "127.0.0.1");
    let served = serve(config(&server, Some(&clients)), router()).await;
    let url = format!("https://{}/", served.address);

    let known = clients.issue("known", "soc.lan");
    let response = soon(client(&authority.file, Some(&known)).request(Request::get(&url))).await;
    let fingerprint = format!("{:x}", Sha256::digest(&known.der));
    assert_eq!(
        response.unwrap().body,
        format!("HTTP/2.0 {fingerprint} CN=known")
    );

    let foreign = authority.issue("foreign", "soc.lan");
    for own in [None, Some(&foreign)] {
        let refused = soon(client(&authority.file, own).request(Request::get(&url))).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}

#[tokio::test]
async fn a_required_client_certificate_counts_as_authentication() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let mut config = ListenerConfig {
        listen: Some(std::net::SocketAddr::from(([0, 0, 0, 0], 0))),
        auth: Auth::None,
        ..config(&authority.issue("server", "127.0.0.1"), Some(&authority))
    };
    assert!(Listener::bind("api", config.clone()).await.is_ok());
    config.tls.as_mut().unwrap().client_certificate = ClientAuth::Optional;
    let refused = Listener::bind("api", config).await;
    assert!(matches!(refused, Err(ListenError::Unauthenticated { .. })));
}

#[tokio::test]
async fn new_files_count_after_a_reload_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (
        Authority::new(folder.path(), "old"),
        Authority::new(folder.path(), "new"),
    );
    let supervisor = Supervisor::new();
    let issued = old.issue("server", "127.0.0.1");
    let listener = Listener::bind("test", config(&issued, None)).await.unwrap();
    let certificates = listener.certificates().unwrap();
    let url = format!("https://{}/", listener.local_addr());
    listener.serve(router(), &supervisor.tasks(), Stage::Api);
    let answers = async |authority: &Authority| {
        let client = client(&authority.file, None);
        soon(client.request(Request::get(&url))).await.is_ok()
    };
    assert_eq!((answers(&old).await, answers(&new).await), (true, false));

    new.issue("server", "127.0.0.1");
    assert_eq!(
        (answers(&old).await, answers(&new).await),
        (true, false),
        "not yet reloaded"
    );
    certificates.reload().unwrap();
    assert_eq!((answers(&old).await, answers(&new).await), (false, true));

    std::fs::write(&issued.key, "broken").unwrap();
    let error = certificates.reload().unwrap_err().to_string();
    assert!(error.contains("server.key"), "{error}");
    assert_eq!((answers(&old).await, answers(&new).await), (false, true));

    // Looked at now and then, files that don't fit are told once.
    assert!(certificates.reload_if_changed().is_err());
    assert!(!certificates.reload_if_changed().unwrap());
    assert_eq!((answers(&old).await, answers(&new).await), (false, true));
    old.issue("server", "127.0.0.1");
    assert!(certificates.reload_if_changed().unwrap());
    assert_eq!((answers(&old).await, answers(&new).await), (true, false));
    assert!(!certificates.reload_if_changed().unwrap());
}

#[tokio::test]
async fn a_handshake_that_stops_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let mut config = config(&authority.issue("server", "127.0.0.1"), None);
    config.limits.header_read = Span::from_millis(300);
    let served = serve(config, router()).await;
    let mut wire: Wire = served.connect().await;
    // The first bytes of a ClientHello record that never comes.
    wire.send([0x16, 0x03, 0x01, 0x02, 0x00]).await;
    let began = Instant::now();
    wire.rest().await;
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_means_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let other = Authority::new(folder.path(), "other");
    let served = serve(
        config(&authority.issue("server", "127.0.0.1"), None),
        router(),
    )
    .await;
    let wrong_name = serve(config(&authority.issue("named", "soc.lan"), None), router()).await;
    for (trusted, served) in [(&other, &served), (&authority, &wrong_name)] {
        let client = client(&trusted.file, None);
        let url = format!("https://{}/", served.address);
        let error = soon(client.request(Request::post(&url, "x")))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::NotSent { reason, .. } if reason.starts_with("TLS: ")),
            "{error}"
        );
    }
}
