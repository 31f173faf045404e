//! What the kernel says that a process uses, from `/proc`. What a process says about itself
//! is not believed.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Processor time of all threads that are alive.
    pub(super) processor: Duration,
    /// Resident bytes now.
    pub(super) resident: u64,
    /// Most bytes that were resident at a time.
    pub(super) peak: u64,
}

/// `None` once the process is gone.
pub(super) fn used(pid: u32) -> Option<Used> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let processor = threads
        .filter_map(|thread| nanoseconds(&thread.ok()?.path()))
        .sum();
    Some(Used {
        processor: Duration::from_nanos(processor),
        resident: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// Processor time of one thread; `None` once it is gone.
fn nanoseconds(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// Forgets the peak of resident memory, so that the next one is that of what follows.
/// `false` where the system does not let us.
pub(super) fn forget_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// How many files and sockets a process has open.
pub(super) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How many threads a process has.
pub(super) fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}
