//! The core stays pure: nothing that reaches the outside is among its libraries, and its source
//! reads no clock, no file, no socket and no randomness.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Libraries that do input or output, or bring a runtime for it.
const OUTSIDE: [&str; 22] = [
    "async-std",
    "axum",
    "bollard",
    "hyper",
    "kube",
    "lapin",
    "lettre",
    "libsqlite3-sys",
    "mio",
    "native-tls",
    "polling",
    "rand",
    "reqwest",
    "rquickjs",
    "rquickjs-sys",
    "rusqlite",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
];

/// What the source must not say, and what to do instead.
const FORBIDDEN: [(&str, &str); 13] = [
    ("std::fs", "the shell reads and writes files"),
    ("std::net", "the shell opens sockets"),
    ("std::process", "the shell starts processes"),
    ("std::env", "the binary reads the environment"),
    ("std::thread", "the shell runs things"),
    ("SystemTime", "take `now` as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("Timestamp::now", "take `now` as an argument"),
    ("Zoned::now", "take `now` as an argument"),
    ("now_v7", "take new ids as arguments"),
    ("new_v4", "take new ids as arguments"),
    ("async fn", "only the shell waits"),
    ("rand::", "derive from a key or a seed"),
];

#[test]
fn no_library_that_reaches_the_outside_is_in_the_dependency_tree() {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "-p", "conche-core", "-e", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--offline"])
        .output()
        .expect("cargo can be run");
    let tree = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains(&"serde_json"), "not a tree:\n{tree}{errors}");
    let found: Vec<&&str> = names.iter().filter(|name| OUTSIDE.contains(name)).collect();
    assert!(found.is_empty(), "{found:?} in\n{tree}");
}

#[test]
fn the_source_reads_no_clock_no_file_no_socket_and_no_randomness() {
    for (file, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            for (word, instead) in FORBIDDEN {
                let place = format!("{}:{number}", file.display());
                assert!(!line.contains(word), "{place} says '{word}': {instead}");
            }
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{}", file.display());
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 10, "found only {} files", files.len());
    files
}
