//! The one TLS provider of the process: rustls over *ring*.
//!
//! Two providers in one binary make libraries that pick "the default" panic at
//! their first handshake. `main` therefore installs this one before anything
//! else; the code of this crate names it explicitly and needs no default.
//!
//! Nothing here may turn certificate checks off.

use std::{fs::File, io::Read, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
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

/// Reads the certificate chain in `path`, leaf first.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
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
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read_pem(path)?).map_err(|error| Error::Pem {
        path: path.to_owned(),
        expected: "private key",
        reason: error.to_string(),
    })
}

/// Reads the certificate authorities in `path`.
pub(crate) fn read_roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| Error::Refused(error.to_string()))?;
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
