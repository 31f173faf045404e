//! Mutated input for everything pure that reads it. See `fuzz/README.md`.

use conche_core::json::Limits;
use conche_core::reaction::{Authored, Format, Reaction};
use conche_core::run::{Record, RunState};
use conche_core::{Json, RunId};
use conche_testkit::fuzz;

#[test]
fn fuzz_reaction_files() {
    fuzz("reactions", |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        for format in [Format::Yaml, Format::Json] {
            let read = Authored::parse(text, format)
                .and_then(|authored| authored.resolve(&mut |_| Ok("stop".to_owned())));
            if let Ok(reaction) = read {
                let again =
                    Reaction::from_text(&reaction.to_text()).expect("what was written is readable");
                assert_eq!(again.digest(), reaction.digest());
            }
        }
    });
}

#[test]
fn fuzz_payloads() {
    let limits = Limits {
        bytes: 64 * 1024,
        depth: 16,
    };
    fuzz("events", |input| {
        if let Ok(json) = Json::parse(input, limits) {
            assert!(input.len() <= limits.bytes);
            let text = serde_json::to_string(&json).expect("it is JSON");
            assert_eq!(Json::parse(text.as_bytes(), limits).as_ref(), Ok(&json));
        }
    });
}

#[test]
fn fuzz_journals() {
    fuzz("journals", |input| {
        if let Ok(records) = serde_json::from_slice::<Vec<Record>>(input) {
            // Accepted or refused, never a panic.
            drop(RunState::fold(RunId::new(uuid::Uuid::nil()), records));
        }
    });
}
