//! Pools and calls in a form that tests can read as a sentence. A test whose interpreter is not
//! there says so and passes.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conche_openwhisk_host::runtimes::{
    ActionKey, CageCommand, Code, Envelope, Limits, Pool, Programs, Ran, ResponseClass, Run,
    Runtimes as _, Settings, Users,
};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::Supervisor;
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, ZipWriter};

/// Generous: the machine may be busy.
pub(crate) const SLOW: Duration = Duration::from_secs(30);

pub(crate) const NODE: &str = "nodejs:default";
pub(crate) const PYTHON: &str = "python:default";
pub(crate) const EXEC: &str = "exec:1";

/// Users of one pool at a time, so that the limits of one test don't meet another's.
static NEXT_USER: AtomicU32 = AtomicU32::new(2_000_000_000);

/// A pool, and what looks after it.
pub(crate) struct Rig {
    pool: Pool,
    pub(crate) users: Option<Users>,
    _supervisor: Supervisor,
}

impl Deref for Rig {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.pool
    }
}

pub(crate) fn settings() -> Settings {
    let cage = CageCommand::program(env!("CARGO_BIN_EXE_conche-function-cage"));
    let mut settings = Settings::new(cage);
    settings.programs = Programs::default();
    settings.processes = 4;
    let first = NEXT_USER.fetch_add(100, Ordering::Relaxed);
    settings.users = settings.users.map(|_| Users { first });
    settings
}

/// Settings with one interpreter, so that no test waits for the others to be tried.
pub(crate) fn settings_for(kind: &str) -> Settings {
    let mut settings = settings();
    let installed = Programs::installed();
    match kind {
        NODE => settings.programs.node = installed.node,
        PYTHON => settings.programs.python = installed.python.into_iter().take(1).collect(),
        _ => {}
    }
    settings
}

/// A pool for a kind; none, visibly, where nothing carries it out here.
pub(crate) async fn rig(kind: &str) -> Option<Rig> {
    rig_with(kind, settings_for(kind)).await
}

#[allow(clippy::print_stdout, reason = "a skipped test is seen")]
pub(crate) async fn rig_with(kind: &str, settings: Settings) -> Option<Rig> {
    let supervisor = Supervisor::new();
    let users = settings.users;
    let clock = Arc::new(SystemClock);
    let pool = Pool::start(settings, clock, &supervisor.tasks())
        .await
        .unwrap();
    let family = kind.split(':').next().unwrap();
    if !pool.kinds().iter().any(|kind| kind.family == family) {
        println!("skipped: nothing here carries out `{kind}`");
        return None;
    }
    Some(Rig {
        pool,
        users,
        _supervisor: supervisor,
    })
}

/// A call of an action with this text.
pub(crate) fn text(kind: &str, code: &str) -> Run {
    Run {
        action: ActionKey {
            name: "/guest/action".to_owned(),
            revision: "1".to_owned(),
        },
        code: Code {
            kind: kind.to_owned(),
            text: code.into(),
            binary: false,
            main: None,
            image: None,
        },
        value: json!({}),
        env: BTreeMap::new(),
        envelope: Envelope {
            namespace: "guest".to_owned(),
            action_name: "/guest/action".to_owned(),
            action_version: "0.0.1".to_owned(),
            activation_id: "0123456789abcdef0123456789abcdef".to_owned(),
            transaction_id: "tid".to_owned(),
            api_key: None,
            api_host: Some("http://127.0.0.1:3233".to_owned()),
        },
        limits: Limits {
            timeout: SLOW,
            memory_mb: 256,
            logs_mb: 10,
        },
    }
}

/// A call of an action with these bytes.
pub(crate) fn binary(kind: &str, bytes: &[u8]) -> Run {
    let mut run = text(kind, &BASE64_STANDARD.encode(bytes));
    run.code.binary = true;
    run
}

pub(crate) fn with(value: Value, run: Run) -> Run {
    Run { value, ..run }
}

pub(crate) fn named(name: &str, mut run: Run) -> Run {
    run.action.name = format!("/guest/{name}");
    run
}

pub(crate) fn main(name: &str, mut run: Run) -> Run {
    run.code.main = Some(name.to_owned());
    run
}

pub(crate) fn within(timeout: Duration, mut run: Run) -> Run {
    run.limits.timeout = timeout;
    run
}

pub(crate) fn zipped(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let mode = if *name == "exec" { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default().unix_permissions(mode);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn tarred(entries: &[(&str, &str)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// What a successful call returned.
#[track_caller]
pub(crate) fn returned(ran: Ran) -> Value {
    assert_eq!(ran.class, ResponseClass::Success, "{ran:?}");
    ran.result
}

/// The class of a failed call and its error.
#[track_caller]
pub(crate) fn error(ran: &Ran) -> (&'static str, &Value) {
    assert_ne!(ran.class, ResponseClass::Success, "{ran:?}");
    assert_eq!(ran.result.as_object().unwrap().len(), 1, "{ran:?}");
    (ran.class.status(), &ran.result["error"])
}

#[track_caller]
pub(crate) fn is_developer_error(ran: &Ran, text: &str) {
    assert_eq!(
        error(ran),
        ("action developer error", &json!(text)),
        "{ran:?}"
    );
}

/// The lines without their times, each beginning with the name of its output.
pub(crate) fn lines(ran: &Ran) -> Vec<&str> {
    ran.logs.iter().map(|line| &line[31..]).collect()
}

/// Waits until `done`, failing after [`SLOW`].
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SLOW, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"));
}

/// Whether a process is there and not only waiting to be buried.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

/// The processes of the users of a pool.
pub(crate) fn processes_of(users: Users) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let own = entries.filter(|entry| {
        let owner = entry.metadata().map(|meta| meta.uid());
        owner.is_ok_and(|owner| (users.first..users.first + 100).contains(&owner))
    });
    let pids = own.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| is_alive(pid)).collect()
}
