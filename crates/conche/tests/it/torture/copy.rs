//! R18: a copy taken from under a server at work is put back elsewhere and goes on, while the
//! receiver of its effects remembers what was done in the world that was lost.

use std::collections::HashSet;
use std::process::Command;

use super::plant::{Plant, program};
use super::receiver::Receiver;
use super::{count, tell};

/// Events sent before, while and after a copy is taken.
const EVENTS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_taken_under_load_goes_on_and_does_nothing_twice() {
    let rounds = count("COPIES", 1, 50);
    let (mut in_copies, mut repeats, mut effects) = (0, 0, 0);
    for _ in 0..rounds {
        let (receiver, address) = Receiver::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut plant = Plant::on(&folder.path().join("data"));
        assert!(plant.start(None), "{}", plant.log());
        let mut before = HashSet::new();
        let mut child = None;
        for n in 0..EVENTS {
            if n == EVENTS / 2 {
                // From here on nobody knows which events will be in the copy.
                child = Some(copy(&plant, folder.path()));
            }
            let acknowledged = plant.send(n, address).await;
            if acknowledged && child.is_none() {
                before.insert(n);
            }
        }
        let output = child.expect("a copy").wait_with_output().expect("its end");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        // The world of the copy's store ends.
        plant.kill();
        let config = plant.config();
        std::fs::rename(folder.path().join("data"), folder.path().join("lost")).expect("a rename");
        let restored = Command::new(program())
            .args(["restore", "--config"])
            .args([&config, &folder.path().join("copy")])
            .output()
            .expect("conche runs");
        let error = String::from_utf8_lossy(&restored.stderr);
        assert!(restored.status.success(), "{error}");

        assert!(plant.start(None), "{}", plant.log());
        plant.settle().await;
        let runs = plant.runs("succeeded").await.expect("the server answers");
        let tally = receiver.tally(&before);
        assert_eq!(tally.lost, [] as [u64; 0], "acknowledged before the copy");
        assert_eq!(tally.doubled, [] as [&str; 0], "done under two keys");
        assert!(runs.len() >= before.len(), "{} runs", runs.len());
        in_copies += runs.len();
        repeats += tally.repeats;
        effects += tally.effects;
    }
    tell(&format!(
        "torture R18: copies under load: {rounds} restored with {in_copies} runs, all of them ended; {effects} effects, 0 lost, 0 doubled; {repeats} requests repeated with their own keys"
    ));
}

fn copy(plant: &Plant, folder: &std::path::Path) -> std::process::Child {
    Command::new(program())
        .args(["backup", "--config"])
        .args([&plant.config(), &folder.join("copy")])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("conche runs")
}
