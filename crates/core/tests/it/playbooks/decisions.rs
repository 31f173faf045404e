//! The pages about what CACAO leaves open name tests, and the tests are there.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a text")
}

#[test]
fn every_decision_about_playbooks_names_tests_that_exist() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code: String = files(&here.join("tests/it/playbooks"))
        .iter()
        .map(|path| text(path))
        .collect();
    let mut named = 0;
    for page in files(&here.join("../../docs/decisions")) {
        let Some((_, tests)) = text(&page)
            .split_once("**Tests** in")
            .map(|(a, b)| (a.len(), b.to_owned()))
        else {
            continue;
        };
        for test in tests
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| !word.contains('/'))
        {
            assert!(
                code.contains(&format!("fn {test}(")),
                "no `{test}`, which {} names",
                page.display()
            );
            named += 1;
        }
    }
    assert!(named > 40, "{named} tests are named");
}
