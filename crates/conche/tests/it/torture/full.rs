//! R3: the disk under the data folder is really full. New events are refused at once,
//! nothing acknowledged is lost, reading goes on, and it passes by itself.
//!
//! The disk is a small tmpfs in a mount namespace of its own: as root, or as anybody where
//! the system lets users make namespaces. It is gone with the namespace, however the test
//! ends. Where no namespace can be made the test says so in a line that starts with
//! `skipped:`.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use super::plant::Plant;
use super::receiver::Receiver;
use super::{Dice, count, tell};

/// The test within the namespace.
const INSIDE: &str = "torture::full::on_a_disk_of_its_own";
/// In which its test binary finds where to mount.
const PLACE: &str = "CONCHE_TORTURE_DISK";
/// A refusal takes no longer.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Once there is space, an event is taken within this time.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Refusals in a row that mean: full.
const ENOUGH: u64 = 8;

#[test]
fn a_full_disk_loses_nothing_and_passes_by_itself() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let Some(namespace) = namespace(place.path()) else {
        return tell("skipped: torture R3: neither root nor `unshare -rm` can mount a small disk");
    };
    let output = Command::new("unshare")
        .arg(namespace)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", INSIDE, "--ignored", "--nocapture"])
        .env(PLACE, place.path())
        .output()
        .expect("unshare can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (_, figures) = text.split_once("torture R3:").expect("figures");
    let figures = figures.lines().next().expect("a line");
    tell(&format!("torture R3:{figures}"));
}

/// How `unshare` gets a namespace in which a disk can be mounted here.
fn namespace(place: &Path) -> Option<&'static str> {
    ["--mount", "-rm"].into_iter().find(|namespace| {
        let mut command = Command::new("unshare");
        command.args([namespace, "mount"]).args(mount(1, place));
        command.output().is_ok_and(|output| output.status.success())
    })
}

/// The arguments of `mount` for a disk of so many MiB.
fn mount(size: u64, place: &Path) -> [String; 6] {
    ["-t", "tmpfs", "-o", &format!("size={size}m"), "torture"]
        .map(str::to_owned)
        .into_iter()
        .chain([place.display().to_string()])
        .collect::<Vec<_>>()
        .try_into()
        .expect("six of them")
}

/// A small disk, and the file that fills it.
struct Disk {
    place: PathBuf,
    filler: PathBuf,
}

impl Disk {
    fn mount(size: u64) -> Self {
        let place = PathBuf::from(std::env::var_os(PLACE).expect("where to mount"));
        let status = Command::new("mount").args(mount(size, &place)).status();
        assert!(status.is_ok_and(|status| status.success()), "no disk");
        let filler = place.join("filler");
        Self { place, filler }
    }

    /// Fills it but for so many bytes.
    fn fill(&self, left: u64) {
        let mut file = fs::File::create(&self.filler).expect("a file");
        let chunk = vec![b'x'; 1 << 16];
        let mut written = 0;
        loop {
            match file.write(&chunk) {
                Ok(bytes) => written += bytes as u64,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
                    break;
                }
            }
        }
        file.set_len(written.saturating_sub(left)).expect("shorter");
    }

    fn free(&self) {
        fs::remove_file(&self.filler).expect("removing needs no space");
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    sent: u64,
    acknowledged: HashSet<u64>,
    refused: u64,
    slowest_refusal: Duration,
    slowest_return: Duration,
    unready: u64,
}

impl Seen {
    /// Sends the next event. `true` when it was acknowledged; what is not is a problem.
    async fn send(&mut self, plant: &Plant, receiver: SocketAddr) -> bool {
        let n = self.sent;
        self.sent += 1;
        let began = Instant::now();
        let answer = plant.deliver(n, receiver, 20_000).await;
        let answer = answer.expect("the server answers");
        let took = began.elapsed();
        if answer.status() == StatusCode::ACCEPTED {
            self.acknowledged.insert(n);
            return true;
        }
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(answer.headers().contains_key("retry-after"));
        assert!(took < REFUSED_WITHIN, "refused after {took:?}");
        self.refused += 1;
        self.slowest_refusal = self.slowest_refusal.max(took);
        false
    }

