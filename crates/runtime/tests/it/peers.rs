//! The other end of the wire: listeners to test, raw clients that behave
//! badly, servers that don't answer, and certificates.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use conche_runtime::{
    listener::{Auth, Listener, ListenerConfig, ListenerLimits},
    supervisor::{Grace, Report, Stage, Supervisor},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `work`, but not for ever.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("nothing happened in time")
}

/// A listener under test with its supervisor.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) supervisor: Supervisor,
}

/// A plain listener with these limits on a free port.
pub(crate) fn plain(limits: ListenerLimits) -> ListenerConfig {
    ListenerConfig {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        auth: Auth::None,
        limits,
        ..ListenerConfig::default()
    }
}

pub(crate) async fn serve(config: ListenerConfig, router: Router) -> Served {
    let supervisor = Supervisor::new();
    let listener = Listener::bind("test", config).await.unwrap();
    let address = listener.local_addr();
    listener.serve(router, &supervisor.tasks(), Stage::Api);
    Served {
        address,
        supervisor,
    }
}

impl Served {
    pub(crate) async fn connect(&self) -> Wire {
        Wire(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) async fn shutdown(self, seconds: u64) -> Report {
        let limit = Duration::from_secs(seconds);
        let grace = Grace {
            per_stage: limit,
            total: limit,
        };
        soon(self.supervisor.shutdown(grace)).await
    }
}

/// A client that writes and reads bytes.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Everything up to the end of the connection; a reset ends it too.
    pub(crate) async fn rest(&mut self) -> String {
        let mut read = Vec::new();
        soon(self.0.read_to_end(&mut read)).await.ok();
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Reads until `end` has arrived.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut read = String::new();
        while !read.ends_with(end) {
            let byte = soon(self.0.read_u8()).await;
            read.push(char::from(byte.unwrap_or_else(|error| {
                panic!("the connection ended with {error} after {read:?}")
            })));
        }
        read
    }

    /// Whether the connection is closed, without waiting for it.
    pub(crate) fn is_closed(&self) -> bool {
        match self.0.try_read(&mut [0; 4096]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// An authority and the files of what it issued.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Issues a certificate for `host`; replaces an earlier one of that `name`.
    pub(crate) fn issue(&self, name: &str, host: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let issued = Issued {
            certificate: self.file.with_file_name(format!("{name}.crt")),
            key: self.file.with_file_name(format!("{name}.key")),
            der: certificate.der().to_vec(),
        };
        std::fs::write(&issued.certificate, certificate.pem()).unwrap();
        std::fs::write(&issued.key, key.serialize_pem()).unwrap();
        issued
    }
}
