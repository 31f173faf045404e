//! `vuls`: what is installed on an instance, and what is known to be wrong with it.
//!
//! vuls itself is run, as a program of this machine or as a container, or a vuls server is
//! asked. It is GPL: it is only ever run, never linked. A scan changes nothing, so it may be
//! repeated. It logs in only where it knows the host's key, whatever a script asks for: that
//! list is the operator's, and so are key, databases and engine.

mod docker;
mod input;
mod program;
mod report;
mod server;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::json::Limits;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::clock::SharedClock;
use conche_runtime::secrets::Secrets;
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::docker::Engine;
use self::input::{Input, Target};
use self::program::Program;
use self::report::Scanned;
use self::server::Server;
use self::work::{Places, Work, steps};
use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "vuls",
    summary: "Looks for known vulnerabilities on an instance, by vuls.",
    actions: &[ActionSpec {
        name: "scan_instance",
        summary: "Scans an instance and reports what is known to be wrong with it.",
        input: &settings::schema::<Input>,
        output: &settings::schema::<Scanned>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.vuls";

/// Left of a call's time for removing what was started.
const ENDING: Duration = Duration::from_secs(2);

/// Settings of `vuls`. Exactly one of `program`, `docker_endpoint` and `server` must be there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The absolute path of vuls on this machine. Default: none.
    #[serde(default)]
    program: Option<PathBuf>,
    /// The socket of a Docker engine that runs vuls, as `unix:///var/run/docker.sock`.
    /// Default: none.
    #[serde(default)]
    docker_endpoint: Option<String>,
    /// The URL of a vuls server, as `http://127.0.0.1:5515`. Default: none.
    #[serde(default)]
    server: Option<String>,
    /// The image that the engine runs. Default: `vuls/vuls:latest`.
    #[serde(default = "default_image")]
    image: String,
    /// The private key that vuls logs in with. Default: what ssh finds.
    #[serde(default)]
    ssh_key_path: Option<PathBuf>,
    /// The keys of the hosts that may be scanned, in ssh's format. Default: ssh's own file.
    #[serde(default)]
    known_hosts_path: Option<PathBuf>,
    /// The folder of vuls' databases. Default: none.
    #[serde(default)]
    db_path: Option<PathBuf>,
    /// The folder of vuls' logs. Default: they go with the scan.
    #[serde(default)]
    logs_path: Option<PathBuf>,
    /// Whether the container gets the engine's socket, and with it the machine. Default: false.
    #[serde(default)]
    use_host_docker_socket: bool,
    /// Further tables of vuls' `config.toml`, such as `vuls2` or `cveDict`. Default: none.
    #[serde(default)]
    tables: BTreeMap<String, Value>,
    /// A scan takes no longer, nor longer than the action may. Default: `30m`.
    #[serde(default = "default_timeout")]
    timeout: Span,
}

fn default_image() -> String {
    "vuls/vuls:latest".to_owned()
}

const fn default_timeout() -> Span {
    Span::from_secs(30 * 60)
}

/// What runs vuls.
enum Runner {
    Program(Program),
    Engine(Engine),
    Server(Server),
}

struct Vuls {
    runner: Runner,
    /// As vuls sees them; without the folder where that is another for each scan.
    places: Places,
    tables: BTreeMap<String, Value>,
    timeout: Duration,
    secrets: Arc<Secrets>,
    clock: SharedClock,
    limits: Limits,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let (runner, places) =
        runner(&config, cx).map_err(|message| settings::error(PLACE, message))?;
    Ok(Arc::new(Vuls {
        runner,
        places,
        tables: config.tables,
        timeout: config.timeout.duration(),
        secrets: cx.secrets.clone(),
        clock: cx.clock.clone(),
        limits: cx.json,
    }))
}

fn runner(config: &Config, cx: &BuildContext) -> Result<(Runner, Places), String> {
    for path in paths(config) {
        let text = path.to_str().unwrap_or_default();
        if !path.is_absolute() || text.is_empty() || text.contains(['"', '\n', '\r', '\0']) {
            return Err(format!("`{}` must be an absolute path", path.display()));
        }
    }
    let own = Places {
        folder: PathBuf::new(),
        logs: config.logs_path.clone(),
        ssh_key: config.ssh_key_path.clone(),
        known_hosts: config.known_hosts_path.clone(),
    };
    match (&config.program, &config.docker_endpoint, &config.server) {
        (Some(path), None, None) => {
            let program = Program {
                path: path.clone(),
                databases: config.db_path.clone(),
            };
            Ok((Runner::Program(program), own))
        }
        (None, Some(endpoint), None) => engine(config, endpoint),
        (None, None, Some(url)) => {
            url::Url::parse(url).map_err(|error| format!("`server`: {error}"))?;
            let server = Server {
                url: url.clone(),
                egress: cx.egress.clone(),
            };
            Ok((Runner::Server(server), own))
        }
        _ => Err("write exactly one of `program`, `docker_endpoint` and `server`".to_owned()),
    }
}

fn paths(config: &Config) -> impl Iterator<Item = &Path> {
    let all = [
        &config.program,
        &config.ssh_key_path,
        &config.known_hosts_path,
        &config.db_path,
        &config.logs_path,
    ];
    all.into_iter().flatten().map(PathBuf::as_path)
}

/// A container sees key, databases and logs where its image expects them.
fn engine(config: &Config, endpoint: &str) -> Result<(Runner, Places), String> {
    let Some(socket) = endpoint
        .strip_prefix("unix://")
        .filter(|path| path.starts_with('/'))
    else {
        return Err(
            "`docker_endpoint` must be a socket, as `unix:///var/run/docker.sock`".to_owned(),
        );
    };
    let mut binds = Vec::new();
    let mut bind = |from: &Option<PathBuf>, to: &str, mode: &str| match from {
        None => Ok(None),
        Some(from) if from.display().to_string().contains(':') => Err(format!(
            "`{}` has a `:`, which no bind can have",
            from.display()
        )),
        Some(from) => {
            binds.push(format!("{}:{to}{mode}", from.display()));
            Ok(Some(PathBuf::from(to)))
        }
    };
    bind(&config.db_path, "/vuls", "")?;
    let places = Places {
        folder: docker::FOLDER.into(),
        logs: bind(&config.logs_path, "/var/log/vuls", "")?,
        ssh_key: bind(&config.ssh_key_path, "/root/.ssh/id_rsa", ":ro")?,
        known_hosts: bind(&config.known_hosts_path, "/root/.ssh/known_hosts", ":ro")?,
    };
    if config.use_host_docker_socket {
        bind(&Some(socket.into()), "/var/run/docker.sock", "")?;
    }
    let name = config.image.rsplit('/').next().unwrap_or_default();
    let is_tagged = name.contains([':', '@']);
    let engine = Engine {
        endpoint: endpoint.to_owned(),
        // Without a tag all of them would be fetched.
        image: if is_tagged {
            config.image.clone()
        } else {
            format!("{}:latest", config.image)
        },
        binds,
    };
    Ok((Runner::Engine(engine), places))
}

#[async_trait]
impl Action for Vuls {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "scan_instance" {
            return Err(unknown("vuls", &call.action));
        }
        let input: Input = input(call)?;
        let left = call.timeout.saturating_sub(ENDING).max(call.timeout / 2);
        let limit = self.timeout.min(left);
        let report = match &self.runner {
            Runner::Server(server) => {
                let (name, packages) = input.packages()?;
                server.report(&name, packages, limit).await?
            }
            Runner::Program(program) => {
                let work = Work::new()?;
                let places = Places {
                    folder: work.path().to_owned(),
                    ..self.places.clone()
                };
                self.configure(&work, &input.target()?, &places)?;
                let steps = steps(&places, limit);
                let masker = self.secrets.masker();
                program.scan(&work, &steps, limit, &masker).await?;
                work.report()?
            }
            Runner::Engine(engine) => {
                let work = Work::new()?;
                self.configure(&work, &input.target()?, &self.places)?;
                let steps = steps(&self.places, limit);
                engine.scan(&work, &steps, self.clock.now(), limit).await?;
                work.report()?
            }
        };
        output(&report::scanned(&report, self.limits)?)
    }
}

impl Vuls {
    fn configure(&self, work: &Work, target: &Target, places: &Places) -> Result<(), Error> {
        work.configure(target, places, &self.tables)
    }
}
