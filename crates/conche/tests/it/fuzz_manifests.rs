//! Mutated manifests of functions: whatever comes in, nothing panics, nothing takes long, and
//! what is accepted can be made in its order.

use std::collections::BTreeSet;

use conche_openwhisk::deploy::{
    Body, Change, Desired, File, Files, Found, Listed, Live, Plan, Reading, read_manifest,
};
use conche_openwhisk::model::{Exec, Name};
use conche_testkit::fuzz;

/// One text is at every path, and a folder at some.
struct Anywhere;

impl Files for Anywhere {
    fn list(&self) -> Result<Vec<Listed>, String> {
        Ok(Vec::new())
    }

    fn has(&self, _: &str) -> bool {
        true
    }

    fn read(&self, path: &str) -> Result<Found, String> {
        let file = File {
            bytes: b"#!/bin/sh\n".to_vec(),
            is_executable: true,
        };
        if path.contains('.') {
            return Ok(Found::File(file));
        }
        Ok(Found::Folder(vec![("index.js".to_owned(), file)]))
    }
}

#[test]
fn fuzz_manifests() {
    let namespace = Name::parse("guest").expect("a name");
    let variables = |name: &str| (name.len() == 1).then(|| "7".to_owned());
    let reading = Reading {
        namespace: &namespace,
        variables: &variables,
        files: &Anywhere,
    };
    let read = std::cell::Cell::new(0);
    fuzz("manifests", |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        match read_manifest(text, None, &reading) {
            Ok(desired) => {
                read.set(read.get() + 1);
                holds(&desired);
                drop(read_manifest(text, Some(text), &reading));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
    assert!(read.get() > 10, "the seeds are readable");
}

/// What holds of everything that was read.
fn holds(desired: &Desired) {
    let plan = Plan::deploy(desired, &Live::default(), None);
    assert_eq!(plan.steps.len(), desired.entities.len());
    assert!(plan.steps.iter().all(|step| step.change == Change::Create));
    assert!(!Plan::undeploy(desired, &Live::default()).changes());
    let names: BTreeSet<String> = desired
        .entities
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names.len(), desired.entities.len(), "each name once");
    let actions = desired.entities.iter();
    let actions = actions.filter(|one| matches!(one.body, Body::Action(_)));
    let actions: BTreeSet<String> = actions.map(|one| one.name.to_string()).collect();
    let mut made = BTreeSet::new();
    for entity in &desired.entities {
        if let Body::Action(put) = &entity.body
            && let Some(Exec::Sequence(sequence)) = &put.exec
        {
            let mut held = sequence.components.iter();
            assert!(
                held.all(|name| made.contains(name) || !actions.contains(name)),
                "what {} holds comes first",
                entity.name
            );
        }
        made.insert(entity.name.to_string());
    }
}
