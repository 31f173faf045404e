//! Which host, and as whom: a host of the configuration by name, or what `wsk` would use.

use std::path::PathBuf;

use clap::Args;
use conche_modules::config::SecretName;
use conche_openwhisk::client::{Auth, Client, Error, Given, Properties, PropertiesError};
use conche_openwhisk::model::FullyQualifiedName;
use conche_runtime::secrets::Secrets;
use secrecy::SecretString;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::OutputArgs;
use crate::settings::ConfigArgs;

/// Which host, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// A host of the configuration, by its name under `openwhisk.hosts`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["apihost", "auth", "auth_file"])]
    host: Option<String>,
    /// The host [default: WHISK_APIHOST, else APIHOST in ~/.wskprops]
    #[arg(long, value_name = "URL")]
    apihost: Option<String>,
    /// The key, `user:key`; whoever sees the processes of this machine sees it
    #[arg(long, value_name = "KEY", conflicts_with = "auth_file")]
    auth: Option<SecretString>,
    /// A file that holds the key, `user:key` [default: WHISK_AUTH, else AUTH in ~/.wskprops]
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// The namespace of names that say none [default: NAMESPACE in ~/.wskprops, else the key's]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Authorities to trust beside those of the system, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Trust every certificate: whoever is in between can read and change all
    #[arg(long, short = 'i')]
    insecure: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// A client, and how names are read.
pub(super) struct Connected {
    pub(super) client: Client,
    properties: Properties,
}

impl Connect {
    pub(super) fn connect(&self) -> Result<Connected, Failure> {
        let mut given = Given {
            host: self.apihost.clone(),
            auth: None,
            namespace: self.namespace.clone(),
            ca_file: self.ca_file.clone(),
            insecure: self.insecure,
        };
        if let Some(text) = &self.auth {
            given.auth = Some(key(text)?);
        }
        if let Some(path) = &self.auth_file {
            let text = crate::input::text(path)?;
            given.auth = Some(key(&SecretString::from(text))?);
        }
        if let Some(name) = &self.host {
            self.configured(name, &mut given)?;
        }
        let properties = Properties::load(given);
        let properties = properties.map_err(|error| match error {
            PropertiesError::File { .. } => Failure::Failed(error.to_string()),
            other => Failure::Usage(other.to_string()),
        })?;
        let client = properties.client().map_err(failure)?;
        Ok(Connected { client, properties })
    }

    /// Reads a host of the configuration with its secret.
    fn configured(&self, name: &str, given: &mut Given) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let host = loaded.config.openwhisk_hosts.get(name).ok_or_else(|| {
            Failure::Usage(format!(
                "the configuration has no host `{name}` under openwhisk.hosts"
            ))
        })?;
        given.host = Some(host.url.clone());
        let secrets = Secrets::load(loaded.config.secrets.clone());
        let secret = |name: &Option<SecretName>| {
            let named = name.as_ref().map(|name| secrets.get(&name.secret));
            named
                .transpose()
                .map_err(|error| Failure::Failed(error.to_string()))
        };
        given.auth = match (secret(&host.auth)?, secret(&host.bearer)?) {
            (Some(text), _) => Some(key(&text)?),
            (None, Some(token)) => Some(Auth::Bearer(token)),
            (None, None) => Some(Auth::None),
        };
        Ok(())
    }
}

impl Connected {
    pub(super) fn name(&self, text: &str) -> Result<FullyQualifiedName, Failure> {
        let read = self.properties.name(text);
        read.map_err(|error| Failure::Usage(format!("`{text}`: {error}")))
    }

    /// As whom the host is asked.
    pub(super) fn auth(&self) -> &Auth {
        &self.properties.auth
    }

    /// The namespace of names that say none.
    pub(super) fn namespace(&self) -> &conche_openwhisk::model::Name {
        &self.properties.namespace
    }
}

fn key(text: &SecretString) -> Result<Auth, Failure> {
    Auth::parse_key(text).map_err(|error| Failure::Usage(error.to_string()))
}

/// What a person is told of a failure.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Invalid(message) => Failure::Usage(message),
        other => Failure::Failed(other.to_string()),
    }
}

/// An object as JSON, of what serialises.
pub(super) fn value(of: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::of("can't write the answer", error))
}
