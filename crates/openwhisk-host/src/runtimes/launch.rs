//! From an action's needs to the command that starts a process for it in a cage.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conche_runtime::clock::SharedClock;
use tokio::process::Command;

use super::cage::{self, CAGE_ARGUMENT, Plan, Resources};
use super::process::Process;
use super::removal::OwnFolder;
use super::root::Root;
use super::settings::Settings;
use super::starter::Starter;
use super::undertaker::Undertaker;

/// What every program needs of the system, to read and execute. Of the system's settings only
/// those are here that say where things are, and no folder of people or of services.
const SYSTEM: &[&str] = &[
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/vm/overcommit_memory",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
];

/// Devices that hold nothing. Not `/dev/zero`: mapped, it is memory that can't be counted.
const DEVICES: &[&str] = &["/dev/full", "/dev/null", "/dev/random", "/dev/urandom"];

/// Where commands are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Private memory that a process may have beyond its limit: for stacks and for what engines
/// set aside. The limit itself is watched over; this is the wall behind it.
const SLACK: u64 = 256 << 20;

/// Starts processes.
pub(super) struct Launcher {
    pub(super) settings: Settings,
    clock: SharedClock,
    starter: Starter,
    undertaker: Arc<Undertaker>,
    root: Root,
}

/// What is to be started.
pub(super) struct Launch<'a> {
    pub(super) program: &'a Path,
    pub(super) args: Vec<String>,
    /// Where it begins; its own folder where there is none.
    pub(super) cwd: Option<&'a Path>,
    /// What it may read beside the system.
    pub(super) readable: Vec<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) requests_on_stdin: bool,
    /// Bytes that it may use.
    pub(super) memory: u64,
}

impl Launcher {
    pub(super) fn new(settings: Settings, clock: SharedClock) -> io::Result<Self> {
        let root = Root::new(&settings.below)?;
        let undertaker = Arc::new(Undertaker::start(&settings.cage)?);
        Ok(Self {
            settings,
            undertaker,
            clock,
            starter: Starter::new()?,
            root,
        })
    }

    /// Where folders for code and launchers are made.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a launcher of a language, for every process to read.
    pub(super) fn script(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let folder = self.root.path().join("launchers");
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// Starts a process, in a folder of its own that goes when the second value is dropped, and
    /// then the seat whose number decides which user it is.
    pub(super) async fn start<T: Send + 'static>(
        &self,
        launch: Launch<'_>,
        (number, seat): (usize, T),
    ) -> io::Result<(Process, OwnFolder<T>)> {
        let user = self.user(number);
        let home = OwnFolder::make(self.root.path(), "home-", seat)?;
        if let Some((user, group)) = user {
            chown(home.path(), Some(user), Some(group))?;
        }
        let mut env = launch.env.clone();
        let home_text = home.path().display().to_string();
        let own = [
            ("HOME", home_text.as_str()),
            ("LANG", "C.UTF-8"),
            ("PATH", PATH),
            ("TMPDIR", home_text.as_str()),
        ];
        for (key, value) in own {
            env.entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let environment = cage::environment(&env)?;
        let command = (self.command(launch, home.path(), user)?, environment);
        let (starter, undertaker) = (&self.starter, &self.undertaker);
        let process = Process::start(starter, undertaker, command, self.clock.clone()).await?;
        Ok((process, home))
    }

    fn user(&self, seat: usize) -> Option<(u32, u32)> {
        let first = self.settings.users?.first;
        let user = first.saturating_add(seat as u32);
        Some((user, user))
    }

    fn command(
        &self,
        launch: Launch<'_>,
        home: &Path,
        user: Option<(u32, u32)>,
    ) -> io::Result<Command> {
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        readable.extend(launch.readable);
        readable.extend(self.settings.programs.readable.iter().cloned());
        let mut writable: Vec<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
        writable.push(home.to_owned());
        let plan = Plan {
            program: launch.program.to_owned(),
            args: launch.args,
            cwd: launch.cwd.unwrap_or(home).to_owned(),
            host: std::process::id().cast_signed(),
            requests_on_stdin: launch.requests_on_stdin,
            user,
            limits: self.resources(launch.memory, user.is_some()),
            readable,
            writable,
            network: self.settings.network,
        };
        let mut command = Command::new(&self.settings.cage.program);
        command
            .arg(CAGE_ARGUMENT)
            .arg(serde_json::to_string(&plan)?)
            .current_dir("/")
            .env_clear();
        Ok(command)
    }

    fn resources(&self, memory: u64, own_user: bool) -> Resources {
        let limits = &self.settings.process;
        Resources {
            data: memory.saturating_add(SLACK),
            file: limits.file,
            descriptors: limits.descriptors,
            // The kernel counts what the user has elsewhere as well.
            processes: if own_user { limits.threads } else { u64::MAX },
        }
    }
}

/// The folder that an interpreter was installed in, with its libraries.
pub(super) fn prefix(program: &Path) -> Option<PathBuf> {
    let program = program.canonicalize().ok()?;
    let prefix = program.parent()?.parent()?;
    (prefix != Path::new("/")).then(|| prefix.to_owned())
}
