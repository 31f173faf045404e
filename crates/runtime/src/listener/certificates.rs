//! The listener's certificate and client authorities, replaceable while it runs.
//!
//! A reload reads all files again and takes effect for the next handshake, as
//! a whole or not at all: files that don't fit leave the old ones in use.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use super::config::TlsConfig;
use crate::tls::{self, Error};

/// The TLS files in use. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: TlsConfig,
    current: ArcSwap<ServerConfig>,
    /// What the files held when they were last looked at, whether they fitted or not.
    seen: Mutex<Seen>,
}

/// The digest of each file; none for one that couldn't be read.
type Seen = Vec<Option<[u8; 32]>>;

impl Certificates {
    pub(super) fn read(config: TlsConfig) -> Result<Self, Error> {
        let seen = Mutex::new(look(&config));
        let current = ArcSwap::from_pointee(build(&config)?);
        Ok(Self(Arc::new(Inner {
            config,
            current,
            seen,
        })))
    }

    /// Reads the files again. Connections that are open keep what they have.
    pub fn reload(&self) -> Result<(), Error> {
        self.0.current.store(Arc::new(build(&self.0.config)?));
        Ok(())
    }

    /// Reads the files again if any has changed since the last look; whether one had. Files that
    /// don't fit are an error once, not at every look. Blocks for the time of reading them.
    ///
    /// What they hold counts, not their times: a file that is replaced through a symbolic link
    /// may look older than the one before.
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let now = look(&self.0.config);
        let before = {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *seen, now.clone())
        };
        if before == now {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current.load_full())
    }
}

fn look(config: &TlsConfig) -> Seen {
    let files = [
        Some(&config.certificate),
        Some(&config.key),
        config.client_ca.as_ref(),
    ];
    let digest = |path| {
        std::fs::read(path)
            .ok()
            .map(|bytes| Sha256::digest(bytes).into())
    };
    files.into_iter().flatten().map(digest).collect()
}

fn build(config: &TlsConfig) -> Result<ServerConfig, Error> {
    let mut built = tls::server(config)?;
    built.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(built)
}
