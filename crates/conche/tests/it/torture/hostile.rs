//! R10, R11: hostile scripts, over and over. Each ends at its limit of processor time, stays
//! within its memory, and costs the next script nothing but the start of a worker.
//!
//! Time and memory are the kernel's own figures of the worker process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_script::{
    Config, Error, Evaluation, Isolation, Limits, QuarantinePolicy, Sandbox, Script, WorkerCommand,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::value::RawValue;

use super::plant::program;
use super::proc::used;
use super::{count, tell};

/// Processor time of a call.
const TIME: Duration = Duration::from_millis(25);
/// How much later its worker is gone, in processor time, where the machine is quiet. What is
/// later is counted.
const LATE: Duration = Duration::from_millis(50);
/// Whoever has to kill it must itself get a processor first: on a busy machine it takes longer.
const BUSY: Duration = Duration::from_millis(700);
/// Heap of a script.
const MEMORY: u64 = 16 << 20;
/// What a worker may take beyond that: 24 MiB are granted for the kept realms of other scripts,
/// the rest is for its code, its stack and what it is about to refuse.
const BEYOND: u64 = 32 << 20;

/// Scripts that want to hang, fill or fool us. The first fourteen are those that limits
/// within a process do not stop.
const BODIES: [&str; 19] = [
    "while (true) {}",
    "for (;;) { try { while (true) {} } catch (e) {} finally { continue } }",
    "/(a+)+$/.test('a'.repeat(40) + 'b')",
    "var a = []; a[4294967290] = 1; for (;;) a.indexOf(2)",
    "(async () => { for (;;) await null })()",
    "var big = 'x'.repeat(5e6); for (;;) big.indexOf('y')",
    "var arr = Array.from({ length: 1e5 }, (_, i) => -i); for (;;) arr.slice().sort()",
    "var big = { s: 'x'.repeat(1e6) }; for (;;) JSON.stringify(big)",
    "var big = 'x'.repeat(1e6); for (;;) big.replaceAll('x', 'y')",
    "var arr = new Array(1e6); for (;;) arr.fill(1)",
    "for (;;) (3n ** 200000n).toString()",
    "var x = 3n; for (;;) { x = x * x; if (x > 1n << 500000n) x = 3n }",
    "var a = new Uint8Array(1e6); for (;;) a.sort()",
    "for (;;) [1, 2, 3].concat(new Array(1e5).fill(0)).reverse().join()",
    "function f() { f() } f()",
    "nextAction = 'a'; result = { big: 'x'.repeat(1e6) }",
    "(function flood() { Promise.resolve().then(flood); Promise.resolve().then(flood) })()",
    "nextAction = 'a'; result = { get x() { for (;;) {} } }",
    "nextAction = 'a'; result = new Proxy({}, { ownKeys() { for (;;) {} } })",
];

/// Scripts that want all memory. They get time enough to reach the limit.
const EATERS: [&str; 3] = [
    "var a = []; for (;;) a.push(new Array(1000).fill(1))",
    "var a = []; for (;;) a.push(new Uint8Array(1e5))",
    "new Array(1e8).fill({})",
];
/// Processor time of those.
const LONG: Duration = Duration::from_secs(10);

/// The worst that was seen, and what the calls ended with.
#[derive(Default)]
struct Worst {
    calls: u64,
    processor: Duration,
    /// Calls whose worker was gone later than it should be.
    late: u64,
    /// Peak of resident bytes over that of a worker before the call.
    grown: u64,
    wall: Duration,
    /// The call after a hostile one, the start of a worker included.
    next: Vec<Duration>,
    ends: BTreeMap<&'static str, u64>,
}