    /// Sends until nothing is taken any more.
    async fn exhaust(&mut self, plant: &Plant, receiver: SocketAddr) {
        let end = Instant::now() + Duration::from_mins(1);
        let mut in_a_row = 0;
        while in_a_row < ENOUGH {
            let taken = self.send(plant, receiver).await;
            in_a_row = if taken { 0 } else { in_a_row + 1 };
            assert!(Instant::now() < end, "it never fills up");
        }
    }

    /// Sends until an event is taken again.
    async fn resume(&mut self, plant: &Plant, receiver: SocketAddr) {
        let freed = Instant::now();
        while !self.send(plant, receiver).await {
            let passed = freed.elapsed();
            assert!(passed < BACK_WITHIN, "nothing taken\n{}", plant.log());
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
        self.slowest_return = self.slowest_return.max(freed.elapsed());
        while status(plant, "/readyz").await != StatusCode::OK {
            let passed = freed.elapsed();
            assert!(passed < BACK_WITHIN, "not ready\n{}", plant.log());
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
    }
}

async fn status(plant: &Plant, path: &str) -> StatusCode {
    let answer = plant.get(path).await.expect("the server answers");
    answer.status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a disk; run by a_full_disk_loses_nothing_and_passes_by_itself"]
async fn on_a_disk_of_its_own() {
    let times = count("FULL", 10, 100);
    // Each time some of the space is used up for good.
    let disk = Disk::mount(64 + 2 * times);
    let (receiver, address) = Receiver::start().await;
    let mut plant = Plant::on(&disk.place.join("data"));
    assert!(plant.start(None), "{}", plant.log());
    let mut dice = Dice(3);
    let mut seen = Seen::default();

    for round in 0..times {
        // From the last byte to some room in log and database.
        disk.fill(dice.roll(32) * dice.roll(32) * 1024);
        seen.exhaust(&plant, address).await;
        seen.unready += u64::from(status(&plant, "/readyz").await == 503);
        assert_eq!(status(&plant, "/healthz").await, StatusCode::OK);
        assert_eq!(status(&plant, "/api/v1/runs").await, StatusCode::OK);
        assert_eq!(status(&plant, "/api/v1/events").await, StatusCode::OK);
        assert!(!plant.is_dead(), "{}", plant.log());
        // Otherwise the same process goes on: that it resumes needs no restart.
        let is_killed = round % 5 == 4;
        if is_killed {
            plant.kill();
        }
        disk.free();
        if is_killed {
            assert!(plant.start(None), "{}", plant.log());
        }
        seen.resume(&plant, address).await;
        for _ in 0..10 {
            assert!(seen.send(&plant, address).await, "{}", plant.log());
        }
    }
    plant.settle().await;
    let succeeded = plant.runs("succeeded").await.expect("the server answers");
    let tally = receiver.tally(&seen.acknowledged);
    tell(&format!(
        "torture R3: disk full {times} times, killed at {} of them; {} events sent, {} acknowledged, {} refused, the slowest after {:.1?}; /readyz said so {} times; taken again {:.1?} after space returned at the latest; {} runs succeeded; lost {}, doubled {}, requests repeated with the same key {}",
        times / 5,
        seen.sent,
        seen.acknowledged.len(),
        seen.refused,
        seen.slowest_refusal,
        seen.unready,
        seen.slowest_return,
        succeeded.len(),
        tally.lost.len(),
        tally.doubled.len(),
        tally.repeats,
    ));
    assert_eq!(tally.lost, Vec::<u64>::new(), "acknowledged and lost");
    assert_eq!(tally.doubled, Vec::<String>::new(), "effects with two keys");
    assert_eq!(seen.unready, times, "/readyz says that the disk is full");
    assert!(succeeded.len() >= seen.acknowledged.len());
}
