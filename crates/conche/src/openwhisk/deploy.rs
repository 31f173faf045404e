//! `conche openwhisk deploy` and `undeploy`: what a manifest or a folder of functions describes,
//! put on a host or taken from it.

use std::path::{Path, PathBuf};

use clap::Args;
use conche_core::place::{Key, Place, find};
use conche_openwhisk::deploy::{
    ApplyError, Desired, Error, Host, Plan, Reading, Step, Written, carry_out, look, read_folder,
    read_manifest,
};
use conche_openwhisk::model::Name;
use serde_json::json;

use super::connect::{Connect, Connected, failure};
use super::files::Folder;
use crate::failure::Failure;
use crate::{input, output};

/// Names of a manifest in a folder, as `wskdeploy` knows them.
const MANIFESTS: [&str; 2] = ["manifest.yaml", "manifest.yml"];

/// What is meant.
#[derive(Debug, Args)]
struct What {
    /// A manifest of wskdeploy; or a folder, with a manifest.yaml in it or of functions
    #[arg(value_name = "MANIFEST|FOLDER")]
    path: PathBuf,
    /// The deployment file, whose inputs and annotations come before those of the manifest
    #[arg(long, short, value_name = "FILE")]
    deployment: Option<PathBuf>,
    /// Put the functions of a folder into this package
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Puts on a host what is described.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk deploy functions/ --dry-run
  conche openwhisk deploy functions/ --package soc
  conche openwhisk deploy manifest.yaml --deployment production.yaml

One line an entity: create, update (and what of it), unchanged, remove. What is unchanged is not
written again. Exit code 1 where something in the manifest is wrong or the host refused; what was
printed before was done then, and the same again goes on from there.")]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    what: What,
    /// Remove what this project once had and no longer describes [name: `project` of the
    /// manifest]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    sync: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Takes from a host what is described.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk undeploy manifest.yaml --dry-run
  conche openwhisk undeploy functions/ --package soc

A package that has more in it than is described stays.")]
pub(crate) struct UndeployArgs {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    connect: Connect,
}

/// `conche openwhisk deploy`.
pub(crate) async fn deploy(args: DeployArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let namespace = namespace(&connected).await?;
    let mut desired = args.what.read(&namespace)?;
    let project = match args.sync {
        None => None,
        Some(name) if !name.is_empty() => Some(name),
        Some(_) => Some(desired.project.clone().ok_or_else(|| {
            Failure::Usage("--sync needs a name: the manifest says no `project`".to_owned())
        })?),
    };
    if let Some(project) = &project {
        desired = desired.managed(project);
    }
    let project = project.as_deref();
    let host = host(&connected);
    let of_project = project.map(|project| (project, &namespace));
    let live = look(host, &desired, of_project).await.map_err(failed)?;
    let plan = Plan::deploy(&desired, &live, project);
    let doing = Doing {
        host,
        desired: &desired,
        live: &live,
        plan: &plan,
    };
    args.what.finish(&args.connect, doing).await
}

/// `conche openwhisk undeploy`.
pub(crate) async fn undeploy(args: UndeployArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let namespace = namespace(&connected).await?;
    let desired = args.what.read(&namespace)?;
    let host = host(&connected);
    let live = look(host, &desired, None).await.map_err(failed)?;
    let plan = Plan::undeploy(&desired, &live);
    let doing = Doing {
        host,
        desired: &desired,
        live: &live,
        plan: &plan,
    };
    args.what.finish(&args.connect, doing).await
}

/// All that a plan is carried out with.
struct Doing<'a> {
    host: Host<'a>,
    desired: &'a Desired,
    live: &'a conche_openwhisk::deploy::Live,
    plan: &'a Plan,
}

