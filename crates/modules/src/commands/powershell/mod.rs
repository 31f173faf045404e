//! `powershell`: a script on a host that has PowerShell, and an SSH server or WinRM over HTTPS.
//!
//! The script goes encoded as one argument, so no shell on the way reads a word of it. Its exit
//! code tells whether it failed; what it writes to standard error alone does not. Which way it
//! goes is settled before anything is sent, and no other one is tried when it fails.

mod route;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::route::{Route, Way};
use super::command_line::CommandResult;
use super::ssh::judge;
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::clients::ssh::{self, Ssh};
use crate::clients::winrm::{self, Line, Winrm};
use crate::command::{Command, CommandInput, EXECUTE, Party};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "powershell",
    summary: "PowerShell scripts on other hosts by SSH or WinRM.",
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

/// How it is told to read a script from its command line and write plain text.
const ARGUMENTS: &str = "-NoProfile -NonInteractive -OutputFormat Text -EncodedCommand";

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
    /// The way to hosts of which the playbook does not say it by a port (22, 5986) or a URL:
    /// `ssh`, or `winrm` over HTTPS. Default: `ssh`.
    way: Way,
    /// The same for single hosts, by an address or name as playbooks write it. Default: none.
    ways: BTreeMap<String, Way>,
    /// How to reach hosts by SSH, and which to believe; as under `actions.ssh`. Default: as
    /// there.
    ssh: ssh::Config,
    /// How to reach hosts by WinRM, and how to log in. Default: by NTLM, with TLS as under
    /// `egress.tls`.
    winrm: winrm::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: "powershell".to_owned(),
            programs: BTreeMap::new(),
            command_line: 8191,
            way: Way::Ssh,
            ways: BTreeMap::new(),
            ssh: ssh::Config::default(),
            winrm: winrm::Config::default(),
        }
    }
}

struct PowerShell {
    program: String,
    programs: BTreeMap<String, String>,
    command_line: usize,
    way: Way,
    ways: BTreeMap<String, Way>,
    ssh: Ssh,
    winrm: Winrm,
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
        way: config.way,
        ways: config.ways,
        ssh: Ssh::new(&format!("{PLACE}.ssh"), config.ssh, cx)?,
        winrm: Winrm::new(&format!("{PLACE}.winrm"), config.winrm, cx)?,
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
        let route = Route::of(party, self.way, &self.ways)?;
        let program = self.program(party);
        let arguments = self.arguments(&program, &script(&input.command)?)?;
        match route {
            Route::Ssh => {
                let line = format!("{program} {arguments}");
                let limit = self.ssh.max_output();
                let ended = self.ssh.run(&input, line.as_bytes(), limit, call.timeout);
                output(&judge(&ended.await?, limit, &self.secrets)?)
            }
            Route::Winrm(url) => {
                let line = Line {
                    program: &program,
                    arguments: &arguments,
                };
                let ended = self.winrm.run(&input, url, &line, call.timeout).await?;
                output(&CommandResult::judge(
                    ended.exit_code,
                    (&ended.stdout, &ended.stderr),
                    self.winrm.max_output(),
                    &self.secrets.masker(),
                )?)
            }
        }
    }

    fn way(&self, input: &Json) -> Option<String> {
        let input: CommandInput = input.read().ok()?;
        let way = match Route::of(input.acted_on(), self.way, &self.ways) {
            Ok(Route::Ssh) => "SSH".to_owned(),
            Ok(Route::Winrm(url)) => format!("WinRM at {url}"),
            Err(error) => error.to_string(),
        };
        Some(way)
    }
}

impl PowerShell {
    /// The program of a host, as its shell reads it.
    fn program(&self, party: &Party) -> String {
        let program = route::named(party, &self.programs).unwrap_or(&self.program);
        if program.contains([' ', '(', ')', '\\']) {
            format!("\"{program}\"")
        } else {
            program.clone()
        }
    }

    /// What the program is told: no shell finds anything in it to change.
    fn arguments(&self, program: &str, script: &str) -> Result<String, Error> {
        let units = script.encode_utf16().flat_map(u16::to_le_bytes);
        let encoded = STANDARD.encode(units.collect::<Vec<_>>());
        let arguments = format!("{ARGUMENTS} {encoded}");
        let length = program.len() + 1 + arguments.len();
        if length > self.command_line {
            return Err(Error::permanent(format!(
                "the script is too long for the host's command line: {length} characters of {} \
                 (`{PLACE}.command_line`)",
                self.command_line
            )));
        }
        Ok(arguments)
    }
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
