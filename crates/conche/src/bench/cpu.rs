//! Who uses the processors: this process's threads by name, and its script workers.
//!
//! Reads `/proc`; what it can't read counts as nothing. Never judges.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::statistics::figure;

/// Processor time used until a moment.
pub(crate) struct Cpu {
    at: Instant,
    times: BTreeMap<String, Time>,
}

/// What became of the time of threads, in seconds or as a share of one core.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    /// On a processor.
    used: f64,
    /// Ready to run, while the processors were taken.
    queued: f64,
}

/// Processor time used between two moments, as shares of one core.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(BTreeMap<String, Time>);

/// From this share of all cores on the processors count as used up.
const BUSY: f64 = 0.85;
/// Nanoseconds a second.
const NANOS: f64 = 1e9;

impl Cpu {
    /// What was used until now.
    pub(crate) fn now() -> Self {
        let mut times: BTreeMap<String, Time> = BTreeMap::new();
        let mut add = |role: &str, thread: &Path| {
            let (time, more) = (times.entry(role.to_owned()).or_default(), Time::of(thread));
            time.used += more.used;
            time.queued += more.queued;
        };
        for (thread, name) in tasks(Path::new("/proc/self/task")) {
            add(role(&name), &thread);
        }
        for child in children("self") {
            for (thread, _name) in tasks(&Path::new("/proc").join(child).join("task")) {
                add("script workers", &thread);
            }
        }
        Self {
            at: Instant::now(),
            times,
        }
    }

    /// What was used since.
    pub(crate) fn since(&self) -> Shares {
        let now = Self::now();
        let wall = now.at.duration_since(self.at).as_secs_f64();
        let share = |(name, time): (String, Time)| {
            let before = self.times.get(&name).copied().unwrap_or_default();
            // A thread that ended took its time with it.
            let share = |now: f64, before: f64| (now - before).max(0.0) / wall;
            let time = Time {
                used: share(time.used, before.used),
                queued: share(time.queued, before.queued),
            };
            (name, time)
        };
        Shares(now.times.into_iter().map(share).collect())
    }
}

impl Time {
    /// Of one thread, from its `schedstat`.
    fn of(thread: &Path) -> Self {
        let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        let mut seconds = text
            .split_whitespace()
            .map(|nanos| nanos.parse::<f64>().unwrap_or_default() / NANOS);
        Self {
            used: seconds.next().unwrap_or_default(),
            queued: seconds.next().unwrap_or_default(),
        }
    }
}

impl Shares {
    /// What bounds work that was done so often a second, as far as the processors tell.
    pub(crate) fn bound(&self, rate: f64) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let sum = |of: fn(&Time) -> f64| self.0.values().map(of).sum::<f64>();
        let (used, queued) = (sum(|time| time.used), sum(|time| time.queued));
        let bound = if used >= cores * BUSY {
            "the processors"
        } else if used + queued >= cores * BUSY {
            "the processors, which others use too"
        } else {
            "not the processors but waiting, for the disk or for each other"
        };
        format!(
            "{bound}: {} of {} cores used, {} more wanted; {} µs of processor time each ({})",
            figure(used),
            figure(cores),
            figure(queued),
            figure(used / rate * 1e6),
            self.words()
        )
    }

    /// The greatest first, in percent of one core, leaving out what is below one percent.
    pub(crate) fn words(&self) -> String {
        let mut shares: Vec<_> = self
            .0
            .iter()
            .filter(|(_, time)| time.used >= 0.01)
            .collect();
        shares.sort_unstable_by(|a, b| b.1.used.total_cmp(&a.1.used));
        let words = shares
            .iter()
            .map(|(name, time)| format!("{name} {:.0} %", time.used * 100.0));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Seconds of processor time that a process, by its id, and those that it started have used
/// in threads that are alive.
pub(crate) fn used(process: &str) -> f64 {
    let mut processes = children(process);
    processes.push(process.to_owned());
    let threads = processes
        .iter()
        .flat_map(|id| tasks(&Path::new("/proc").join(id).join("task")));
    threads.map(|(thread, _name)| Time::of(&thread).used).sum()
}

/// What a thread is there for, by its name.
fn role(name: &str) -> &str {
    match name {
        "store-writer" => "store writer",
        name if name.starts_with("store-") => "store readers and checkpoints",
        name if name.starts_with("tokio") => "engine (tokio)",
        _ => "bench and rest",
    }
}

/// The threads of a process: where each is described, and its name.
fn tasks(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let task = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((entry.path(), name.trim().to_owned()))
    };
    entries.flatten().filter_map(task).collect()
}

/// The processes that a process started, by id.
pub(crate) fn children(process: &str) -> Vec<String> {
    let own = tasks(&Path::new("/proc").join(process).join("task"));
    let of_thread = |(path, _name): &(PathBuf, String)| {
        fs::read_to_string(path.join("children")).unwrap_or_default()
    };
    let ids: String = own.iter().map(of_thread).collect::<Vec<_>>().join(" ");
    ids.split_whitespace().map(str::to_owned).collect()
}
