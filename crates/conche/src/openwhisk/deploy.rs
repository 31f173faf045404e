//! `conche openwhisk deploy` and `undeploy`: what a manifest or a folder of functions describes,
//! put on a host or taken from it.

use std::path::PathBuf;

use clap::Args;
use conche_openwhisk::deploy::{ApplyError, Desired, Host, Live, Plan, Step, carry_out, look};
use conche_openwhisk::model::Name;
use serde_json::json;

use super::connect::{Connect, Connected, failure};
use super::described;
use crate::failure::Failure;
use crate::output;

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
    live: &'a Live,
    plan: &'a Plan,
}

impl What {
    /// What is described, all of which can be read.
    fn read(&self, namespace: &Name) -> Result<Desired, Failure> {
        let source = described::Source {
            path: &self.path,
            deployment: self.deployment.as_deref(),
            package: self.package.as_deref(),
            confined: false,
        };
        let desired = described::read(&source, namespace)?;
        let path = self.path.display();
        if desired.entities.is_empty() && desired.faults.is_empty() {
            return Err(Failure::Failed(format!("{path} has no functions")));
        }
        if desired.faults.is_empty() {
            return Ok(desired);
        }
        let faults = desired.faults.iter();
        let faults: Vec<String> = faults.map(|fault| format!("{path}/{fault}")).collect();
        Err(Failure::Failed(faults.join("\n")))
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
            for step in &plan.steps {
                carry_out(host, desired, live, step).await.map_err(failed)?;
                if is_table && told.is_ok() {
                    told = line(step);
                }
            }
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
