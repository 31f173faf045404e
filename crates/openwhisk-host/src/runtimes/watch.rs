//! How much memory an action uses, as the kernel counts it.
//!
//! Counted is what is the action's own: private memory, shared memory that is no file, and what
//! of it was swapped out. The interpreter's program text is not, which all processes share.
//! Where there is no `/proc` nothing is seen, and only the resource limits hold.

use std::fs;

/// What a session uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) processes: usize,
}

/// Memory of one process.
pub(super) fn process_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(own_bytes(&status))
}

/// Memory of all processes of the session, whose number is that of its first process.
pub(super) fn session(leader: u32) -> Usage {
    let mut usage = Usage::default();
    let Ok(entries) = fs::read_dir("/proc") else {
        return usage;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        if session_of(&stat) == Some(leader) {
            usage.processes += 1;
            usage.bytes += process_bytes(pid).unwrap_or_default();
        }
    }
    usage
}

/// The session in the text of `/proc/PID/stat`.
fn session_of(stat: &str) -> Option<u32> {
    // The name, in parentheses, may hold anything. After it: state, parent, group, session.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(3)?.parse().ok()
}

fn own_bytes(status: &str) -> u64 {
    let own = ["RssAnon:", "RssShmem:", "VmSwap:"];
    let lines = status.lines().filter_map(|line| {
        let (name, value) = line.split_at(line.find(':')? + 1);
        own.contains(&name).then_some(value)
    });
    let kib = lines.filter_map(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_behind_any_name() {
        assert_eq!(session_of("12 (a) b (c)) S 1 12 7 0 -1"), Some(7));
        assert_eq!(session_of("12 (a"), None);
    }

    #[test]
    fn program_text_does_not_count() {
        let status = "VmRSS:\t100 kB\nRssAnon:\t  30 kB\nRssFile:\t60 kB\nRssShmem:\t10 kB\n";
        assert_eq!(own_bytes(status), 40 * 1024);
    }

    #[test]
    fn memory_that_is_touched_is_seen() {
        let before = process_bytes(std::process::id()).unwrap();
        let much = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = process_bytes(std::process::id()).unwrap();
        assert!(after >= before + much.len() as u64 / 2, "{before} {after}");
    }
}
