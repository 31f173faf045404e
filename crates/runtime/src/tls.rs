//! The one TLS provider of the process: rustls over *ring*.
//!
//! Two providers in one binary make libraries that pick "the default" panic at
//! their first handshake. `main` therefore installs this one before anything
//! else; the code of ours names it explicitly and needs no default.
//!
//! What a configuration names becomes TLS here and nowhere else, for HTTP as for
//! brokers and syslog. Nothing here may turn certificate checks off.

use std::{fs::File, io::Read, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{
    egress::ClientTls,
    listener::{ClientAuth, TlsConfig},
};

/// A PEM file holds a few certificates. A larger one is the wrong file.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// A certificate, key or authority file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The configured file.
        path: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// The file is not PEM or is larger than 4 MiB.
    #[error("{} is not a PEM file with a {expected}: {reason}", path.display())]
    Pem {
        /// The configured file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// What was found instead.
        reason: String,
    },
    /// The parts don't fit together, such as a key of another certificate.
    #[error("the TLS files are refused: {0}")]
    Refused(String),
}

impl Error {
    /// The file that can't be used; none where it is how the files go together.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. } | Self::Pem { path, .. } => Some(path),
            Self::Refused(_) => None,
        }
    }
}

/// The cryptography that all TLS of this process uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes *ring* the default for libraries that ask for the process default.
///
/// Call it first in `main`. Calling it again does nothing.
pub fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // A second caller may win the race; it installs the same provider.
        drop(ring::default_provider().install_default());
    }
}

/// How to call a server: whom to trust and as whom to appear. Reads the files; ALPN is the
/// caller's.
///
/// # Errors
/// A file that can't be used is named; so is a certificate without its key.
pub fn client(config: &ClientTls) -> Result<ClientConfig, Error> {
    let roots = match &config.ca_file {
        Some(path) => read_roots(path)?,
        None => system_roots(),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(roots);
    match (&config.certificate, &config.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(read_certificates(certificate)?, read_key(key)?)
            .map_err(refused),
        _ => Err(Error::Refused(
            "`certificate` and `key` need each other".to_owned(),
        )),
    }
}

/// How to be called. Reads the files; ALPN is the caller's.
///
/// # Errors
/// A file that can't be used is named; so is a key of another certificate.
pub fn server(config: &TlsConfig) -> Result<ServerConfig, Error> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_client_cert_verifier(verifier(config)?)
        .with_single_cert(
            read_certificates(&config.certificate)?,
            read_key(&config.key)?,
        )
        .map_err(refused)
}

fn verifier(config: &TlsConfig) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let Some(path) = &config.client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = Arc::new(read_roots(path)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let builder = match config.client_certificate {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| Error::Refused(error.to_string()))
}

fn refused(error: rustls::Error) -> Error {
    Error::Refused(error.to_string())
}

fn system_roots() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems ship certificates that webpki can't use; the others count.
    let (usable, _) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        tracing::warn!("this system has no certificate authorities: TLS needs `ca_file`");
    }
    roots
}

/// Reads the certificate chain in `path`, leaf first.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read_pem(path)?;
    let refuse = |reason: String| Error::Pem {
        path: path.to_owned(),
        expected: "certificate",
        reason,
    };
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refuse(error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse("it holds none".to_owned()));
    }
    Ok(chain)
}

/// Reads the private key in `path`.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read_pem(path)?).map_err(|error| Error::Pem {
        path: path.to_owned(),
        expected: "private key",
        reason: error.to_string(),
    })
}

/// Reads the certificate authorities in `path`.
fn read_roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

fn read_pem(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(PEM_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(Error::Pem {
            path: path.to_owned(),
            expected: "certificate or key",
            reason: "it is larger than 4 MiB".to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_the_provider_twice_is_harmless() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(CryptoProvider::get_default().is_some());
    }

    #[test]
    fn a_file_without_a_certificate_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        std::fs::write(&path, "nothing").unwrap();
        let error = read_certificates(&path).unwrap_err();
        assert!(error.to_string().contains("empty.pem"), "{error}");
        assert!(matches!(
            read_key(&folder.path().join("absent.pem")),
            Err(Error::Read { .. })
        ));
    }
}
