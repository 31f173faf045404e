//! `conche openwhisk invoke` and `fire`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use conche_openwhisk::client::{Error, Fired, InvokeOptions, Invoked, RunOptions};
use conche_runtime::units::Span;
use serde_json::{Map, Value, json};

use super::connect::{Connect, failure, value};
use crate::failure::Failure;
use crate::{input, output};

/// What goes along.
#[derive(Debug, Args)]
struct Parameters {
    /// An argument; a value that is JSON is taken as such
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// A file with an object of arguments, `-` for standard input; `--param` comes before it
    #[arg(long, short = 'P', value_name = "FILE")]
    param_file: Option<PathBuf>,
}

impl Parameters {
    fn read(&self) -> Result<Value, Failure> {
        let mut all = match &self.param_file {
            None => Map::new(),
            Some(path) => match input::json(path)? {
                Value::Object(members) => members,
                _ => {
                    let path = path.display();
                    return Err(Failure::Failed(format!("{path} is no JSON object")));
                }
            },
        };
        for text in &self.params {
            let (name, text) = text
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Failure::Usage(format!("`{text}` is not NAME=VALUE")))?;
            let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
            all.insert(name.to_owned(), value);
        }
        Ok(all.into())
    }
}

/// Invokes an action.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk invoke utils/echo --param greeting=hello
  conche openwhisk invoke /whisk.system/utils/date -o json --host prod

It waits for the end, first with the host and then by asking.
Exit code 1 where the activation failed.")]
pub(crate) struct InvokeArgs {
    /// The action: /namespace/package/name, package/name or name
    action: String,
    #[command(flatten)]
    parameters: Parameters,
    /// Do not wait: print the activation to ask for
    #[arg(long = "async")]
    no_wait: bool,
    /// How long to wait for the end
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    wait: Span,
    #[command(flatten)]
    connect: Connect,
}

/// Fires a trigger.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche openwhisk fire alerts --param severity=high

Exit code 1 where the trigger has no active rule, so that nothing happened.")]
pub(crate) struct FireArgs {
    /// The trigger: /namespace/name or name
    trigger: String,
    #[command(flatten)]
    parameters: Parameters,
    #[command(flatten)]
    connect: Connect,
}

/// `conche openwhisk invoke`; whether the activation succeeded.
pub(crate) async fn invoke(args: InvokeArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let (action, params) = (connected.name(&args.action)?, args.parameters.read()?);
    if args.no_wait {
        let options = InvokeOptions::default();
        let invoked = connected.client.invoke(&action, &params, &options).await;
        let id = match invoked.map_err(failure)? {
            Invoked::Accepted(id) => id,
            Invoked::Done(activation) => activation.activation_id,
        };
        let accepted = json!({ "activationId": id });
        args.connect
            .output
            .print(&accepted, |_| format!("{id}\n"))?;
        return Ok(true);
    }
    let options = RunOptions {
        most: Duration::from(args.wait),
        ..RunOptions::default()
    };
    let (activation, succeeded) = match connected.client.run(&action, &params, &options).await {
        Ok(activation) => (activation, true),
        Err(Error::Application(it) | Error::Developer(it) | Error::Internal(it)) => (*it, false),
        Err(error) => return Err(failure(error)),
    };
    let shown = value(&activation)?;
    args.connect.output.print(&shown, |activation| {
        let result = &activation["response"]["result"];
        let result = serde_json::to_string_pretty(result).unwrap_or_default();
        format!(
            "{}: {}\n{result}\n",
            output::plain(&activation["activationId"]),
            output::plain(&activation["response"]["status"])
        )
    })?;
    Ok(succeeded)
}

/// `conche openwhisk fire`; whether a rule was set going.
pub(crate) async fn fire(args: FireArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let (trigger, payload) = (connected.name(&args.trigger)?, args.parameters.read()?);
    let options = InvokeOptions::default();
    let fired = connected.client.fire(&trigger, &payload, &options).await;
    match fired.map_err(failure)? {
        Fired::Accepted(id) => {
            let accepted = json!({ "activationId": id });
            args.connect
                .output
                .print(&accepted, |_| format!("{id}\n"))?;
            Ok(true)
        }
        Fired::NoActiveRule => {
            let nothing = json!({ "activationId": null });
            let told = |_: &Value| format!("{trigger} has no active rule: nothing happened\n");
            args.connect.output.print(&nothing, told)?;
            Ok(false)
        }
    }
}
