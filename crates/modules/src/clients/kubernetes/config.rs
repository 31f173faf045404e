//! Which cluster, and as whom: a kubeconfig, or the service account of the pod we run in.
//!
//! Files are read when a connection is made and again whenever the server says that it does
//! not know us, so that rotated tokens and certificates count at once. A kubeconfig that asks
//! not to verify the server's certificate is refused: there is no switch for that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Error;

/// A connection that is not made by then is not made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Which cluster to speak to.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClusterConfig {
    /// A kubeconfig file; `~/` is the home folder. Default: the service account of the pod
    /// that Conche runs in.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: its current one.
    pub(crate) context: Option<String>,
}

impl ClusterConfig {
    /// Checks what can be checked without the network: the kubeconfig can be read, has the
    /// context, and verifies its server.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(path) = &self.kubeconfig else {
            return match self.context {
                Some(_) => Err(Error::Config(
                    "`context` names one of a kubeconfig: write `kubeconfig` too".to_owned(),
                )),
                None => Ok(()),
            };
        };
        let file = read(path)?;
        let context = self.context.as_ref().or(file.current_context.as_ref());
        let Some(context) = context else {
            return Err(unusable(path, "it has no current context: write `context`"));
        };
        let named = file.contexts.iter().find(|named| named.name == *context);
        let Some(cluster) = named.and_then(|named| Some(&named.context.as_ref()?.cluster)) else {
            let wrong = format!("it has no context `{context}`");
            return Err(unusable(path, &wrong));
        };
        let named = file.clusters.iter().find(|named| named.name == *cluster);
        match named.and_then(|named| named.cluster.as_ref()) {
            None => Err(unusable(path, &format!("it has no cluster `{cluster}`"))),
            Some(cluster) if cluster.insecure_skip_tls_verify == Some(true) => Err(unverified()),
            Some(_) => Ok(()),
        }
    }

    /// Reads the files, as they are now.
    pub(super) async fn load(&self) -> Result<kube::Config, Error> {
        let mut config = match &self.kubeconfig {
            None => kube::Config::incluster().map_err(|error| {
                let error = with_sources(&error);
                Error::Config(format!("no `kubeconfig`, and this is no pod: {error}"))
            })?,
            Some(path) => {
                let options = KubeConfigOptions {
                    context: self.context.clone(),
                    ..KubeConfigOptions::default()
                };
                kube::Config::from_custom_kubeconfig(read(path)?, &options)
                    .await
                    .map_err(|error| unusable(path, &with_sources(&error)))?
            }
        };
        if config.accept_invalid_certs {
            return Err(unverified());
        }
        let host = config.cluster_url.host().unwrap_or_default();
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if config.cluster_url.scheme_str() != Some("https") && !is_loopback {
            return Err(Error::Config(format!(
                "the server `{host}` is called without TLS: write https://"
            )));
        }
        config.connect_timeout = Some(CONNECT_WITHIN);
        // Whoever calls decides what is tried again, and when.
        config.default_retry = false;
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Kubeconfig, Error> {
    let home = std::env::home_dir();
    let file = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    Kubeconfig::read_from(file).map_err(|error| unusable(path, &with_sources(&error)))
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Config(format!("{}: {reason}", path.display()))
}

fn unverified() -> Error {
    Error::Config(
        "`insecure-skip-tls-verify` is refused: give the cluster's `certificate-authority`"
            .to_owned(),
    )
}

/// An error with what is behind it, once each.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, context: Option<&str>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, text).unwrap();
        let config = ClusterConfig {
            kubeconfig: Some(path),
            context: context.map(str::to_owned),
        };
        config
            .check()
            .map_or_else(|error| error.to_string(), |()| "right".to_owned())
    }

    #[test]
    fn a_kubeconfig_is_checked_before_anything_is_called() {
        let whole = "
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}, {name: odd, context: {cluster: d, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:6443'}}]
users: [{name: u, user: {token: t}}]
";
        assert_eq!(check(whole, None), "right");
        assert!(check(whole, Some("there")).contains("no context `there`"));
        assert!(check(whole, Some("odd")).contains("no cluster `d`"));
        let blind = whole.replace("6443'", "6443', insecure-skip-tls-verify: true");
        assert!(check(&blind, None).contains("is refused"));
        assert!(check("", None).contains("no current context"));
        assert!(check("a: [", None).contains("config"));
        let absent = ClusterConfig {
            kubeconfig: Some("no/such/file".into()),
            context: None,
        };
        assert!(absent.check().is_err());
    }
}