fn call(body: &str, time: Duration) -> Evaluation {
    let event = RawValue::from_string(r#"{"n":1}"#.to_owned()).expect("JSON");
    Evaluation {
        script: Arc::new(Script::new("hostile", body)),
        event: event.into(),
        action_data: None,
        lists: None,
        isolation: Isolation::Warm,
        limits: Some(Limits {
            time,
            memory: MEMORY,
            ..Limits::default()
        }),
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Timeout { .. } => "out of time",
        Error::Memory { .. } => "out of memory",
        Error::OutputTooLarge { .. } => "too much output",
        Error::Script { .. } => "an exception",
        Error::Crashed { .. } => "a crash",
        _ => "something else",
    }
}

impl Worst {
    /// Runs a hostile script, looking at its worker until it is over.
    async fn suffer(&mut self, sandbox: &Sandbox, body: &str, time: Duration) {
        self.calm(sandbox).await;
        let worker = sandbox.stats().pids[0];
        let before = used(worker).expect("a live worker");
        let mut last = before;
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        let mut ending = std::pin::pin!(sandbox.evaluate(call(body, time)));
        let ended = loop {
            tokio::select! {
                ended = &mut ending => break ended,
                _ = tick.tick() => last = used(worker).unwrap_or(last),
            }
        };
        let error = ended.expect_err(body);
        let processor = last.processor.saturating_sub(before.processor);
        let grown = last.peak - before.peak;
        assert!(processor <= time + BUSY, "{body}: {processor:?}");
        assert!(grown <= MEMORY + BEYOND, "{body}: {grown} bytes");
        self.calls += 1;
        self.grown = self.grown.max(grown);
        self.late += u64::from(processor > time + LATE);
        if time == TIME {
            self.processor = self.processor.max(processor);
            self.wall = self.wall.max(began.elapsed());
        }
        *self.ends.entry(kind(&error)).or_default() += 1;
    }

    /// A harmless script is answered.
    async fn calm(&mut self, sandbox: &Sandbox) {
        let began = Instant::now();
        let harmless = call("nextAction = 'n' + event.n", Duration::from_secs(5));
        sandbox.evaluate(harmless).await.expect("a worker answers");
        self.next.push(began.elapsed());
    }
}

/// A worker that crashes in the midst of its work.
async fn crash(sandbox: &Sandbox) {
    let worker = sandbox.stats().pids[0];
    let hang = call("while (true) {}", Duration::from_secs(5));
    let mut ending = std::pin::pin!(sandbox.evaluate(hang));
    let began = used(worker).expect("a live worker").processor;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            ended = &mut ending => panic!("it ended by itself: {ended:?}"),
            _ = tick.tick() => {}
        }
        let now = used(worker).expect("a live worker").processor;
        if now.saturating_sub(began) > Duration::from_millis(2) {
            break;
        }
    }
    // What a failed assertion in the engine or its allocator ends with.
    kill(Pid::from_raw(worker as i32), Signal::SIGABRT).expect("a live worker");
    let error = ending.await.expect_err("it crashed");
    assert_eq!(kind(&error), "a crash", "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_scripts_stay_within_their_limits_however_often_they_come() {
    let loops = count("SCRIPTS", 3, 1_000);
    let mut config = Config::new(WorkerCommand::program(program()));
    config.workers = 1;
    config.quarantine = QuarantinePolicy {
        strikes: u32::MAX,
        ..QuarantinePolicy::default()
    };
    let sandbox = Sandbox::start(config).await.expect("a sandbox");
    let mut worst = Worst::default();
    for _ in 0..loops {
        for body in BODIES {
            worst.suffer(&sandbox, body, TIME).await;
        }
        for body in EATERS {
            worst.suffer(&sandbox, body, LONG).await;
        }
        worst.calm(&sandbox).await;
        crash(&sandbox).await;
    }
    worst.calm(&sandbox).await;
    worst.next.sort_unstable();
    tell(&format!(
        "torture R11: {} calls of {} hostile scripts and {loops} crashes, ended by {:?}; limit {TIME:?} of processor time and {} MiB: at most {:.1?} used, {} times more than {:?} beyond the limit, resident memory at most {:.1} MiB higher; at most {:.0?} by the clock; the next script answered after {:.1?} (p50), {:.1?} (p99), a new worker included; {} workers lost, 0 calls without an answer",
        worst.calls,
        BODIES.len() + EATERS.len(),
        worst.ends,
        MEMORY >> 20,
        worst.processor,
        worst.late,
        LATE,
        worst.grown as f64 / f64::from(1 << 20),
        worst.wall,
        worst.next[worst.next.len() / 2],
        worst.next[worst.next.len() * 99 / 100],
        sandbox.stats().lost,
    ));
    assert_eq!(
        worst.ends.get("a crash"),
        None,
        "no script crashes a worker"
    );
    let eaten = worst.ends.get("out of memory");
    assert_eq!(eaten, Some(&(loops * EATERS.len() as u64)));
    assert!(sandbox.quarantined().is_empty());
}
