//! The system calls of an action. An interpreter with native modules needs nearly all of those
//! that deal with files, memory, threads and sockets, so what is listed here is what it does
//! *not* need: calls that reach other processes, the kernel's inside, or out of the group.
//!
//! It is nevertheless a list of what is allowed: every number that was known when this was
//! written, but for those below. What a later kernel adds, and the numbers of other calling
//! conventions, answer "not implemented".

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// The highest number known; the same on every architecture, as new calls have been since 2019.
const LAST: i64 = libc::SYS_mseal;

/// Calls that no action may make.
const DENIED: &[i64] = &[
    // Other processes: their memory, their descriptors, the session that they are killed by.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_setpgid,
    libc::SYS_setsid,
    // Namespaces and mounts. `clone3` hides its flags from filters; libraries fall back.
    libc::SYS_chroot,
    libc::SYS_clone3,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // The kernel's inside, and calls whose work filters don't see.
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // The machine's name and time.
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    // Memory that no process has to have mapped, so that nobody sees whose it is.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // Memory that is shared by name and outlives the processes.
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_shmget,
];

/// Flags of `clone` that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

/// The filter, with or without sockets that leave the machine.
///
/// Sockets with a name in the file system are never allowed: Landlock does not guard them, and
/// behind one of them there may be a Docker daemon. Pairs of sockets are.
pub(super) fn filter(network: bool) -> Result<BpfProgram, BackendError> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> =
        (0..=LAST).map(|call| (call, Vec::new())).collect();
    for denied in DENIED {
        allowed.remove(denied);
    }
    let no_namespace = argument(0, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?;
    allowed.insert(libc::SYS_clone, vec![no_namespace]);
    // Limits of other processes.
    let own = argument(0, SeccompCmpOp::Eq, 0)?;
    allowed.insert(libc::SYS_prlimit64, vec![own]);
    // Of memory that is shared among processes, what is no longer mapped stays while a page is.
    let of_a_file = argument(3, SeccompCmpOp::MaskedEq(libc::MAP_ANONYMOUS as u64), 0)?;
    let private = libc::MAP_PRIVATE as u64;
    let of_its_own = argument(3, SeccompCmpOp::MaskedEq(libc::MAP_TYPE as u64), private)?;
    allowed.insert(libc::SYS_mmap, vec![of_a_file, of_its_own]);
    if network {
        let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        let families = families.map(|family| argument(0, SeccompCmpOp::Eq, family as u64));
        let families = families.into_iter().collect::<Result<_, _>>()?;
        allowed.insert(libc::SYS_socket, families);
    } else {
        allowed.remove(&libc::SYS_socket);
    }
    let filter = SeccompFilter::new(
        allowed,
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, compare, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_fit_the_kernel() {
        // The kernel takes no longer program.
        const LONGEST: usize = 4096;
        for network in [true, false] {
            let filter = filter(network).unwrap();
            assert!(filter.len() < LONGEST, "{}", filter.len());
        }
    }
}
