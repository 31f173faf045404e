//! One process that belongs to one revision of an action: how it is started, made ready and
//! called. What its answers mean is decided in `answer`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::{Manner, Verdict, judge_run, judge_start};
use super::catalogue::Engine;
use super::code::{self, Folder, Folders, Otherwise, Prepared};
use super::launch::{Launch, Launcher};
use super::logs::Logs;
use super::process::{Bounds, Heard, Process};
use super::removal::OwnFolder;
use super::room;
use super::run::{ActionKey, Run};
use super::watch;

/// The smallest and the largest half of V8's young generation, in MB.
const YOUNG_MB: (u32, u32) = (1, 16);

/// Which calls may share a process: those of one revision, for one namespace, with the same
/// environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) action: ActionKey,
    namespace: String,
    env: BTreeMap<String, String>,
}

impl Lane {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            action: run.action.clone(),
            namespace: run.envelope.namespace.clone(),
            env: run.env.clone(),
        }
    }
}

/// What a process started ahead must be to serve an action: the interpreter. None where such a
/// process can't serve it, because the cage must know the code.
pub(super) type Breed = Option<PathBuf>;

pub(super) type Seat = room::Seat<Lane, Breed, Worker>;

/// Bounds of a conversation, and where its logs go.
pub(super) type Talk<'a> = (Bounds, &'a mut Logs);

/// Where a process comes from.
pub(super) enum Origin {
    /// It was started ahead.
    Ahead(Box<Worker>),
    /// It is to be started in this seat.
    Seat(Seat),
}

/// See the module. Dropping it kills the process.
pub(super) struct Worker {
    // The order of these is the order in which they go.
    process: Process,
    /// Its own folder, and its seat until that is gone: so there are no more folders to be
    /// removed at a time than there are seats.
    home: OwnFolder<Seat>,
    _folder: Option<Arc<Folder>>,
}

impl Worker {
    /// Starts an interpreter. It can read the folder, if any.
    pub(super) async fn interpreter(
        launcher: &Launcher,
        engine: &Engine,
        memory_mb: u32,
        (seat, folder): (Seat, Option<Arc<Folder>>),
    ) -> io::Result<Self> {
        let (interpreter, mut args) = match engine {
            Engine::Node(node) => (node, node_arguments(memory_mb)),
            // Unbuffered, so that the logs of a call that is killed are there.
            Engine::Python(python) => (python, vec!["-u".to_owned()]),
            Engine::Program | Engine::Script => {
                return Err(io::Error::other("it has no interpreter"));
            }
        };
        args.push(interpreter.launcher.display().to_string());
        let mut readable = interpreter.readable();
        readable.extend(folder.as_ref().map(|folder| folder.path().to_owned()));
        let modules = launcher.settings.programs.node_modules.as_deref();
        readable.extend(modules.map(Path::to_owned));
        let modules = modules.map(|path| ("NODE_PATH".to_owned(), path.display().to_string()));
        let launch = Launch {
            program: &interpreter.program,
            args,
            cwd: None,
            readable,
            env: modules.into_iter().collect(),
            requests_on_stdin: false,
            memory: u64::from(memory_mb) << 20,
        };
        Self::start(launcher, launch, seat, folder).await
    }

    /// Starts the action's own program.
    async fn program(
        launcher: &Launcher,
        run: &Run,
        (seat, folder): (Seat, Arc<Folder>),
    ) -> Result<Self, Verdict> {
        let settings = &launcher.settings.executables;
        let environment = settings.environment.as_deref();
        let program = code::check_program(folder.path(), environment).map_err(unusable)?;
        let mut env = first_environment(run);
        let told = environment.map(|text| ("OW_EXECUTION_ENV".to_owned(), text.to_owned()));
        env.extend(told);
        if settings.acknowledge {
            env.insert("__OW_WAIT_FOR_ACK".to_owned(), "1".to_owned());
        }
        let launch = Launch {
            program: &program,
            args: Vec::new(),
            cwd: Some(folder.path()),
            readable: vec![folder.path().to_owned()],
            env,
            requests_on_stdin: true,
            memory: run.limits.memory_bytes(),
        };
        let started = Self::start(launcher, launch, seat, Some(Arc::clone(&folder))).await;
        started.map_err(|error| cannot_start(&error))
    }

    async fn start(
        launcher: &Launcher,
        launch: Launch<'_>,
        seat: Seat,
        folder: Option<Arc<Folder>>,
    ) -> io::Result<Self> {
        let number = seat.number;
        let (process, home) = launcher.start(launch, (number, seat)).await?;
        Ok(Self {
            process,
            home,
            _folder: folder,
        })
    }

    /// Whether the interpreter came up.
    pub(super) async fn is_up(&mut self, (bounds, logs): Talk<'_>) -> bool {
        let request = json!({ "ready": true });
        let heard = self.ask(&request, (bounds, logs)).await;
        matches!(heard, Heard::Line(line) if line.starts_with(b"{"))
    }

    /// Whether it can't be used for another call. If it can, it runs again.
    pub(super) fn is_unfit(&mut self) -> bool {
        self.process.is_unfit()
    }

    /// Stops it from running until it is needed.
    pub(super) fn pause(&mut self) {
        self.process.pause();
    }

