//! The HTTP listeners: bound early, so that a port in use is known before the store is
//! opened, and answering last, when there is something to answer with.

use std::fmt;
use std::net::SocketAddr;

use axum::Router;
use conche_runtime::listener::{
    Certificates, Error, Listener, ListenerConfig, Render, problem_json,
};
use conche_runtime::supervisor::{Stage, Tasks};

use crate::config::Config;

/// Bound listeners, by the sections that configure them; those that are off are absent.
pub(crate) struct Listeners {
    api: Option<Listener>,
    webhooks: Option<Listener>,
    metrics: Option<Listener>,
}

/// What the listeners answer with.
pub(crate) struct Routers {
    /// The native API.
    pub(crate) api: Router,
    /// The routes of all sources.
    pub(crate) webhooks: Router,
    /// `/metrics`.
    pub(crate) metrics: Router,
}

/// Where the listeners answer, as `listening` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses(Vec<(&'static str, SocketAddr)>);

impl Listeners {
    /// Binds the ports.
    pub(crate) async fn bind(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            api: bind("api", &config.api).await?,
            webhooks: bind("webhooks", &config.webhooks).await?,
            metrics: bind("metrics", &config.metrics).await?,
        })
    }

    /// The TLS files of those that speak HTTPS, by listener.
    pub(crate) fn certificates(&self) -> Vec<(&'static str, Certificates)> {
        let all = [
            ("api", &self.api),
            ("webhooks", &self.webhooks),
            ("metrics", &self.metrics),
        ];
        let of = |(name, listener): (_, &Option<Listener>)| {
            Some((name, listener.as_ref()?.certificates()?))
        };
        all.into_iter().filter_map(of).collect()
    }

    /// Answers from now on.
    pub(crate) fn serve(self, routers: Routers, tasks: &Tasks) -> Addresses {
        let mut addresses = Vec::new();
        let mut serve = |name, listener: Option<Listener>, router, stage, render: Render| {
            if let Some(listener) = listener {
                addresses.push((name, listener.local_addr()));
                listener.render(render).serve(router, tasks, stage);
            }
        };
        serve("api", self.api, routers.api, Stage::Api, conche_api::render);
        // Webhooks bring work in: they stop with the sources.
        serve(
            "webhooks",
            self.webhooks,
            routers.webhooks,
            Stage::Sources,
            problem_json,
        );
        serve(
            "metrics",
            self.metrics,
            routers.metrics,
            Stage::Api,
            problem_json,
        );
        Addresses(addresses)
    }
}

async fn bind(name: &str, config: &ListenerConfig) -> Result<Option<Listener>, Error> {
    if config.listen.is_none() {
        return Ok(None);
    }
    Listener::bind(name, config.clone()).await.map(Some)
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("listening")?;
        self.0
            .iter()
            .try_for_each(|(name, address)| write!(f, " {name}={address}"))
    }
}
