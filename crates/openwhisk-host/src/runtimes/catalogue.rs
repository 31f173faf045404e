//! Which kinds there are, and what carries them out. Interpreters are found by starting them in
//! a cage once: what can't run there is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::answer::Manner;
use super::launch::{self, Launch, Launcher};
use super::logs::Logs;
use super::process::{Bounds, Heard};
use super::run::Kind;
use super::scripts::SCRIPT_KIND;

/// The launchers of the languages, which speak the line protocol.
const NODE_LAUNCHER: &str = include_str!("launchers/node.js");
const PYTHON_LAUNCHER: &str = include_str!("launchers/python.py");

/// Versions of Node that actions ask for; the installed one carries out all of them.
const NODE_VERSIONS: &[&str] = &["18", "20", "22", "24"];
/// The same of Python.
const PYTHON_VERSIONS: &[&str] = &["3.9", "3.10", "3.11", "3.12", "3.13"];

/// How long an interpreter may take to say its version.
const PROBE: Duration = Duration::from_secs(10);
/// Bytes that it may use for it.
const PROBE_MEMORY: u64 = 256 << 20;

/// What carries out a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// Node with its launcher.
    Node(Interpreter),
    /// Python with its launcher.
    Python(Interpreter),
    /// The action's own program.
    Program,
    /// The script sandbox.
    Script,
}

impl Engine {
    /// How OpenWhisk would speak of it.
    pub(super) fn manner(&self) -> Manner {
        match self {
            Self::Node(_) | Self::Script => Manner::Server,
            Self::Python(_) | Self::Program => Manner::ActionLoop,
        }
    }

    /// The interpreter, which can be started before it is known for which action.
    pub(super) fn interpreter(&self) -> Option<&Interpreter> {
        match self {
            Self::Node(found) | Self::Python(found) => Some(found),
            Self::Program | Self::Script => None,
        }
    }
}

/// An interpreter that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub(super) program: PathBuf,
    pub(super) launcher: PathBuf,
    /// Such as `20.20.2`.
    pub(super) version: String,
}

impl Interpreter {
    /// What of the machine it needs beside the system.
    pub(super) fn readable(&self) -> Vec<PathBuf> {
        let own = launch::prefix(&self.program);
        own.into_iter().chain([self.launcher.clone()]).collect()
    }
}

/// See the module.
pub(super) struct Catalogue {
    entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) engine: Engine,
}

impl Catalogue {
    /// Tries the interpreters.
    pub(super) async fn find(launcher: &Launcher) -> std::io::Result<Self> {
        let programs = launcher.settings.programs.clone();
        let node_launcher = launcher.script("node.js", NODE_LAUNCHER)?;
        let python_launcher = launcher.script("python.py", PYTHON_LAUNCHER)?;
        let nodes = distinct(programs.node).into_iter();
        let nodes = nodes.map(|program| probe(launcher, program, &node_launcher, NODE_VERSION));
        let pythons = distinct(programs.python).into_iter();
        let pythons =
            pythons.map(|program| probe(launcher, program, &python_launcher, PYTHON_VERSION));
        let (nodes, found) = tokio::join!(join_all(nodes), join_all(pythons));
        let node = nodes.into_iter().flatten().next();
        let mut pythons: Vec<Interpreter> = Vec::new();
        for python in found.into_iter().flatten() {
            if !pythons.iter().any(|known| known.version == python.version) {
                pythons.push(python);
            }
        }
        let scripts = launcher.settings.scripts.is_some();
        Ok(Self::new(node, pythons, scripts))
    }

    fn new(node: Option<Interpreter>, pythons: Vec<Interpreter>, scripts: bool) -> Self {
        let mut entries = Vec::new();
        if let Some(node) = node {
            let major = node
                .version
                .split('.')
                .next()
                .unwrap_or_default()
                .to_owned();
            let engine = |_: &str| (Engine::Node(node.clone()), format!("node {}", node.version));
            entries.extend(family("nodejs", NODE_VERSIONS, &[major], engine));
        } else if scripts {
            let engine = |_: &str| (Engine::Script, SCRIPT_KIND.to_owned());
            let mut kinds = family("nodejs", NODE_VERSIONS, &[], engine);
            if let Some(newest) = kinds.last_mut() {
                newest.kind.default = true;
            }
            entries.extend(kinds);
        }
        if let Some(default) = pythons.first() {
            let installed: Vec<String> = pythons
                .iter()
                .map(|python| short(&python.version))
                .collect();
            let engine = |version: &str| {
                let exact = pythons
                    .iter()
                    .find(|python| short(&python.version) == version);
                let python = exact.unwrap_or(default);
                (
                    Engine::Python(python.clone()),
                    format!("python {}", python.version),
                )
            };
            entries.extend(family("python", PYTHON_VERSIONS, &installed, engine));
        }
        entries.push(only("exec:1", Engine::Program));
        if scripts {
            entries.push(only(SCRIPT_KIND, Engine::Script));
        }
        Self { entries }
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.entries
            .iter()
            .map(|entry| entry.kind.clone())
            .collect()
    }

    /// What carries out a kind; `family:default` is known too.
    pub(super) fn entry(&self, kind: &str) -> Option<&Entry> {
        let family = kind.strip_suffix(":default");
        self.entries.iter().find(|entry| match family {
            Some(family) => entry.kind.family == family && entry.kind.default,
            None => entry.kind.kind == kind,
        })
    }
}

