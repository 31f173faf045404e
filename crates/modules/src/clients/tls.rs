//! TLS for what is not HTTP: brokers that are called and syslog senders that call.
//!
//! The files are those of the HTTP listener and client, with the same meaning; *ring* is
//! named as the provider each time. Certificates are always verified: there is no switch.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use conche_runtime::egress::ClientTls;
use conche_runtime::listener::{ClientAuth, TlsConfig};
use conche_runtime::tls::provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A PEM file holds a few certificates. A larger one is the wrong file.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// TLS files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file is not there, not readable or not what it should be.
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    /// The parts do not fit together.
    #[error("the TLS files are refused: {0}")]
    Refused(String),
}

/// How to call a server: whom to trust and as whom to appear.
pub(crate) fn client(config: &ClientTls) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(roots(config.ca_file.as_deref())?);
    match (&config.certificate, &config.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(refused),
        _ => Err(Error::Refused(
            "`certificate` and `key` need each other".to_owned(),
        )),
    }
}

/// How to be called.
pub(crate) fn server(config: &TlsConfig) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let authorities = Arc::new(roots(Some(path))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider());
            let verifier = match config.client_certificate {
                ClientAuth::Required => verifier,
                ClientAuth::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| Error::Refused(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder
        .with_single_cert(
            certificates(&config.certificate)?,
            private_key(&config.key)?,
        )
        .map_err(refused)
}

fn refused(error: rustls::Error) -> Error {
    Error::Refused(error.to_string())
}

/// The authorities of a file, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(refused)?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, &error))?;
    if chain.is_empty() {
        return Err(unusable(path, &"it holds no PEM certificate"));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&pem(path)?).map_err(|error| unusable(path, &error))
}

/// The text of a PEM file.
pub(crate) fn pem(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| unusable(path, &error))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(unusable(path, &"it is larger than 4 MiB"));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}
