//! The walls of a cage, in the order in which they are built. None can be taken down again.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, path_beneath_rules,
};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, Gid, Uid};
use rlimit::Resource;

use super::filter;
use super::{Plan, Resources};

/// Where the runtimes' protocol is spoken.
const PROTOCOL: i32 = 3;

/// The newest Landlock that is asked for; what an older kernel does not know is left out.
const LANDLOCK: ABI = ABI::V6;

/// Why a process could not be confined. It must not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconfined {
    /// The host is gone.
    #[error("the host that started it has ended")]
    Orphaned,
    /// The folder to run in could not be entered.
    #[error("cannot enter its folder: {0}")]
    Folder(io::Error),
    /// A resource limit was refused.
    #[error("cannot limit {resource}: {source}")]
    Limit {
        /// The limit, by the kernel's name.
        resource: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The session, the user or the privileges.
    #[error("cannot {what}: {source}")]
    Privileges {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// Landlock is there but refused the rules.
    #[error("cannot restrict files and network: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The system call filter could not be built.
    #[error("cannot build the system call filter: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The system call filter was refused.
    #[error("cannot install the system call filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// Confines the calling process, which must have one thread.
pub(super) fn confine(plan: &Plan) -> Result<(), Unconfined> {
    // A session of its own, so that the whole of it can be killed and no terminal is shared.
    try_to("begin a session", unistd::setsid())?;
    umask(Mode::from_bits_truncate(0o077));
    std::env::set_current_dir(&plan.cwd).map_err(Unconfined::Folder)?;
    limit(plan.limits)?;
    if let Some((user, group)) = plan.user {
        become_user(Uid::from_raw(user), Gid::from_raw(group))?;
    }
    // After the change of user, which would forget it.
    try_to("die with the host", prctl::set_pdeathsig(Signal::SIGKILL))?;
    if unistd::getppid().as_raw() != plan.host {
        return Err(Unconfined::Orphaned);
    }
    try_to("give up new privileges", prctl::set_no_new_privs())?;
    restrict(plan)?;
    seccompiler::apply_filter_all_threads(&filter::filter(plan.network)?)?;
    Ok(())
}

fn try_to<T>(what: &'static str, done: nix::Result<T>) -> Result<(), Unconfined> {
    done.map(drop)
        .map_err(|source| Unconfined::Privileges { what, source })
}

/// Leaves 0 to 3: the socket that came on 0 becomes 3, where requests are read and answers
/// written, and stays on 0 only if requests are read there. The one that is given back is for
/// the launcher's last words and goes with what it executes.
pub(super) fn descriptors(requests_on_stdin: bool) -> io::Result<UnixStream> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        match unistd::close(descriptor) {
            // The one that listed the folder is closed already.
            Ok(()) | Err(Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let protocol = fcntl(io::stdin(), FcntlArg::F_DUPFD(PROTOCOL))?;
    if protocol != PROTOCOL {
        return Err(io::Error::other("the protocol's descriptor is taken"));
    }
    let last_words = io::stdin().as_fd().try_clone_to_owned()?;
    if !requests_on_stdin {
        unistd::dup2_stdin(File::open("/dev/null")?)?;
    }
    Ok(UnixStream::from(last_words))
}

fn limit(limits: Resources) -> Result<(), Unconfined> {
    let limits = [
        ("CORE", Resource::CORE, 0),
        ("DATA", Resource::DATA, limits.data),
        ("FSIZE", Resource::FSIZE, limits.file),
        ("MEMLOCK", Resource::MEMLOCK, 0),
        ("MSGQUEUE", Resource::MSGQUEUE, 0),
        ("NOFILE", Resource::NOFILE, limits.descriptors),
        ("NPROC", Resource::NPROC, limits.processes),
    ];
    for (resource, kind, limit) in limits {
        let hard = kind.get_hard().unwrap_or(limit).min(limit);
        kind.set(hard, hard)
            .map_err(|source| Unconfined::Limit { resource, source })?;
    }
    Ok(())
}

fn become_user(user: Uid, group: Gid) -> Result<(), Unconfined> {
    try_to("leave its groups", unistd::setgroups(&[]))?;
    try_to("change its group", unistd::setresgid(group, group, group))?;
    try_to("change its user", unistd::setresuid(user, user, user))
}

fn restrict(plan: &Plan) -> Result<(), Unconfined> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    if !plan.network {
        // Seccomp denies the sockets already; this is for what it may overlook.
        ruleset = ruleset.handle_access(AccessNet::from_all(LANDLOCK))?;
    }
    // What is not there has no rule, which is as well.
    ruleset
        .create()?
        .add_rules(path_beneath_rules(
            &plan.readable,
            AccessFs::from_read(LANDLOCK),
        ))?
        .add_rules(path_beneath_rules(
            &plan.writable,
            AccessFs::from_all(LANDLOCK),
        ))?
        .restrict_self()?;
    Ok(())
}
