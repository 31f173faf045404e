//! V1: what it takes to read and check a playbook, as it grows from 1,000 steps to 10,000. A
//! check that looks at each step once costs as much for each, however many there are.

use std::time::{Duration, Instant};

use conche_cacao::{Document, Profile};

use super::report::{Row, Words};
use super::statistics::{Goal, Latencies, figure, median};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["V1"],
    summary: "reading and checking a playbook as its steps grow",
    limit: Duration::from_mins(1),
    run: |bench| Box::pin(run(bench)),
};

/// Steps of the small playbook.
const FEW: usize = 1000;
/// Steps of the large one.
const MANY: usize = 10_000;

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let (many, few) = (playbook(MANY), playbook(FEW));
    let windows = bench
        .interleave(
            async |window| checked(&many, MANY, window),
            async |window| checked(&few, FEW, window),
        )
        .await?;
    let each = windows.ratios(Window::micros);
    let (large, small) = (
        median(windows.of_a(Window::ms)),
        median(windows.of_b(Window::ms)),
    );
    let goals = [
        Goal::at_most(1.5, "× for a step", median(each)),
        Goal::at_most(500.0, "ms for 10,000 steps", large),
    ];
    let words = |steps: usize, text: &str, ms: f64| {
        format!(
            "{} steps, {} KiB: {} ms, {} µs a step",
            figure(steps as f64),
            text.len() >> 10,
            figure(ms),
            figure(ms * 1e3 / steps as f64)
        )
    };
    let row = Words {
        id: "V1",
        what: "a playbook read and checked (standard), time for a step: 10,000 steps vs 1,000",
        a: words(MANY, &many, large),
        b: words(FEW, &few, small),
        bound: "one processor".to_owned(),
    };
    Ok(vec![bench.row(row, each, &goals)])
}

/// How long it took, again and again.
struct Window {
    steps: usize,
    latencies: Latencies,
}

impl Window {
    /// Milliseconds for the whole, in the middle.
    fn ms(&self) -> f64 {
        self.latencies.ms(0.5)
    }

    /// Microseconds for a step.
    fn micros(&self) -> f64 {
        self.ms() * 1e3 / self.steps as f64
    }
}

/// Reads and checks a playbook again and again.
fn checked(text: &str, steps: usize, window: Duration) -> Result<Window, Error> {
    let mut latencies = Latencies::new();
    let start = Instant::now();
    while latencies.len() == 0 || start.elapsed() < window {
        let begin = Instant::now();
        let document = Document::parse(text.as_bytes());
        let findings = document.map(|document| document.check(Profile::Standard));
        latencies.record(begin.elapsed());
        match findings.as_deref() {
            Ok([]) => {}
            Ok([first, ..]) => return Err(Error::of("the playbook", first)),
            Err(error) => return Err(Error::of("the playbook", error)),
        }
    }
    Ok(Window { steps, latencies })
}

/// A sound playbook: rounds of a condition with a branch of one action, one after the other.
fn playbook(steps: usize) -> String {
    let id =
        |kind: &str, number: usize| format!("{kind}--{number:08x}-0000-4000-8000-000000000000");
    let rounds = (steps - 2) / 3;
    let (start, end) = (id("start", 0), id("end", 1));
    let question = |round: usize| id("if-condition", 3 * round + 2);
    let mut text = format!(
        r#"{{"type":"playbook","spec_version":"cacao-2.0","id":"{}","name":"Large","created_by":"{}","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","playbook_variables":{{"__ip__":{{"type":"ipv4-addr","value":"10.0.0.1","external":true}}}},"agent_definitions":{{"{agent}":{{"type":"http-api","name":"Firewall","address":{{"url":["https://firewall.example.com"]}}}}}},"workflow_start":"{start}","workflow":{{"{start}":{{"type":"start","on_completion":"{}"}},"{end}":{{"type":"end"}}"#,
        id("playbook", 0xffff_0000),
        id("identity", 0xffff_0001),
        question(0),
        agent = id("http-api", 0xffff_0002),
    );
    let steps = |round: usize| {
        let next = if round + 1 == rounds {
            end.clone()
        } else {
            question(round + 1)
        };
        let (action, over) = (id("action", 3 * round + 3), id("end", 3 * round + 4));
        format!(
            r#","{}":{{"type":"if-condition","condition":"__ip__:value ISSUBSET '10.0.0.0/8'","on_true":"{action}","on_completion":"{next}"}},"{action}":{{"type":"action","name":"Block it","commands":[{{"type":"http-api","command":"POST /v1/block/__ip__:value HTTP/1.1","content":"{{\"address\": \"__ip__:value\"}}"}}],"agent":"{}","on_completion":"{over}"}},"{over}":{{"type":"end"}}"#,
            question(round),
            id("http-api", 0xffff_0002),
        )
    };
    text.extend((0..rounds).map(steps));
    text.push_str("}}");
    text
}