/// The programs that are there, without other names of the same.
fn distinct(programs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut is_new = |program: &PathBuf| {
        let file = program.canonicalize();
        file.is_ok_and(|file| seen.insert(file))
    };
    programs
        .into_iter()
        .filter(|program| is_new(program))
        .collect()
}

/// The kinds of a family: those that are installed, of which the first is the default, and those
/// that are carried out by another version.
fn family(
    name: &str,
    asked: &[&str],
    installed: &[String],
    engine: impl Fn(&str) -> (Engine, String),
) -> Vec<Entry> {
    let more = installed.iter().map(String::as_str);
    let more = more.filter(|version| !asked.contains(version));
    let versions = asked.iter().copied().chain(more);
    let entries = versions.map(|version| {
        let (engine, carried_out_by) = engine(version);
        let is_installed = installed.iter().any(|installed| installed == version);
        Entry {
            kind: Kind {
                family: name.to_owned(),
                kind: format!("{name}:{version}"),
                default: installed.first().is_some_and(|first| first == version),
                carried_out_by: (!is_installed).then_some(carried_out_by),
            },
            engine,
        }
    });
    entries.collect()
}

fn only(kind: &str, engine: Engine) -> Entry {
    let family = kind.split(':').next().unwrap_or(kind);
    Entry {
        kind: Kind {
            family: family.to_owned(),
            kind: kind.to_owned(),
            default: true,
            carried_out_by: None,
        },
        engine,
    }
}

/// Major and minor version.
fn short(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').take(2).collect();
    parts.join(".")
}

/// Says the version over descriptor 3, which shows that the protocol can be spoken as well.
const NODE_VERSION: [&str; 2] = [
    "-e",
    "require('fs').writeSync(3, process.versions.node + '\\n')",
];
const PYTHON_VERSION: [&str; 2] = [
    "-c",
    "import os, platform; os.write(3, platform.python_version().encode() + b'\\n')",
];

async fn probe(
    launcher: &Launcher,
    program: PathBuf,
    script: &Path,
    args: [&str; 2],
) -> Option<Interpreter> {
    let launch = Launch {
        program: &program,
        args: args.map(str::to_owned).into(),
        cwd: None,
        readable: launch::prefix(&program).into_iter().collect(),
        env: BTreeMap::new(),
        requests_on_stdin: false,
        memory: PROBE_MEMORY,
    };
    let bounds = Bounds {
        until: tokio::time::Instant::now() + PROBE,
        memory: PROBE_MEMORY,
        processes: 1,
        answer: 100,
        kept: 0,
    };
    let mut logs = Logs::new(1000);
    let heard = match launcher.start(launch, (0, ())).await {
        Ok((mut process, _home)) => {
            let heard = process.ask(b"", bounds, &mut logs).await;
            process.end().await;
            heard
        }
        Err(error) => {
            tracing::warn!(program = %program.display(), %error, "interpreter can't be started");
            return None;
        }
    };
    let version = match &heard {
        Heard::Line(line) => String::from_utf8_lossy(line).into_owned(),
        _ => String::new(),
    };
    if !version.starts_with(|first: char| first.is_ascii_digit()) {
        let logs = logs.finish(false, jiff::Timestamp::UNIX_EPOCH);
        tracing::warn!(program = %program.display(), ?heard, ?logs, "interpreter can't be used");
        return None;
    }
    Some(Interpreter {
        program,
        launcher: script.to_owned(),
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(version: &str) -> Interpreter {
        Interpreter {
            program: "/usr/bin/x".into(),
            launcher: "/x".into(),
            version: version.to_owned(),
        }
    }

    fn carried_out_by<'a>(catalogue: &'a Catalogue, kind: &str) -> Option<&'a str> {
        let entry = catalogue.entry(kind).unwrap();
        entry.kind.carried_out_by.as_deref()
    }

    #[test]
    fn every_version_of_node_is_carried_out_by_the_one_that_is_there_and_that_is_told() {
        let catalogue = Catalogue::new(Some(interpreter("20.20.2")), Vec::new(), true);
        assert_eq!(carried_out_by(&catalogue, "nodejs:20"), None);
        assert_eq!(
            carried_out_by(&catalogue, "nodejs:18"),
            Some("node 20.20.2")
        );
        let default = catalogue.entry("nodejs:default").unwrap();
        assert_eq!(default.kind.kind, "nodejs:20");
        assert!(catalogue.entry("python:3.11").is_none());
    }

    #[test]
    fn without_node_its_kinds_are_scripts_and_that_is_told() {
        let catalogue = Catalogue::new(None, Vec::new(), true);
        let entry = catalogue.entry("nodejs:default").unwrap();
        assert_eq!(entry.engine, Engine::Script);
        assert_eq!(entry.kind.carried_out_by.as_deref(), Some("quickjs:1"));
        assert_eq!(carried_out_by(&catalogue, "quickjs:1"), None);
        assert!(
            Catalogue::new(None, Vec::new(), false)
                .entry("nodejs:20")
                .is_none()
        );
    }

    #[test]
    fn an_exact_python_is_preferred_and_the_first_is_the_default() {
        let pythons = vec![interpreter("3.11.2"), interpreter("3.14.0")];
        let catalogue = Catalogue::new(None, pythons, false);
        assert_eq!(carried_out_by(&catalogue, "python:3.14"), None);
        assert_eq!(
            carried_out_by(&catalogue, "python:3.10"),
            Some("python 3.11.2")
        );
        assert_eq!(
            catalogue.entry("python:default").unwrap().kind.kind,
            "python:3.11"
        );
    }
}
