//! A command line, wherever it runs: its bytes, the result document that ssh, bash and
//! PowerShell share, and when it is a failure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_runtime::secrets::Masker;
use schemars::JsonSchema;
use serde::Serialize;

use crate::action::Error;
use crate::actions::exec::process::Kept;
use crate::command::Command;

/// So much of what a failed command wrote is told.
const QUOTE_MAX: usize = 500;

/// What a command wrote and how it ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CommandResult {
    /// What it wrote to standard output; bytes that are no UTF-8 are replaced.
    pub(super) stdout: String,
    /// What it wrote to standard error.
    pub(super) stderr: String,
    /// Its exit code, which is 0: any other is a failure.
    pub(super) exit_code: i64,
    /// True where it wrote more than is kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) truncated: bool,
}

impl CommandResult {
    /// The texts without secrets, each of at most `limit` bytes; an exit code other than 0 is a
    /// failure that tells what was written.
    pub(super) fn judge(
        exit_code: i64,
        (stdout, stderr): (&Kept, &Kept),
        limit: usize,
        masker: &Masker,
    ) -> Result<Self, Error> {
        let (stdout, more_output) = stdout.text(limit, masker);
        let (stderr, more_errors) = stderr.text(limit, masker);
        if exit_code != 0 {
            let told = [&stderr, &stdout]
                .into_iter()
                .find(|text| !text.trim().is_empty());
            let told = told.map_or("it wrote nothing", |text| text.trim());
            let quote: String = told.chars().take(QUOTE_MAX).collect();
            return Err(Error::permanent(format!(
                "the command ended with exit code {exit_code}: {quote}"
            )));
        }
        Ok(Self {
            stdout,
            stderr,
            exit_code,
            truncated: more_output || more_errors,
        })
    }
}

/// The command as it is to be run: any bytes but 0.
pub(super) fn bytes(command: &Command) -> Result<Vec<u8>, Error> {
    let bytes = match (&command.command, &command.command_b64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(encoded)) => STANDARD.decode(encoded).map_err(|error| {
            Error::permanent(format!("`command_b64` can't be decoded: {error}"))
        })?,
        (None, None) => Vec::new(),
    };
    if bytes.trim_ascii().is_empty() {
        return Err(Error::permanent("there is no command to run"));
    }
    if bytes.contains(&0) {
        return Err(Error::permanent(
            "the command has a byte that no command can have (0)",
        ));
    }
    Ok(bytes)
}
