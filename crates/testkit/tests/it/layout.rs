//! What `docs/architecture.md` says about the shape of the code, held against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the folder of all crates")
        .to_owned()
}

/// Every Rust file below a folder, with its text, but for what was built.
fn rust_files(below: &Path) -> Vec<(PathBuf, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![below.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                files.push((path, text));
            }
        }
    }
    files
}

/// Files of the crates' own code, without tests, examples and benches.
fn own_code() -> Vec<(PathBuf, String)> {
    let all = rust_files(&crates());
    let own = all
        .into_iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "src"));
    own.collect()
}

/// The rows of the code map: crate, and what it may use (`None` for all).
fn code_map() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text =
        fs::read_to_string(crates().join("../docs/architecture.md")).expect("the architecture");
    let section = text
        .split("## Code map")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("a code map");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let uses = match cells[2] {
            all if all.starts_with("all") || all.starts_with("as needed") => None,
            uses => Some(
                uses.split('`')
                    .filter(|word| !word.trim().is_empty() && *word != "–")
                    .map(str::to_owned)
                    .collect(),
            ),
        };
        (cells[0].trim_matches('`').to_owned(), uses)
    })
    .collect()
}

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let map = code_map();
    let folders: BTreeSet<String> = fs::read_dir(crates())
        .expect("the crates")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(
        folders,
        map.keys().cloned().collect(),
        "every crate has a row in the code map and the other way round"
    );
    for (name, allowed) in map {
        let manifest =
            fs::read_to_string(crates().join(&name).join("Cargo.toml")).expect("a manifest");
        let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        let used: BTreeSet<String> = section
            .lines()
            .filter_map(|line| line.strip_prefix("conche-"))
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .map(str::to_owned)
            .collect();
        assert!(
            name == "testkit" || !used.contains("testkit"),
            "'{name}' uses the test kit outside its tests"
        );
        if let Some(allowed) = allowed {
            let more: Vec<&String> = used.difference(&allowed).collect();
            assert!(more.is_empty(), "'{name}' may not use {more:?}");
        }
    }
}

#[test]
fn only_the_store_contains_sql() {
    let statements = [
        "SELECT ",
        "INSERT INTO",
        "DELETE FROM",
        "CREATE TABLE",
        "UPDATE runs",
    ];
    for (path, text) in own_code() {
        let within = path.strip_prefix(crates()).expect("a file of ours");
        if within.starts_with("store") {
            continue;
        }
        for statement in statements {
            assert!(
                !text.contains(statement),
                "{} contains SQL: {statement}",
                within.display()
            );
        }
    }
}

#[test]
fn no_two_decisions_have_the_same_number() {
    let pages = fs::read_dir(crates().join("../docs/decisions")).expect("the decisions");
    let mut seen = BTreeMap::new();
    for page in pages {
        let page = page.expect("a page");
        let name = page.file_name().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        let text = fs::read_to_string(page.path()).expect("text");
        assert!(text.starts_with(&format!("# {number} ")), "{name}");
        let other = seen.insert(number, name.clone());
        assert!(other.is_none(), "{name} and {other:?}");
    }
    assert!(!seen.is_empty());
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in rust_files(&crates()) {
        assert!(
            text.starts_with("//!"),
            "{} does not open with `//!`",
            path.display()
        );
        assert!(
            !text.contains(concat!("To be ", "filled")),
            "{} is empty",
            path.display()
        );
    }
}

#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    let call = concat!("sle", "ep(");
    let mut found = Vec::new();
    for (path, text) in rust_files(&crates()) {
        if path.components().any(|part| part.as_os_str() == "tests") {
            // The wait between two looks at a condition is marked as such, as is one on a clock
            // that stands still.
            let sleeps = text.lines().filter(|line| {
                line.contains(call)
                    && !line.contains("// poll")
                    && !line.contains("// paused clock")
            });
            found.extend(sleeps.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
    assert!(
        found.is_empty(),
        "wait for a condition, with a deadline:\n{}",
        found.join("\n")
    );
}

#[test]
fn words_are_those_of_the_glossary() {
    let foreign = [
        "struct Execution",
        "struct Job",
        "struct Workflow",
        "struct Pipeline",
        "struct Plugin",
        "Manager",
        "Helper",
        "mod utils",
        "mod helpers",
        "mod common",
    ];
    let mut found = Vec::new();
    for (path, text) in own_code() {
        let words = foreign.iter().filter(|word| text.contains(**word));
        found.extend(words.map(|word| format!("{}: {word}", path.display())));
    }
    assert!(
        found.is_empty(),
        "see docs/glossary.md:\n{}",
        found.join("\n")
    );
}

#[test]
fn tests_that_the_docs_name_exist() {
    let code: String = rust_files(&crates())
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let mut missing = Vec::new();
    for page in ["bad-input.md", "architecture.md"] {
        let text =
            fs::read_to_string(crates().join("../docs").join(page)).expect("a page of the docs");
        let words = text
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|word| word.rsplit("::").next().unwrap_or(word));
        // Long names with underscores are those of tests.
        let tests = words.filter(|word| {
            word.matches('_').count() >= 3
                && word
                    .chars()
                    .all(|char| char.is_ascii_lowercase() || char == '_')
        });
        missing.extend(
            tests
                .filter(|test| !code.contains(&format!("fn {test}(")))
                .map(str::to_owned),
        );
    }
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn every_code_of_a_webhook_is_explained() {
    let page = fs::read_to_string(crates().join("../docs/webhook-errors.md")).expect("the page");
    let folder = crates().join("modules/src/sources/webhook");
    let mut codes = BTreeSet::new();
    for (path, text) in rust_files(&folder) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let words = text.split('"').skip(1).step_by(2);
        let code = |word: &&str| {
            word.contains('-')
                && word
                    .chars()
                    .all(|char| char.is_ascii_lowercase() || char == '-')
        };
        codes.extend(words.filter(code).map(str::to_owned));
    }
    let headers = ["conche-event-id", "idempotency-key", "retry-after"];
    // Headers of senders: of forges, of Standard Webhooks, of CloudEvents.
    let prefixes = ["x-", "webhook-", "ce-"];
    let is_header = |word: &str| {
        headers.contains(&word) || prefixes.iter().any(|prefix| word.starts_with(prefix))
    };
    let missing: Vec<&String> = codes
        .iter()
        .filter(|code| !is_header(code) && !page.contains(&format!("| `{code}` |")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/webhook-errors.md does not explain {missing:?}"
    );
}
