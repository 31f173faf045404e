//! The listener's certificate and client authorities, replaceable while it runs.
//!
//! A reload reads all files again and takes effect for the next handshake, as
//! a whole or not at all: files that don't fit leave the old ones in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio_rustls::TlsAcceptor;

use super::config::{ClientAuth, TlsConfig};
use crate::tls::{self, Error};

/// The TLS files in use. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: TlsConfig,
    current: ArcSwap<ServerConfig>,
}

impl Certificates {
    pub(super) fn read(config: TlsConfig) -> Result<Self, Error> {
        let current = ArcSwap::from_pointee(build(&config)?);
        Ok(Self(Arc::new(Inner { config, current })))
    }

    /// Reads the files again. Connections that are open keep what they have.
    pub fn reload(&self) -> Result<(), Error> {
        self.0.current.store(Arc::new(build(&self.0.config)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current.load_full())
    }
}

fn build(config: &TlsConfig) -> Result<ServerConfig, Error> {
    let refused = |error: rustls::Error| Error::Refused(error.to_string());
    let mut built = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_client_cert_verifier(verifier(config)?)
        .with_single_cert(
            tls::read_certificates(&config.certificate)?,
            tls::read_key(&config.key)?,
        )
        .map_err(refused)?;
    built.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(built)
}

fn verifier(config: &TlsConfig) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let Some(path) = &config.client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = Arc::new(tls::read_roots(path)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, tls::provider());
    let builder = match config.client_certificate {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| Error::Refused(error.to_string()))
}