    /// Memory of its first process.
    pub(super) fn bytes(&self) -> Option<u64> {
        watch::process_bytes(self.process.id())
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn end(self) {
        self.process.end().await;
    }

    /// Ends it and gives up its seat, for another process; none where the host stops.
    pub(super) async fn vacate(self) -> Option<Seat> {
        self.process.end().await;
        self.home.removed().await
    }

    /// Tells an interpreter which action it is.
    async fn init(&mut self, run: &Run, code: &Prepared, talk: Talk<'_>) -> Heard {
        let (text, dir) = match code {
            Prepared::Text(text) => (Some(text), None),
            Prepared::Folder(folder) => (None, Some(folder.path())),
        };
        let request = json!({ "init": {
            "main": run.code.main.as_deref().unwrap_or("main"),
            "code": text,
            "dir": dir,
            "env": first_environment(run),
        }});
        self.ask(&request, talk).await
    }

    /// Hands over the arguments and judges the answer. `deadline` is what the action is told, in
    /// milliseconds since 1970.
    pub(super) async fn call(
        &mut self,
        run: &Run,
        manner: Manner,
        deadline: i64,
        (bounds, logs): Talk<'_>,
    ) -> Verdict {
        let mut envelope: Map<String, Value> = run
            .envelope
            .variables()
            .map(|(key, text)| (key.to_owned(), text.into()))
            .collect();
        envelope.insert("deadline".to_owned(), deadline.to_string().into());
        envelope.insert("value".to_owned(), run.value.clone());
        let heard = self.ask(&Value::Object(envelope), (bounds, logs)).await;
        judge_run(heard, manner, (run.limits.timeout, bounds.answer), logs)
    }

    async fn ask(&mut self, request: &Value, (bounds, logs): Talk<'_>) -> Heard {
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        self.process.ask(&line, bounds, logs).await
    }
}

/// Makes processes ready for calls of an action.
pub(super) struct Maker<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) folders: &'a Folders,
    pub(super) engine: &'a Engine,
}

impl Maker<'_> {
    /// A process that can be called.
    pub(super) async fn make(
        &self,
        run: &Run,
        origin: Origin,
        talk: Talk<'_>,
    ) -> Result<Worker, Verdict> {
        let otherwise = match self.engine {
            Engine::Program => Otherwise::Program,
            _ => Otherwise::Text,
        };
        let code = self.folders.prepare(&run.action, &run.code, otherwise);
        let code = code.await.map_err(unusable)?;
        match (origin, &code) {
            (Origin::Ahead(worker), Prepared::Text(_)) => {
                self.init(run, *worker, &code, talk).await
            }
            (Origin::Ahead(worker), Prepared::Folder(_)) => {
                worker.end().await;
                Err(Verdict::not_provisioned())
            }
            (Origin::Seat(seat), Prepared::Folder(folder)) if *self.engine == Engine::Program => {
                self.program(run, (seat, Arc::clone(folder)), talk).await
            }
            (Origin::Seat(seat), code) => {
                let folder = match code {
                    Prepared::Folder(folder) => Some(Arc::clone(folder)),
                    Prepared::Text(_) => None,
                };
                let memory = run.limits.memory_mb;
                let place = (seat, folder);
                let worker = Worker::interpreter(self.launcher, self.engine, memory, place).await;
                let worker = worker.map_err(|error| cannot_start(&error))?;
                self.init(run, worker, code, talk).await
            }
        }
    }

    async fn init(
        &self,
        run: &Run,
        mut worker: Worker,
        code: &Prepared,
        (bounds, logs): Talk<'_>,
    ) -> Result<Worker, Verdict> {
        let heard = worker.init(run, code, (bounds, logs)).await;
        self.judge(run, worker, heard, logs).await
    }

    async fn program(
        &self,
        run: &Run,
        place: (Seat, Arc<Folder>),
        (bounds, logs): Talk<'_>,
    ) -> Result<Worker, Verdict> {
        let mut worker = Worker::program(self.launcher, run, place).await?;
        if !self.launcher.settings.executables.acknowledge {
            return Ok(worker);
        }
        let heard = worker.process.ask(b"", bounds, logs).await;
        self.judge(run, worker, heard, logs).await
    }

    async fn judge(
        &self,
        run: &Run,
        worker: Worker,
        heard: Heard,
        logs: &Logs,
    ) -> Result<Worker, Verdict> {
        let manner = self.engine.manner();
        match judge_start(heard, manner, run.limits.timeout, logs) {
            None => Ok(worker),
            Some(verdict) => {
                worker.end().await;
                Err(verdict)
            }
        }
    }
}

fn unusable(error: code::Error) -> Verdict {
    match error {
        code::Error::Unusable(text) => Verdict::unusable(text),
        code::Error::Folder(error) => cannot_start(&error),
    }
}

fn cannot_start(error: &io::Error) -> Verdict {
    tracing::warn!(%error, "a function could not be started");
    Verdict::not_provisioned()
}

/// What an action finds in its environment when it starts: its parameters for that, and what is
/// known of the first call.
pub(super) fn first_environment(run: &Run) -> BTreeMap<String, String> {
    let host = run
        .envelope
        .api_host
        .as_deref()
        .map(|host| ("api_host", host));
    let told = run.envelope.variables().chain(host);
    let told = told.map(|(key, text)| (format!("__OW_{}", key.to_uppercase()), text.to_owned()));
    let mut env = run.env.clone();
    env.extend(told);
    env
}

/// V8's limits below the memory limit, so that it collects its garbage before the process is
/// killed for it: three quarters for old objects, and a tenth for young ones, which are kept in
/// three spaces of this size.
fn node_arguments(memory_mb: u32) -> Vec<String> {
    let old = memory_mb * 3 / 4;
    let young = (memory_mb / 32).clamp(YOUNG_MB.0, YOUNG_MB.1);
    vec![
        format!("--max-old-space-size={old}"),
        format!("--max-semi-space-size={young}"),
    ]
}
