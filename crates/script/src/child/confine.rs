//! The cage. A worker builds it around itself, outermost wall first, and can
//! never take it down again: descriptors, no-new-privileges and not dumpable,
//! Landlock, resource limits, and last a seccomp list of the few system calls
//! that computing and two pipes need. Everything else answers `EPERM`.
//!
//! Only Landlock may be missing (older kernels); seccomp alone already denies
//! every call that takes a path or makes a socket.

use std::collections::BTreeMap;
use std::fs;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::unistd;
use rlimit::Resource;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Address space beyond what the process has mapped already and the script
/// heap: frames in and out, the kept realms, allocator slack.
const SLACK: u64 = 96 * 1024 * 1024;

/// CPU seconds after which the kernel ends a worker that its parent has
/// forgotten. The parent replaces workers long before
/// (`WORN_AFTER` in `pool::slot`).
const CPU_SECONDS: u64 = 120;

/// Why a process could not be confined. It must not run scripts.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    /// The descriptor list could not be read.
    #[error("cannot close inherited descriptors: {0}")]
    Descriptors(std::io::Error),
    /// The size of the process could not be read.
    #[error("cannot read the size of the process: {0}")]
    AddressSpace(std::io::Error),
    /// A resource limit was refused.
    #[error("cannot limit {resource}: {source}")]
    Limit {
        /// The limit, by the kernel's name.
        resource: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// `prctl` failed.
    #[error("cannot drop privileges: {0}")]
    Privileges(#[from] nix::Error),
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

/// Confines the calling process for good, with `memory` bytes for scripts.
///
/// Returns the protections that this kernel does not have, in words. The
/// process must have one thread and nothing open that it still needs but
/// standard input, output and error.
pub fn confine(memory: u64) -> Result<Vec<String>, Unconfined> {
    close_inherited().map_err(Unconfined::Descriptors)?;
    let mapped = mapped_bytes().map_err(Unconfined::AddressSpace)?;
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    let missing = restrict_files_and_network()?;
    // After Landlock, which needs a descriptor to build its rules.
    limit_resources(mapped + 2 * memory + SLACK)?;
    seccompiler::apply_filter_all_threads(&filter()?)?;
    Ok(missing)
}

fn close_inherited() -> std::io::Result<()> {
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
    Ok(())
}

fn limit_resources(address_space: u64) -> Result<(), Unconfined> {
    let limits = [
        ("AS", Resource::AS, address_space),
        ("CORE", Resource::CORE, 0),
        ("CPU", Resource::CPU, CPU_SECONDS),
        ("FSIZE", Resource::FSIZE, 0),
        ("NOFILE", Resource::NOFILE, 3),
        ("NPROC", Resource::NPROC, 0),
    ];
    for (resource, kind, limit) in limits {
        kind.set(limit, limit)
            .map_err(|source| Unconfined::Limit { resource, source })?;
    }
    Ok(())
}

/// Address space in use now, which depends on the binary and its debug data.
fn mapped_bytes() -> std::io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn restrict_files_and_network() -> Result<Vec<String>, Unconfined> {
    // Best effort by default: what an older kernel does not know is left out.
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    let missing = match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => None,
        (RulesetStatus::PartiallyEnforced, _) => Some("this kernel knows only a part of Landlock"),
        (_, LandlockStatus::NotEnabled) => Some("Landlock is switched off in this kernel"),
        (_, _) => Some("this kernel has no Landlock"),
    };
    Ok(missing.map(ToOwned::to_owned).into_iter().collect())
}

/// The system calls that computing and two pipes need.
fn filter() -> Result<BpfProgram, Unconfined> {
    let plain = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_gettimeofday,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_write,
        libc::SYS_writev,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        plain.into_iter().map(|call| (call, Vec::new())).collect();
    // Memory may be mapped, but never as code.
    let not_code = argument(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?;
    rules.insert(libc::SYS_mmap, vec![not_code.clone()]);
    rules.insert(libc::SYS_mprotect, vec![not_code]);
    // `abort` signals its own thread; nobody else can be signalled.
    let own_process = argument(0, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
    rules.insert(libc::SYS_tgkill, vec![own_process]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, Unconfined> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Qword, compare, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}
