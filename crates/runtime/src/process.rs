//! What the kernel says of this process: one reading for metrics and measurements.
//!
//! It must never be needed for anything: where there is no `/proc` there are no figures.

/// What this process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Bytes of it that are in memory, shared ones included.
    pub resident_bytes: usize,
    /// Threads.
    pub threads: usize,
    /// Open files, connections among them.
    pub files: usize,
}

impl Process {
    /// Reads it now; `None` where there is no `/proc`.
    pub fn read() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| -> Option<usize> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            resident_bytes: number("VmRSS:")?.saturating_mul(1024),
            threads: number("Threads:")?,
            files: std::fs::read_dir("/proc/self/fd").ok()?.count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_used_is_seen() {
        let before = Process::read().unwrap();
        assert!(before.threads > 0 && before.files > 0, "{before:?}");
        let much = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = Process::read().unwrap();
        let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
        assert!(grown > much.len() / 2, "{grown}");
    }
}
