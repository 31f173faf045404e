//! The one way to open an HTTP port.
//!
//! An own accept loop over hyper, because a plain `axum::serve` holds a
//! half-sent request for ever. Every wait for a peer is bounded: for its TLS
//! handshake, its headers, its body, its next request, and for it to take our
//! answer. So are the number of connections, in all and by peer, and the size
//! of headers and bodies. HTTP/2 is spoken only over TLS, where it is
//! negotiated: a plain connection is HTTP/1.1 from its first byte, so there is
//! no guessing phase that a silent peer could stay in.
//!
//! Nothing here knows a route, and no listener may start open to the network
//! without authentication unless its configuration says so.

mod body;
mod certificates;
mod config;
mod connections;
pub mod guard;
mod problem;
mod serve;
mod service;
mod stream;
mod subject;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use axum::Router;
use http::uri::Scheme;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

pub use self::{
    certificates::Certificates,
    config::{Auth, ClientAuth, Identify, ListenerConfig, ListenerLimits, TlsConfig},
    problem::{Problem, Render, problem_json},
};
use self::{serve::Serving, service::Shared};
use crate::{
    supervisor::{OnFailure, Stage, Tasks},
    tls,
};

/// A listener can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its `listen` is null.
    #[error("listener `{name}` has no address: set its `listen`")]
    Off {
        /// The listener's name.
        name: String,
    },
    /// It would be open to the network without authentication.
    #[error(
        "listener `{name}` on {address} would let anyone on the network in without authentication. \
         Set {identify} or listen on 127.0.0.1; or, to have it open, start with \
         --allow-unauthenticated or add this line to its section of Conche's configuration:\n  \
         allow_unauthenticated: true"
    )]
    Unauthenticated {
        /// The listener's name.
        name: String,
        /// The configured address.
        address: SocketAddr,
        /// What its section has to identify callers by.
        identify: Identify,
    },
    /// The address can't be listened on.
    #[error("listener `{name}` can't listen on {address}: {source}")]
    Bind {
        /// The listener's name.
        name: String,
        /// The configured address.
        address: SocketAddr,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// Its TLS files can't be used.
    #[error("listener `{name}`: {source}")]
    Tls {
        /// The listener's name.
        name: String,
        /// Which file, and why.
        source: tls::Error,
    },
}

/// Who sent a request; an extension of every request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address at the other end of the connection.
    pub address: SocketAddr,
    /// The verified client certificate, where one was shown.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

impl Peer {
    /// The name in the client certificate, where one was shown: `CN=` and its common name, or
    /// its fingerprint where it has none that is fit to show.
    pub fn subject(&self) -> Option<String> {
        let certificate = self.client_certificate.as_ref()?;
        Some(match subject::common_name(certificate.der()) {
            Some(name) => format!("CN={name}"),
            None => format!("sha256:{}", certificate.fingerprint()),
        })
    }
}

/// A client certificate that an authority of `client_ca` has issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(CertificateDer<'static>);

impl ClientCertificate {
    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// The SHA-256 of the certificate, in lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(&self.0) {
            // Writing to a String can't fail.
            write!(text, "{byte:02x}").ok();
        }
        text
    }
}

/// A bound port that doesn't answer yet.
#[derive(Debug)]
pub struct Listener {
    name: String,
    config: ListenerConfig,
    socket: TcpListener,
    local_addr: SocketAddr,
    certificates: Option<Certificates>,
    render: Render,
}

impl Listener {
    /// Checks the configuration, reads the TLS files and binds the port.
    ///
    /// `name` is the listener's section in the configuration, for messages.
    pub async fn bind(name: impl Into<String>, config: ListenerConfig) -> Result<Self, Error> {
        let name = name.into();
        let Some(address) = config.listen else {
            return Err(Error::Off { name });
        };
        let certificates = config.prepare(&name, address)?;
        let bound = TcpListener::bind(address)
            .await
            .and_then(|socket| Ok((socket.local_addr()?, socket)));
        match bound {
            Ok((local_addr, socket)) => Ok(Self {
                name,
                config,
                socket,
                local_addr,
                certificates,
                render: problem_json,
            }),
            Err(source) => Err(Error::Bind {
                name,
                address,
                source,
            }),
        }
    }

    /// The bound address, with the port that was given for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The TLS files in use, to reload them while serving; none without TLS.
    pub fn certificates(&self) -> Option<Certificates> {
        self.certificates.clone()
    }

    /// Answers the listener's own problems by `render` instead of
    /// [`problem_json`].
    #[must_use]
    pub fn render(mut self, render: Render) -> Self {
        self.render = render;
        self
    }

    /// Answers requests by `router` until `stage` is stopped; then finishes
    /// those in flight, for as long as the supervisor's grace lasts.
    ///
    /// With `auth: loopback-open` the router is put behind
    /// [`guard::loopback_open`]. With `auth: token` the router has to check
    /// tokens itself ([`guard::bearer`]), since its routes know the roles.
    pub fn serve(self, router: Router, tasks: &Tasks, stage: Stage) {
        let router = match self.config.auth {
            Auth::LoopbackOpen => {
                let scheme = match self.certificates {
                    Some(_) => Scheme::HTTPS,
                    None => Scheme::HTTP,
                };
                let own = guard::Own {
                    name: self.name.clone(),
                    scheme,
                    hosts: self.config.hosts.clone(),
                    forms_from_programs: self.config.forms_from_programs,
                    origins: self.config.origins.clone(),
                };
                guard::loopback_open(router, own, self.render)
            }
            Auth::Token | Auth::None => router,
        };
        let address = self.local_addr;
        if self.config.auth == Auth::Token && self.certificates.is_none() && !is_loopback(address) {
            tracing::warn!(listener = %self.name, %address, "tokens cross the network unencrypted: set `tls`");
        }
        tracing::info!(listener = %self.name, %address, tls = self.certificates.is_some(), "listening");
        let name = format!("listener {}", self.name);
        let shared = Shared {
            // The listener's own limit counts; a route may set a smaller one.
            router: router.layer(axum::extract::DefaultBodyLimit::disable()),
            limits: self.config.limits,
            render: self.render,
        };
        let serving = Serving::new(self.name, self.certificates, shared, tasks.clone(), stage);
        let mut parts = Some((serving, self.socket));
        tasks.spawn(name, stage, OnFailure::Shutdown, move |stop| {
            let parts = parts.take();
            async move {
                if let Some((serving, socket)) = parts {
                    serving.run(socket, stop).await;
                }
                Ok::<(), std::convert::Infallible>(())
            }
        });
    }
}

impl ListenerConfig {
    /// Checks all that [`Listener::bind`] does before it takes the port: that callers are known
    /// and that the TLS files fit each other. Reads those files; one that is off is in order.
    ///
    /// # Errors
    /// What [`Listener::bind`] would say.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        match self.listen {
            Some(address) => self.prepare(name, address).map(drop),
            None => Ok(()),
        }
    }

    fn prepare(&self, name: &str, address: SocketAddr) -> Result<Option<Certificates>, Error> {
        if self.is_open() && !self.allow_unauthenticated && !is_loopback(address) {
            return Err(Error::Unauthenticated {
                name: name.to_owned(),
                address,
                identify: self.identify,
            });
        }
        let certificates = self.tls.clone().map(Certificates::read).transpose();
        certificates.map_err(|source| Error::Tls {
            name: name.to_owned(),
            source,
        })
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
