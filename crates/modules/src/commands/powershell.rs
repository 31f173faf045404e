//! `powershell`: a script on a host that has PowerShell and an SSH server.
//!
//! The script goes encoded as one argument, so no shell on the way reads a word of it. Its exit
//! code tells whether it failed; what it writes to standard error alone does not. WinRM is not
//! spoken: its Rust library would bring a second provider of TLS and pass by the egress check.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::command_line::CommandResult;
use super::ssh::judge;
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::clients::ssh::{self, Ssh};
use crate::command::{Command, CommandInput, EXECUTE, Party};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "powershell",
    summary: "PowerShell scripts on other hosts by SSH.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Runs a script on a host and gives what it wrote.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<CommandResult>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.powershell";

/// The ports of WinRM, without and with TLS.
const WINRM: [&str; 2] = ["5985", "5986"];

/// Settings of `powershell`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The program on the host: `powershell` (Windows) or `pwsh` (PowerShell 7), or its path
    /// there. Default: `powershell`.
    program: String,
    /// The same for single hosts, by an address or name as playbooks write it. Default: none.
    programs: BTreeMap<String, String>,
    /// The longest command line that the host takes; the shell of Windows takes 8191
    /// characters, which a script of some 3000 fills. Default: 8191.
    command_line: usize,
    /// How to reach hosts, and which to believe; as under `actions.ssh`. Default: as
    /// there.
    ssh: ssh::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: "powershell".to_owned(),
            programs: BTreeMap::new(),
            command_line: 8191,
            ssh: ssh::Config::default(),
        }
    }
}

struct PowerShell {
    program: String,
    programs: BTreeMap<String, String>,
    command_line: usize,
    ssh: Ssh,
    secrets: Arc<Secrets>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    for program in config.programs.values().chain([&config.program]) {
        let plain = |char: char| char.is_ascii_alphanumeric() || " _-./\\:()".contains(char);
        if program.is_empty() || !program.chars().all(plain) {
            let message = format!("`{program}` is no name or path of a program");
            return Err(settings::error(PLACE, message));
        }
    }
    Ok(Arc::new(PowerShell {
        program: config.program,
        programs: config.programs,
        command_line: config.command_line,
        ssh: Ssh::new(&format!("{PLACE}.ssh"), config.ssh, cx)?,
        secrets: cx.secrets.clone(),
    }))
}

#[async_trait]
impl Action for PowerShell {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("powershell", &call.action));
        }
        let input: CommandInput = input(call)?;
        let party = input.acted_on();
        if is_winrm(party) {
            return Err(Error::permanent(format!(
                "`{}` is reached by WinRM, which is not spoken: set up OpenSSH on it and give \
                 its address with the port of SSH (22)",
                party.name
            )));
        }
        let line = self.command_line(party, &script(&input.command)?)?;
        let limit = self.ssh.max_output();
        let ended = self.ssh.run(&input, line.as_bytes(), limit, call.timeout);
        output(&judge(&ended.await?, limit, &self.secrets)?)
    }
}

impl PowerShell {
    /// The line that runs a script on a host: no shell finds anything in it to change.
    fn command_line(&self, party: &Party, script: &str) -> Result<String, Error> {
        let addresses = party.address.values().flatten();
        let named = addresses.chain([&party.name]);
        let own = named.into_iter().find_map(|name| self.programs.get(name));
        let program = own.unwrap_or(&self.program);
        let program = if program.contains([' ', '(', ')', '\\']) {
            format!("\"{program}\"")
        } else {
            program.clone()
        };
        let units = script.encode_utf16().flat_map(u16::to_le_bytes);
        let encoded = STANDARD.encode(units.collect::<Vec<_>>());
        let line = format!(
            "{program} -NoProfile -NonInteractive -OutputFormat Text -EncodedCommand {encoded}"
        );
        if line.len() > self.command_line {
            return Err(Error::permanent(format!(
                "the script is too long for the host's command line: {} characters of {} \
                 (`{PLACE}.command_line`)",
                line.len(),
                self.command_line
            )));
        }
        Ok(line)
    }
}

/// By its port, or because it has a URL of HTTP and nothing else.
fn is_winrm(party: &Party) -> bool {
    let port = party.port.as_deref().map(str::trim);
    let by_port = port.is_some_and(|port| WINRM.contains(&port));
    let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    let urls = party.address.get("url");
    let by_url = urls.is_some_and(|urls| urls.iter().all(is_http));
    let others = ["dname", "ipv4", "ipv6"];
    by_port || (by_url && !others.iter().any(|kind| party.address.contains_key(*kind)))
}

/// The script. Bytes of `command_b64` may also be UTF-16, as PowerShell itself encodes scripts.
fn script(command: &Command) -> Result<String, Error> {
    let wrong = |why: &str| Error::permanent(format!("the script {why}"));
    let bytes = match (&command.command, &command.command_b64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(encoded)) => STANDARD
            .decode(encoded)
            .map_err(|_| wrong("can't be decoded: it is no base64"))?,
        (None, None) => return Err(wrong("is missing")),
    };
    let text = if bytes.contains(&0) {
        let units = bytes
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()
    } else {
        String::from_utf8(bytes).ok()
    };
    let text = text.filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| wrong("is neither UTF-8 nor UTF-16"))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(wrong("is empty"));
    }
    Ok(text.to_owned())
}
