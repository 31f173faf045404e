//! Builds parts from the configuration: what `serve`, `run`, `validate` and `config check`
//! share.
//!
//! Nothing here touches the network, the store or a secret's value; all that can be wrong
//! with a configuration, and with the files that it names, without those is found here, with
//! its line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use conche_modules::fins::Fins;
use conche_modules::{Action, ActionModule, BuildContext, BuildError, OpenWhiskHosts, Source};
use conche_runtime::clock::SystemClock;
use conche_runtime::egress::Egress;
use conche_runtime::secrets::Secrets;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks};
use conche_script::{Sandbox, WorkerCommand};

use crate::config::{Config, Fault, Key, Loaded, Place};
use crate::failure::Failure;

/// Built action modules as the engine takes them.
pub(crate) type Actions = BTreeMap<String, (Arc<dyn Action>, &'static ActionModule, usize)>;

/// Everything that is built from the configuration alone.
pub(crate) struct Parts {
    /// Secrets by name.
    pub(crate) secrets: Arc<Secrets>,
    /// Action modules.
    pub(crate) actions: Actions,
    /// SOARCA Fins, to be served beside the engine.
    pub(crate) fins: Arc<Fins>,
    /// OpenWhisk hosts by name; the embedded one is opened to the modules once it has started.
    pub(crate) openwhisk: Arc<OpenWhiskHosts>,
    /// Sources by id.
    pub(crate) sources: Vec<(String, Arc<dyn Source>)>,
}

impl Parts {
    /// Builds what the configuration names.
    pub(crate) fn build(loaded: &Loaded) -> Result<Self, Failure> {
        let config = &loaded.config;
        let secrets = Arc::new(Secrets::load(config.secrets.clone()));
        secrets.grant_to_playbooks(config.grants.clone());
        let egress = Egress::new(&config.egress).map_err(|error| {
            loaded.locate(vec![Fault::new(Place::of(&["egress"]), error.to_string())])
        })?;
        let named = config.openwhisk_hosts.clone();
        let openwhisk = OpenWhiskHosts::new(named, config.openwhisk.listen.is_some());
        let cx = BuildContext {
            decisions: Arc::default(),
            fins: Arc::default(),
            openwhisk: Arc::new(openwhisk),
            data_dir: Some(config.data_dir.clone()),
            secrets: secrets.clone(),
            egress: Arc::new(egress),
            clock: Arc::new(SystemClock),
            json: config.json,
        };
        let mut faults = hosts(&cx);
        let actions = actions(config, &cx, &mut faults);
        let sources = sources(config, &cx, &mut faults);
        if !faults.is_empty() {
            return Err(loaded.locate(faults).into());
        }
        Ok(Self {
            secrets,
            actions,
            fins: cx.fins,
            openwhisk: cx.openwhisk,
            sources,
        })
    }

    /// Builds what a server runs by: refuses also what would keep one from running.
    pub(crate) fn for_a_server(loaded: &Loaded) -> Result<Self, Failure> {
        let parts = Self::build(loaded)?;
        loaded.check_own_listeners(parts.sources.iter().map(|(_, source)| &**source))?;
        Ok(parts)
    }

    /// Serves the fins until the engine has ended: steps that are under way still need them.
    pub(crate) fn serve_fins(&self, tasks: &Tasks) {
        let fins = self.fins.clone();
        let restart = OnFailure::Restart(Backoff::default());
        tasks.spawn("fins", Stage::Api, restart, move |stop| {
            let fins = fins.clone();
            async move {
                fins.serve(stop).await;
                Ok::<(), Infallible>(())
            }
        });
    }
}

/// Starts the script workers: this same program, executed again and locked in.
pub(crate) async fn sandbox(config: &Config) -> Result<Sandbox, Failure> {
    let mut script = conche_script::Config::new(WorkerCommand::current_executable());
    script.limits = config.script;
    script.workers = config.script_workers.unwrap_or(script.workers);
    start_sandbox(script).await
}

/// Starts the workers of a sandbox.
pub(crate) async fn start_sandbox(script: conche_script::Config) -> Result<Sandbox, Failure> {
    Sandbox::start(script)
        .await
        .map_err(|error| Failure::of("can't start the script workers", error))
}

/// Every action module: those with settings must be right, those without are there where
/// they need none.
fn actions(config: &Config, cx: &BuildContext, faults: &mut Vec<Fault>) -> Actions {
    let mut built = Actions::new();
    for entry in &config.actions {
        match (entry.module.build)(entry.config.clone(), cx) {
            Ok(action) => {
                let name = entry.module.name.to_owned();
                built.insert(name, (action, entry.module, entry.concurrency));
            }
            Err(error) if entry.configured => faults.push(fault(&entry.place(), &error)),
            Err(_needs_settings) => {}
        }
    }
    built
}

fn sources(
    config: &Config,
    cx: &BuildContext,
    faults: &mut Vec<Fault>,
) -> Vec<(String, Arc<dyn Source>)> {
    let mut built = Vec::new();
    let mut paths: BTreeMap<String, &str> = BTreeMap::new();
    for entry in &config.sources {
        let source = match (entry.module.build)(&entry.id, entry.config.clone(), cx) {
            Ok(source) => source,
            Err(error) => {
                faults.push(fault(&entry.place(), &error));
                continue;
            }
        };
        // Its paths are on a listener of its own.
        let shared = source.listener().is_none();
        for path in source.paths().into_iter().filter(|_| shared) {
            if let Some(other) = paths.get(&path) {
                let message = format!("the source `{other}` has the path {path} already");
                faults.push(Fault::new(entry.place().then(Key::named("path")), message));
            }
            paths.insert(path, &entry.id);
        }
        built.push((entry.id.clone(), source));
    }
    built
}

/// What is wrong with the named OpenWhisk hosts.
fn hosts(cx: &BuildContext) -> Vec<Fault> {
    let flaws = cx.openwhisk.check(&cx.secrets);
    let flaw = |flaw: &BuildError| {
        let keys: Vec<&str> = flaw.place.splitn(3, '.').collect();
        fault(&Place::of(&keys), flaw)
    };
    flaws.iter().map(flaw).collect()
}

fn fault(place: &Place, error: &BuildError) -> Fault {
    Fault::from_message(place, &error.message)
}
