//! The folder that one scan works in: the configuration that vuls is given, and what it leaves.
//!
//! The configuration is written by a TOML library from values that were checked; no text is
//! ever pasted into it. The folder is ours alone and goes with the scan.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::input::Target;
use crate::action::Error;

/// What the scanned instance is called in vuls' configuration and results.
const SERVER: &str = "server";

/// The largest report that is read.
pub(super) const REPORT_MAX: u64 = 64 << 20;

/// Where things are, as vuls sees them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) folder: PathBuf,
    pub(super) logs: Option<PathBuf>,
    pub(super) ssh_key: Option<PathBuf>,
    pub(super) known_hosts: Option<PathBuf>,
}

/// One call of vuls.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// `scan` or `report`.
    pub(super) name: &'static str,
    pub(super) arguments: Vec<String>,
}

/// A scan's folder.
pub(super) struct Work {
    folder: TempDir,
}

impl Work {
    pub(super) fn new() -> Result<Self, Error> {
        let folder = TempDir::with_prefix("conche-vuls-").and_then(|folder| {
            fs::create_dir(folder.path().join("results"))?;
            fs::create_dir(folder.path().join("logs"))?;
            Ok(folder)
        });
        let folder = folder.map_err(|error| lost("can't be made", &error))?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes vuls' configuration, with the operator's further tables.
    pub(super) fn configure(
        &self,
        target: &Target,
        places: &Places,
        tables: &BTreeMap<String, Value>,
    ) -> Result<(), Error> {
        let toml = configuration(target, places, tables)?;
        let mut files = vec![("config.toml", toml)];
        if let Some(known_hosts) = &places.known_hosts {
            let line = format!("UserKnownHostsFile \"{}\"\n", known_hosts.display());
            files.push(("ssh_config", line));
        }
        for (name, text) in files {
            let written = fs::write(self.path().join(name), text);
            written.map_err(|error| lost("can't be written", &error))?;
        }
        Ok(())
    }

    /// The report: of the newest folder of results that has one.
    pub(super) fn report(&self) -> Result<Vec<u8>, Error> {
        let results = self.path().join("results");
        let entries = fs::read_dir(results).map_err(|error| lost("can't be read", &error))?;
        let entries = entries.filter_map(Result::ok);
        let mut files: Vec<_> = entries
            .map(|entry| entry.path().join(format!("{SERVER}.json")))
            .filter(|file| file.is_file())
            .collect();
        // Their names are times.
        files.sort();
        let Some(file) = files.pop() else {
            return Err(Error::permanent(
                "vuls ended well but left no report of the instance",
            ));
        };
        let length = fs::metadata(&file).map_or(0, |file| file.len());
        if length > REPORT_MAX {
            return Err(Error::permanent(format!(
                "the report of vuls has {length} bytes; at most {REPORT_MAX} are read"
            )));
        }
        fs::read(&file).map_err(|error| lost("can't be read", &error))
    }

    /// Keeps a report that was made elsewhere, in the folder of results of this name.
    pub(super) fn keep(&self, folder: &str, report: &[u8]) -> io::Result<()> {
        let folder = self.path().join("results").join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{SERVER}.json")), report)
    }
}

/// Whether this is where vuls puts the report, as seen from its folder of results; with the
/// name of the folder.
pub(super) fn folder_of_report(path: &Path) -> Option<String> {
    let mut parts = path.components().rev();
    let file = parts.next()?.as_os_str();
    let std::path::Component::Normal(folder) = parts.next()? else {
        return None;
    };
    (file.to_str()? == format!("{SERVER}.json")).then(|| folder.to_str().map(str::to_owned))?
}

/// First what is installed is looked at, then what is known to be wrong with it: a scan alone
/// finds no vulnerability on most systems.
pub(super) fn steps(places: &Places, limit: Duration) -> [Step; 2] {
    let within = |name: &str| places.folder.join(name).display().to_string();
    let logs = places.logs.as_ref().map(|logs| logs.display().to_string());
    let common = [
        format!("-config={}", within("config.toml")),
        format!("-results-dir={}", within("results")),
        format!("-log-dir={}", logs.unwrap_or_else(|| within("logs"))),
    ];
    let step = |name: &'static str, more: &[&str]| {
        let more = more.iter().map(|word| (*word).to_owned());
        let arguments = std::iter::once(name.to_owned()).chain(common.clone());
        Step {
            name,
            arguments: arguments.chain(more).collect(),
        }
    };
    let limit = format!("-timeout-scan={}", limit.as_secs().max(1));
    [
        step("scan", &[&limit, SERVER]),
        step(
            "report",
            &["-format-json", "-to-localfile", "-quiet", "-no-progress"],
        ),
    ]
}

