//! Which module carries out a command (CACAO 2.0 §5, §7).
//!
//! The type of the command says it, but for agents that name their module themselves: those of
//! SOARCA by their name or type, and Fins.

use conche_cacao::model::{Command, Party};

use crate::definition::ActionTable;
use crate::run::{OnUncertain, Repeat};

/// The action of every module that carries out commands.
const EXECUTE: &str = "execute";
/// The action for HTTP requests that change nothing.
const READ: &str = "read";
/// The action for OpenWhisk's actions that know the key of a command and do it once.
const EXECUTE_KEYED: &str = "execute_keyed";
/// The module for Apache OpenWhisk.
const OPENWHISK: &str = "openwhisk";
/// The module that asks a person: the engine itself.
const MANUAL: &str = "manual";
/// The module for agents that speak SOARCA's Fin protocol.
const FIN: &str = "fin";
/// With what the names and types of SOARCA's agents begin.
const SOARCA: &str = "soarca-";
/// Command types that the specification has.
const KNOWN: [&str; 13] = [
    "manual",
    "bash",
    "caldera-cmd",
    "elastic",
    "http-api",
    "jupyter",
    "kestrel",
    "openc2-http",
    "openwhisk",
    "powershell",
    "sigma",
    "ssh",
    "yara",
];
/// Commands that speak to the network address of what they act on.
const ADDRESSED: [&str; 3] = ["http-api", "openc2-http", "ssh"];

/// Commands that a server carries out: that of the agent or target, where it has an address, and
/// else the configured one.
const SERVED: [&str; 3] = ["caldera-cmd", "jupyter", "kestrel"];

/// Modules that need nothing of the run but what is filled in.
const FILLED_IN: [&str; 8] = [
    "bash",
    "caldera-cmd",
    "elastic",
    "http-api",
    "openc2-http",
    "openwhisk",
    "powershell",
    "ssh",
];

/// What this program can carry out.
pub trait Executors: ActionTable {
    /// Why the module cannot carry out commands as it is configured; none where it can.
    fn unavailable(&self, module: &str) -> Option<String> {
        let _ = module;
        None
    }

    /// Why a text is no jq filter; none where it is one or that can't be told here.
    fn query_flaw(&self, filter: &str) -> Option<String> {
        let _ = filter;
        None
    }

    /// What a playbook may do with the configured secret of this name.
    fn secret(&self, name: &str) -> SecretUse {
        let _ = name;
        SecretUse::Granted
    }
}

/// What a playbook may do with a secret that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretUse {
    /// Have it sent to those whom its grant lists.
    Granted,
    /// Nothing: it is configured, and not for playbooks.
    NotGranted,
    /// Nothing: it guards the program itself.
    Withheld,
    /// Nothing: it is not configured.
    Unknown,
}

/// Who carries out a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// In which language the command is written: the type of command that its module carries
    /// out, which is what its agent says where it has a module of its own.
    pub(super) language: String,
    /// None for a person.
    pub(super) module: Option<Module>,
}

impl Bound {
    /// Whether who carries it out is handed all variables, where the step names none: it sees
    /// nothing else of the run. Others have the values filled in.
    pub(super) fn sees_all(&self) -> bool {
        let module = self.module.as_ref();
        module.is_none_or(|module| !FILLED_IN.contains(&module.name.as_str()))
    }
}

/// An action of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) action: String,
    pub(super) repeat: Repeat,
    pub(super) on_uncertain: OnUncertain,
}

/// Finds who carries out a command by an agent against a target.
pub(super) fn bind(
    command: &Command,
    agent: &Party,
    target: Option<&Party>,
    executors: &dyn Executors,
) -> Result<Bound, String> {
    let module = module_of(command, agent);
    // A Fin speaks the language of the command, whatever that is.
    let language = if module == FIN { &command.kind } else { module };
    let is_somewhere = |party: &Party| party.address.is_some();
    let has_server =
        SERVED.contains(&module) && (is_somewhere(agent) || target.is_some_and(is_somewhere));
    let bound = |action| {
        let module = if module == MANUAL {
            None
        } else {
            Some(offered(command, (module, has_server), action, executors)?)
        };
        Ok(Bound {
            language: language.to_owned(),
            module,
        })
    };
    if module == MANUAL || module == FIN {
        return bound(EXECUTE);
    }
    let acted_on = target.unwrap_or(agent);
    if ADDRESSED.contains(&module) && acted_on.address.is_none() {
        return Err(format!(
            "a command of type `{}` needs an address, and the {} `{}` of type `{}` has none",
            command.kind,
            if target.is_some() { "target" } else { "agent" },
            acted_on.name,
            acted_on.kind
        ));
    }
    bound(match method(command) {
        Some("GET" | "HEAD" | "OPTIONS") if module == "http-api" => READ,
        _ if module == OPENWHISK && command.other.contains_key("idempotency") => EXECUTE_KEYED,
        _ => EXECUTE,
    })
}

fn offered(
    command: &Command,
    (module, has_server): (&str, bool),
    action: &str,
    executors: &dyn Executors,
) -> Result<Module, String> {
    let Some((repeat, on_uncertain)) = executors.guarantee(module, action) else {
        let kind = &command.kind;
        return Err(if *kind == module {
            format!("there is no module that carries out commands of type `{kind}`")
        } else {
            format!(
                "there is no module `{module}`, which would carry out this command of type `{kind}`"
            )
        });
    };
    if let Some(reason) = executors.unavailable(module).filter(|_| !has_server) {
        return Err(reason);
    }
    Ok(Module {
        name: module.to_owned(),
        action: action.to_owned(),
        repeat,
        on_uncertain,
    })
}

/// The module that a command means, whether or not it is there.
pub(super) fn module_of<'a>(command: &'a Command, agent: &'a Party) -> &'a str {
    let soarca = [agent.kind.as_str(), agent.name.as_str()]
        .into_iter()
        .find_map(|word| word.strip_prefix(SOARCA));
    match soarca {
        Some("fin") => FIN,
        // The portable form names SOARCA's agent, whose commands are carried out as our own.
        Some("http-api") if command.kind == OPENWHISK => OPENWHISK,
        Some(capability) if KNOWN.contains(&capability) => capability,
        // SOARCA's own agents name their Fin.
        _ if agent.kind == "soarca" => FIN,
        _ if KNOWN.contains(&command.kind.as_str()) => &command.kind,
        _ => FIN,
    }
}

fn method(command: &Command) -> Option<&str> {
    command.command.as_deref()?.split(' ').next()
}
