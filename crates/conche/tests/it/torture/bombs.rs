//! R10: bodies that are small to send and dear to read. Each is answered at once, with little
//! processor time and little memory, and the server goes on.

use std::time::Duration;

use super::plant::Plant;
use super::proc::{forget_peak, used};
use super::receiver::Receiver;
use super::{count, tell};

/// Processor time for one of them. A build without optimisation may take longer.
const PROCESSOR: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });
/// How much higher resident memory may rise.
const MEMORY: u64 = 16 << 20;
/// The largest body that is read, as configured by default.
const LARGEST: usize = 1 << 20;

/// A body, and how it may be answered.
struct Bomb {
    name: &'static str,
    body: Vec<u8>,
    encoding: Option<&'static str>,
    /// The statuses that are right.
    expected: &'static [u16],
}

fn bombs() -> Vec<Bomb> {
    let plain = |name, body: String, expected| Bomb {
        name,
        body: body.into_bytes(),
        encoding: None,
        expected,
    };
    let keys = |count: usize, key: &dyn Fn(usize) -> String| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{}\":0", key(n))).collect();
        format!("{{{}}}", members.join(","))
    };
    vec![
        plain("100,000 levels", "[".repeat(100_000), &[400]),
        plain("a MiB of levels", "[".repeat(LARGEST), &[400]),
        plain(
            "100,000 levels of objects",
            "{\"a\":".repeat(100_000),
            &[400],
        ),
        plain(
            "a million keys",
            keys(1_000_000, &|n| n.to_string()),
            &[413],
        ),
        plain("90,000 keys", keys(90_000, &|n| n.to_string()), &[202]),
        plain(
            "100,000 equal keys",
            keys(100_000, &|_| "a".to_owned()),
            &[202, 400],
        ),
        plain(
            "a number of 10 MB",
            format!("[{}]", "9".repeat(10_000_000)),
            &[413],
        ),
        plain("a number of a MiB", "9".repeat(LARGEST), &[202, 400, 422]),
        plain(
            "an exponent without end",
            format!("1e{}", "9".repeat(100_000)),
            &[202, 400, 422],
        ),
        plain(
            "lone surrogates",
            format!("[{}0]", r#""\ud800","#.repeat(100_000)),
            &[202, 400],
        ),
        plain(
            "half a million zeros",
            format!("[{}0]", "0,".repeat(500_000)),
            &[202],
        ),
        plain("a MiB of spaces", " ".repeat(LARGEST), &[400]),
        Bomb {
            name: "compressed 150 times",
            body: deflated(900_000),
            encoding: Some("gzip"),
            expected: &[400, 415],
        },
    ]
}

/// A gzip stream of nothing but copies of its first byte, as long as the bytes given: more
/// than 150 times as much when it is read.
fn deflated(bytes: usize) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // A last block with fixed codes; `0`; then again and again "258 bytes from one before".
    let start = [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0];
    let again = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let bits = start.into_iter().chain(again.into_iter().cycle());
    let mut bits = bits.take(bytes * 8);
    while let Some(first) = bits.next() {
        let rest = bits.by_ref().take(7).enumerate();
        packed.push(rest.fold(first, |byte, (place, bit)| byte | bit << (place + 1)));
    }
    packed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_dear_to_read_are_answered_cheaply() {
    let times = count("BOMBS", 1, 20);
    let mut plant = Plant::new();
    assert!(plant.start(None), "{}", plant.log());
    let pid = plant.pid();
    // What is paid once, such as the start of workers and the first event, is paid before.
    let (_, receiver) = Receiver::start().await;
    assert!(plant.send(0, receiver).await, "{}", plant.log());
    plant.settle().await;
    let is_exact = forget_peak(pid);
    let mut worst = (Duration::ZERO, "");
    let mut grown = (0, "");
    let mut sent = 0;
    for _ in 0..times {
        for bomb in bombs() {
            assert!(forget_peak(pid) || !is_exact);
            let before = used(pid).expect("a live server");
            let mut request = plant.post(bomb.body);
            if let Some(encoding) = bomb.encoding {
                request = request.header("content-encoding", encoding);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            assert!(bomb.expected.contains(&status), "{}: {status}", bomb.name);
            let after = used(pid).expect("a live server");
            let processor = after.processor.saturating_sub(before.processor);
            worst = worst.max((processor, bomb.name));
            let more = after.peak.saturating_sub(before.resident);
            grown = grown.max((more, bomb.name));
            sent += 1;
            assert!(processor <= PROCESSOR, "{}: {processor:?}", bomb.name);
            assert!(more <= MEMORY, "{}: {more} bytes", bomb.name);
        }
    }
    assert!(!plant.is_dead(), "{}", plant.log());
    assert!(plant.send(1, receiver).await, "{}", plant.log());
    // What was taken can be shown.
    let listed = plant.get("/api/v1/events").await.expect("an answer");
    assert_eq!(listed.status(), 200);
    tell(&format!(
        "torture R10: {sent} bombs; at most {:.1?} of processor time ({}) and {:.1} MiB more memory ({}) for one; 0 restarts",
        worst.0,
        worst.1,
        grown.0 as f64 / f64::from(1 << 20),
        grown.1,
    ));
}