/// What an exit code of vuls means: 0 well, 2 that it does not know the arguments.
pub(super) fn judge(step: &Step, code: i64, told: &str) -> Result<(), Error> {
    let told: String = told.trim().chars().rev().take(500).collect();
    let told: String = told.chars().rev().collect();
    let message = format!("`vuls {}` ended with exit code {code}: {told}", step.name);
    match code {
        0 => Ok(()),
        1 => Err(Error::retry(message)),
        _ => Err(Error::Permanent(message)),
    }
}

fn configuration(
    target: &Target,
    places: &Places,
    tables: &BTreeMap<String, Value>,
) -> Result<String, Error> {
    let mut server = json!({
        "host": target.host,
        "user": target.user,
        "port": target.port.to_string(),
        "scanMode": [target.mode.word()],
    });
    if let Some(key) = &places.ssh_key {
        server["keyPath"] = json!(key);
    }
    if places.known_hosts.is_some() {
        server["sshConfigPath"] = json!(places.folder.join("ssh_config"));
    }
    let mut whole: Map<_, _> = tables.clone().into_iter().collect();
    whole.insert("version".to_owned(), "v2".into());
    whole.insert("servers".to_owned(), json!({ SERVER: server }));
    toml::to_string(&whole)
        .map_err(|error| Error::permanent(format!("actions.vuls.tables: {error}")))
}

fn lost(what: &str, error: &io::Error) -> Error {
    Error::retry(format!("the folder of the scan {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::input::Mode;
    use super::*;

    #[test]
    fn the_configuration_says_what_was_asked_and_nothing_else() {
        let target = Target {
            host: "10.0.0.7".to_owned(),
            user: "scan".to_owned(),
            port: 2222,
            mode: Mode::Deep,
        };
        let places = Places {
            folder: "/w".into(),
            ssh_key: Some("/k \"]\n[x]".into()),
            known_hosts: Some("/known".into()),
            logs: None,
        };
        let tables = BTreeMap::from([("vuls2".to_owned(), json!({ "SkipUpdate": true }))]);
        let text = configuration(&target, &places, &tables).unwrap();
        let read: Value = toml::from_str(&text).unwrap();
        let server = json!({
            "host": "10.0.0.7", "user": "scan", "port": "2222", "scanMode": ["deep"],
            "keyPath": "/k \"]\n[x]", "sshConfigPath": "/w/ssh_config",
        });
        let expected = json!({ "version": "v2", "servers": { "server": server }, "vuls2": { "SkipUpdate": true } });
        assert_eq!(read, expected);
    }

    #[test]
    fn reports_are_known_by_their_place() {
        for (path, folder) in [
            (
                "results/2026-01-02T03-04-05+0000/server.json",
                Some("2026-01-02T03-04-05+0000"),
            ),
            ("server.json", None),
            ("../server.json", None),
            ("results/x/other.json", None),
            ("", None),
        ] {
            assert_eq!(
                folder_of_report(Path::new(path)).as_deref(),
                folder,
                "{path}"
            );
        }
    }
}
