//! OASIS's own examples, where a copy of them is at hand.
//!
//! They are other people's work, so none of them is in this project: `CACAO_EXAMPLES` names a
//! folder that holds them.

use std::path::PathBuf;
use std::{env, fs};

use conche_cacao::{Document, Profile, Severity};

/// The folder of the examples, if there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = env::var_os("CACAO_EXAMPLES").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/cacao");
    let folder = named.unwrap_or_else(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: CACAO_EXAMPLES names no folder with OASIS's examples");
    None
}

const PLAYBOOKS: [&str; 3] = [
    "spec-3.1-example.json",
    "basic-example-1.json",
    "locky-bart-mbc-examples.json",
];

#[test]
fn nothing_of_the_official_examples_is_lost() {
    let Some(folder) = folder() else { return };
    for name in PLAYBOOKS.into_iter().chain(["signature-rs256.json"]) {
        let text = fs::read(folder.join(name)).expect("an example");
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let document = Document::parse(&text).expect("I-JSON");
        assert_eq!(document.value(), &value, "{name}");
        let again = Document::parse(document.to_text().as_bytes()).expect("I-JSON");
        assert_eq!(again.value(), &value, "{name}");
    }
    for name in PLAYBOOKS {
        let text = fs::read(folder.join(name)).expect("an example");
        let document = Document::parse(&text).expect("I-JSON");
        let playbook = document.playbook().expect("a playbook");
        let written = playbook.to_document().expect("a document");
        assert_eq!(written.value(), document.value(), "{name}");
    }
}

#[test]
fn the_lenient_profile_takes_the_official_examples() {
    let Some(folder) = folder() else { return };
    for name in PLAYBOOKS {
        let text = fs::read(folder.join(name)).expect("an example");
        let document = Document::parse(&text).expect("I-JSON");
        let findings = document.check(Profile::Lenient);
        let errors: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}
