//! The HTTP listeners: bound early, so that a port in use is known before the store is
//! opened, and answering last, when there is something to answer with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use conche_modules::Source;
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
    soarca: Option<Listener>,
    openwhisk: Option<Listener>,
    /// Those of sources, by their ids.
    sources: BTreeMap<String, Listener>,
}

/// What the listeners answer with.
pub(crate) struct Routers {
    /// The native API.
    pub(crate) api: Router,
    /// The routes of all sources.
    pub(crate) webhooks: Router,
    /// `/metrics`.
    pub(crate) metrics: Router,
    /// The SOARCA-compatible API.
    pub(crate) soarca: Router,
    /// The embedded OpenWhisk host.
    pub(crate) openwhisk: Router,
    /// The routes of sources that have a listener of their own, by their ids.
    pub(crate) sources: BTreeMap<String, Router>,
}

/// Where the listeners answer, as `listening` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses(Vec<(String, SocketAddr)>);

impl Listeners {
    /// Binds the ports.
    pub(crate) async fn bind(
        config: &Config,
        sources: &[(String, Arc<dyn Source>)],
    ) -> Result<Self, Error> {
        let mut own = BTreeMap::new();
        for (id, source) in sources {
            let Some(mut listener) = source.listener() else {
                continue;
            };
            listener.allow_unauthenticated |= config.open;
            if let Some(listener) = bind(id, &listener).await? {
                own.insert(id.clone(), listener);
            }
        }
        Ok(Self {
            sources: own,
            api: bind("api", &config.api).await?,
            webhooks: bind("webhooks", &config.webhooks).await?,
            metrics: bind("metrics", &config.metrics).await?,
            soarca: bind("soarca", &config.soarca).await?,
            openwhisk: bind("openwhisk", &config.openwhisk_listener).await?,
        })
    }

    /// Where the embedded OpenWhisk host listens, where it does.
    pub(crate) fn openwhisk(&self) -> Option<SocketAddr> {
        self.openwhisk.as_ref().map(Listener::local_addr)
    }

    /// The TLS files of those that speak HTTPS, by listener.
    pub(crate) fn certificates(&self) -> Vec<(String, Certificates)> {
        let all = [
            ("api", &self.api),
            ("webhooks", &self.webhooks),
            ("metrics", &self.metrics),
            ("soarca", &self.soarca),
            ("openwhisk", &self.openwhisk),
        ];
        let of = |(name, listener): (&str, &Option<Listener>)| {
            Some((name.to_owned(), listener.as_ref()?.certificates()?))
        };
        let own =
            |(id, listener): (&String, &Listener)| Some((id.clone(), listener.certificates()?));
        let all = all.into_iter().filter_map(of);
        all.chain(self.sources.iter().filter_map(own)).collect()
    }

    /// Answers from now on.
    pub(crate) fn serve(self, mut routers: Routers, tasks: &Tasks) -> Addresses {
        let mut addresses = Vec::new();
        let mut serve = |name: &str, listener: Option<Listener>, router, stage, render: Render| {
            if let Some(listener) = listener {
                addresses.push((name.to_owned(), listener.local_addr()));
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
        serve(
            "soarca",
            self.soarca,
            routers.soarca,
            Stage::Api,
            conche_api::soarca::render,
        );
        // Functions are called by runs, so that they end after them.
        serve(
            "openwhisk",
            self.openwhisk,
            routers.openwhisk,
            Stage::Api,
            conche_openwhisk_host::render,
        );
        for (id, listener) in self.sources {
            let router = routers.sources.remove(&id).unwrap_or_default();
            serve(&id, Some(listener), router, Stage::Sources, problem_json);
        }
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
