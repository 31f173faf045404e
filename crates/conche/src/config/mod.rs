//! The configuration: one YAML file, over which the environment is laid.
//!
//! [`Authored`] is what a person wrote, with defaults for the rest; [`Config`] is what the
//! parts are built from. One file per section; the field documentation is the manual and,
//! through the JSON Schema, what editors show. An unknown key is an error that names its
//! line, its column and the key that was probably meant.
//!
//! Relative paths count from the directory that the server is started in. No value of a
//! secret is ever part of either form: secrets are named, and read where they are used.

mod api;
mod approvals;
mod checks;
mod fault;
mod functions;
mod limits;
mod masked;
mod metrics;
mod modules;
mod openwhisk;
mod overlay;
mod playbooks;
mod reactions;
mod recipes;
mod retention;
mod safety;
mod schema;
mod secrets;
mod soarca;
mod strangers;
mod webhooks;
mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use conche_core::place;
use conche_modules::config::SecretName;
use conche_modules::{NamedHost, Source};
use conche_runtime::egress::EgressConfig;
use conche_runtime::listener::{Auth, ListenerConfig};
use conche_runtime::secrets::{PlaybookGrants, SecretRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::csf::{self, Translated};
use crate::failure::Failure;

pub(crate) use conche_core::place::{Key, Place, find};
pub(crate) use fault::{Error, Fault, closest};
pub(crate) use modules::{ActionEntry, SourceEntry};
pub(crate) use openwhisk::{Host, Runtimes};
pub(crate) use overlay::{Variables, environment};
pub(crate) use playbooks::add_grants;
pub(crate) use reactions::Folder;
pub(crate) use schema::schema;

/// Read where no `--config` is given and this file exists.
pub(crate) const DEFAULT_FILE: &str = "conche.yaml";

/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The configuration of `conche serve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Conche configuration")]
pub(crate) struct Authored {
    /// The folder of the store; made, for its owner only, where it does not exist.
    /// Default: `./conche-data`.
    data_dir: PathBuf,
    /// The native API under `/api/v1`, `/healthz`, `/readyz` and `/metrics`.
    api: api::Api,
    /// The listener of all inbound webhooks.
    webhooks: webhooks::Webhooks,
    /// A further listener with `/metrics` only.
    metrics: metrics::Metrics,
    /// The listener of the SOARCA-compatible API.
    soarca: soarca::Soarca,
    /// OpenWhisk: the host for functions that comes with the program, and others.
    openwhisk: openwhisk::OpenWhisk,
    /// Reactions kept in files.
    reactions: reactions::Reactions,
    /// CACAO playbooks kept in files.
    playbooks: playbooks::Playbooks,
    /// Functions kept in files, for the embedded OpenWhisk host.
    functions: functions::Functions,
    /// Recipes, which are action modules described by data, kept in files.
    recipes: recipes::Recipes,
    /// Secrets by name, and where each value is found. Default: none.
    secrets: BTreeMap<String, SecretRef>,
    /// Where events come from. Default: none.
    sources: modules::Sources,
    /// Settings of action modules by module name. Default: none.
    actions: modules::Actions,
    /// What outgoing requests may reach and use.
    egress: EgressConfig,
    /// What people are asked.
    approvals: approvals::Approvals,
    /// Rails for what playbooks do.
    safety: safety::Safety,
    /// What events, runs and scripts may use.
    limits: limits::Limits,
    /// What is kept how long.
    retention: retention::Retention,
}

impl Default for Authored {
    fn default() -> Self {
        Self {
            data_dir: "./conche-data".into(),
            api: api::Api::default(),
            webhooks: webhooks::Webhooks::default(),
            metrics: metrics::Metrics::default(),
            soarca: soarca::Soarca::default(),
            openwhisk: openwhisk::OpenWhisk::default(),
            reactions: reactions::Reactions::default(),
            playbooks: playbooks::Playbooks::default(),
            functions: functions::Functions::default(),
            recipes: recipes::Recipes::default(),
            secrets: BTreeMap::new(),
            sources: Vec::new(),
            actions: BTreeMap::new(),
            egress: EgressConfig::default(),
            approvals: approvals::Approvals::default(),
            safety: safety::Safety::default(),
            limits: limits::Limits::default(),
            retention: retention::Retention::default(),
        }
    }
}

/// The configuration as the parts are built from it.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The folder of the store.
    pub(crate) data_dir: PathBuf,
    /// The API's listener.
    pub(crate) api: ListenerConfig,
    /// A token that the API takes beside the stored ones; only where `api.auth` is `token`.
    pub(crate) api_token: Option<SecretName>,
    /// The webhooks' listener.
    pub(crate) webhooks: ListenerConfig,
    /// The further listener for metrics.
    pub(crate) metrics: ListenerConfig,
    /// The listener of the SOARCA-compatible API.
    pub(crate) soarca: ListenerConfig,
    /// The embedded OpenWhisk host.
    pub(crate) openwhisk: Host,
    /// Other OpenWhisk hosts, by name.
    pub(crate) openwhisk_hosts: BTreeMap<String, NamedHost>,
    /// The embedded host's listener.
    pub(crate) openwhisk_listener: ListenerConfig,
    /// Whether all listeners, also those of sources, may be open to the network, as
    /// `--allow-unauthenticated` says.
    pub(crate) open: bool,
    /// The functions folder.
    pub(crate) functions: Folder,
    /// The reactions folder.
    pub(crate) reactions: Folder,
    /// The playbooks folder.
    pub(crate) playbooks: Folder,
    /// What playbooks may do with secrets.
    pub(crate) grants: PlaybookGrants,
    /// Where secrets are found.
    pub(crate) secrets: BTreeMap<String, SecretRef>,
    /// Sources in the order of the file; ids are unique.
    pub(crate) sources: Vec<SourceEntry>,
    /// Action modules in the order of their names.
    pub(crate) actions: Vec<ActionEntry>,
    /// What outgoing requests may reach.
    pub(crate) egress: EgressConfig,
    /// Rails for what playbooks do.
    pub(crate) safety: conche_engine::Safety,
    /// The engine's limits.
    pub(crate) engine: conche_engine::Config,
    /// The limits of one script call.
    pub(crate) script: conche_script::Limits,
    /// Script worker processes; `None` for what the machine suggests.
    pub(crate) script_workers: Option<usize>,
    /// What a payload may measure.
    pub(crate) json: conche_core::json::Limits,
    /// How long acts are kept.
    pub(crate) audit: std::time::Duration,
}

/// A configuration with where it came from, so that later faults can name their line.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// With defaults, as `config print` shows it.
    pub(crate) authored: Authored,
    /// What the parts are built from.
    pub(crate) config: Config,
    /// What is odd about the environment, or about CSF's folder, and yet no error.
    pub(crate) warnings: Vec<String>,
    /// The folder of CSF's that it was translated from.
    pub(crate) csf: Option<Translated>,
    text: Option<Text>,
}

/// A configuration file's text.
#[derive(Debug, Clone)]
struct Text {
    file: PathBuf,
    text: String,
}

impl Loaded {
    /// Reads `file`, else [`DEFAULT_FILE`] where it exists, else takes the defaults; then
    /// lays `variables` over it.
    pub(crate) fn load(file: Option<&Path>, variables: Variables) -> Result<Self, Error> {
        let default = Path::new(DEFAULT_FILE);
        let file = file.or_else(|| default.exists().then_some(default));
        let text = file.map(read).transpose()?;
        Self::parse(text, variables)
    }

    /// Translates a folder of CSF's, then lays `variables` over it.
    pub(crate) fn load_csf(dir: &Path, variables: Variables) -> Result<Self, Failure> {
        let translated = csf::read(dir).map_err(|error| Failure::Failed(error.to_string()))?;
        // JSON is YAML. Its lines are not those of a file that anybody wrote, so that faults
        // in it are named by their keys.
        let text = translated.config.to_string();
        let authored = yaml::parse(&text).map_err(|fault| Error::one(None, fault))?;
        let laid = Self::lay_over(authored, None, &text, variables);
        let mut loaded = laid.map_err(|error| translated.named(error))?;
        loaded.config.api.forms_from_programs = true;
        loaded.warnings.extend(translated.notes.iter().cloned());
        loaded.csf = Some(translated);
        Ok(loaded)
    }

    /// The built-in defaults, whatever files and variables there are.
    pub(crate) fn defaults() -> Self {
        let defaults = Self::parse(None, Variables::new());
        defaults.expect("the defaults are a configuration")
    }

    fn parse(text: Option<Text>, variables: Variables) -> Result<Self, Error> {
        let authored = match &text {
            Some(Text { file, text }) => {
                let parsed = yaml::parse(text);
                parsed.map_err(|fault| Error::one(Some(file), fault))?
            }
            None => Authored::default(),
        };
        let plain = text.as_ref().map_or("", |text| &text.text).to_owned();
        Self::lay_over(authored, text, &plain, variables)
    }

    /// Lays `variables` over what `plain` says and settles the rest.
    fn lay_over(
        authored: Authored,
        text: Option<Text>,
        plain: &str,
        variables: Variables,
    ) -> Result<Self, Error> {
        let warnings = overlay::strangers(&variables)?;
        let authored = overlay::apply(authored, plain, variables)?;
        let resolved = authored.clone().resolve();
        let config = resolved.map_err(|faults| locate(text.as_ref(), faults))?;
        Ok(Self {
            authored,
            config,
            warnings,
            csf: None,
            text,
        })
    }

    /// Checks what would keep a server from running by it. `open` allows every address
    /// without authentication, as `serve --allow-unauthenticated` does.
    pub(crate) fn for_a_server(mut self, open: bool) -> Result<Self, Error> {
        let config = &mut self.config;
        config.open = open;
        for listener in [
            &mut config.api,
            &mut config.webhooks,
            &mut config.metrics,
            &mut config.soarca,
            &mut config.openwhisk_listener,
        ] {
            listener.allow_unauthenticated |= open;
            let loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
            let is_public = listener.listen.is_some_and(|address| !loopback(address));
            // An address that others reach is called by names that nobody listed.
            if open && is_public && listener.auth == Auth::LoopbackOpen && listener.hosts.is_empty()
            {
                listener.auth = Auth::None;
            }
        }
        match checks::server(config) {
            faults if faults.is_empty() => Ok(self),
            faults => Err(self.locate(faults)),
        }
    }

    /// Checks the listeners that sources have for themselves, in the order of the file.
    pub(crate) fn check_own_listeners<'a>(
        &self,
        sources: impl Iterator<Item = &'a dyn Source>,
    ) -> Result<(), Error> {
        let mut faults = Vec::new();
        for (entry, source) in self.config.sources.iter().zip(sources) {
            if let Some(mut listener) = source.listener() {
                listener.allow_unauthenticated |= self.config.open;
                checks::own_listener(entry, &listener, &mut faults);
            }
        }
        match faults {
            faults if faults.is_empty() => Ok(()),
            faults => Err(self.locate(faults)),
        }
    }

    /// The file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        let text = self.text.as_ref().map(|text| text.file.as_path());
        text.or_else(|| self.csf.as_ref().map(|csf| csf.file.as_path()))
    }

    /// The places that name a secret, for people.
    pub(crate) fn users_of_secret(&self, name: &str) -> String {
        match secrets::users(&self.authored, name) {
            places if places.is_empty() => "nothing".to_owned(),
            places => places.join(", "),
        }
    }

    /// Gives faults that were found later their line and column.
    pub(crate) fn locate(&self, faults: Vec<Fault>) -> Error {
        let error = locate(self.text.as_ref(), faults);
        match &self.csf {
            Some(csf) => csf.named(error),
            None => error,
        }
    }
}

impl Config {
    /// The modules of the sources, by their ids.
    pub(crate) fn sources_by_id(&self) -> BTreeMap<String, &'static str> {
        let entries = self.sources.iter();
        entries
            .map(|entry| (entry.id.clone(), entry.module.name))
            .collect()
    }
}

impl Authored {
    /// Checks what the sections say about each other and translates them for the parts.
    fn resolve(self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        checks::values(&self, &mut faults);
        // Before the list of modules is looked at.
        faults.extend(self.recipes.add());
        let sources = modules::sources(self.sources, &mut faults);
        let actions = modules::actions(self.actions, &mut faults);
        let (api, api_token) = self.api.resolve(&self.secrets, &mut faults);
        let webhooks = self.webhooks.resolve(&sources, &mut faults);
        let engine = conche_engine::Config {
            remind_every: self.approvals.remind_every(),
            retention: self.retention.clone().resolve(),
            ..self.limits.engine()
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let (playbooks, grants) = self.playbooks.resolve();
        Ok(Config {
            audit: self.retention.audit(),
            data_dir: self.data_dir,
            api,
            api_token,
            webhooks,
            metrics: self.metrics.resolve(),
            soarca: self.soarca.resolve(),
            openwhisk_listener: self.openwhisk.host.listener(),
            openwhisk: self.openwhisk.host,
            open: false,
            functions: self.functions.resolve(),
            openwhisk_hosts: self.openwhisk.hosts,
            reactions: self.reactions.resolve(),
            playbooks,
            grants,
            secrets: self.secrets,
            sources,
            actions,
            egress: self.egress,
            safety: self.safety.resolve(),
            engine,
            script: self.limits.script(),
            script_workers: self.limits.script_workers(),
            json: self.limits.json(),
        })
    }
}

fn locate(text: Option<&Text>, mut faults: Vec<Fault>) -> Error {
    if let Some(Text { text, .. }) = text {
        for fault in &mut faults {
            fault.locate(text);
        }
    }
    Error::new(text.map(|text| text.file.as_path()), faults)
}

fn read(file: &Path) -> Result<Text, Error> {
    let cannot = |source: std::io::Error| Error::Read {
        file: file.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(file).map_err(cannot)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("the file has {bytes} bytes; at most {FILE_BYTES_MAX} are read");
        return Err(Error::one(Some(file), Fault::new(Place::top(), message)));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    Ok(Text {
        file: file.to_owned(),
        text,
    })
}

#[cfg(test)]
mod tests;