impl What {
    /// What is described.
    fn read(&self, namespace: &Name) -> Result<Desired, Failure> {
        let variables = |name: &str| std::env::var(name).ok();
        let manifest = if self.path.is_dir() {
            let names = MANIFESTS.iter().map(|name| self.path.join(name));
            names.into_iter().find(|path| path.is_file())
        } else {
            Some(self.path.clone())
        };
        let Some(manifest) = manifest else {
            return self.read_folder(namespace, &variables);
        };
        if self.package.is_some() {
            return Err(Failure::Usage(
                "--package is for a folder of functions: a manifest names its packages".to_owned(),
            ));
        }
        let folder = manifest.parent().unwrap_or(Path::new(""));
        let files = Folder::new(folder);
        let reading = Reading {
            namespace,
            variables: &variables,
            files: &files,
        };
        let text = input::text(&manifest)?;
        let deployment = self.deployment.as_deref().map(input::text).transpose()?;
        let read = read_manifest(&text, deployment.as_deref(), &reading);
        read.map_err(|error| match &error {
            Error::Written {
                written: Written::Deployment,
                ..
            }
            | Error::Syntax {
                written: Written::Deployment,
                ..
            } => {
                let path = self.deployment.as_deref().unwrap_or(Path::new("-"));
                placed(path, deployment.as_deref().unwrap_or_default(), &error)
            }
            _ => placed(&manifest, &text, &error),
        })
    }

    fn read_folder(
        &self,
        namespace: &Name,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Desired, Failure> {
        if self.deployment.is_some() {
            return Err(Failure::Usage("--deployment is for a manifest".to_owned()));
        }
        let package = self.package.as_deref().map(Name::parse_package).transpose();
        let package = package.map_err(|error| Failure::Usage(format!("--package: {error}")))?;
        let files = Folder::new(&self.path);
        let reading = Reading {
            namespace,
            variables,
            files: &files,
        };
        let read = read_folder(&reading, package.as_ref());
        let desired = read.map_err(|error| {
            let path = self.path.display();
            Failure::Failed(format!("{path}: {error}"))
        })?;
        if desired.entities.is_empty() {
            let path = self.path.display();
            return Err(Failure::Failed(format!("{path} has no functions")));
        }
        Ok(desired)
    }

    /// Carries the plan out, unless only it was asked for.
    async fn finish(&self, connect: &Connect, doing: Doing<'_>) -> Result<bool, Failure> {
        let Doing {
            host,
            desired,
            live,
            plan,
        } = doing;
        let is_table = connect.output.output == output::Form::Table;
        let line = |step: &Step| output::text(&step.to_string());
        let mut told = Ok(());
        if self.dry_run {
            told = plan.steps.iter().filter(|_| is_table).try_for_each(line);
        } else {
            let carried = carry_out(host, desired, live, plan, |step| {
                if is_table && told.is_ok() {
                    told = line(step);
                }
            });
            carried.await.map_err(failed)?;
        }
        told?;
        if !is_table {
            let said = json!({ "changes": plan.changes(), "done": !self.dry_run,
                "steps": plan, "passed_over": desired.passed_over });
            connect.output.print(&said, |_| String::new())?;
            return Ok(true);
        }
        if plan.steps.is_empty() {
            output::text("nothing to do")?;
        }
        for name in &desired.passed_over {
            output::text(&format!("{name} is no function: passed over"))?;
        }
        Ok(true)
    }
}

fn host(connected: &Connected) -> Host<'_> {
    Host {
        client: &connected.client,
        auth: connected.auth(),
    }
}

/// The namespace by its name. That it is asked for also tells at once whether the credentials
/// are good.
async fn namespace(connected: &Connected) -> Result<Name, Failure> {
    let named = connected.namespace();
    if !named.is_own_namespace() {
        return Ok(named.clone());
    }
    let namespaces = connected.client.namespaces().await.map_err(failure)?;
    let first = namespaces.first().map(|name| Name::parse(name));
    match first {
        Some(Ok(name)) => Ok(name),
        _ => Err(Failure::Failed("the host names no namespace".to_owned())),
    }
}

fn failed(error: ApplyError) -> Failure {
    Failure::Failed(error.to_string())
}

/// What is wrong with a text, with its line and column.
fn placed(path: &Path, text: &str, error: &Error) -> Failure {
    let path = path.display();
    let at = match error {
        Error::Written { at, .. } => find(text, &place(&at.to_string())),
        _ => None,
    };
    let at = at.map_or_else(String::new, |(line, column)| format!("{line}:{column}:"));
    Failure::Failed(format!("{path}:{at} {error}"))
}

/// The place of a pointer. What reads as a number is the number of an item.
fn place(pointer: &str) -> Place {
    let keys = pointer.split('/').skip(1);
    keys.fold(Place::top(), |place, key| {
        place.then(match key.parse() {
            Ok(index) => Key::Index(index),
            Err(_) => Key::Name(key.replace("~1", "/").replace("~0", "~")),
        })
    })
}
