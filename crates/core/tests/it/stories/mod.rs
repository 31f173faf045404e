//! Stories: what happened to a run, and what it wants done next.
//!
//! Read `expect` as "then these are the effects" and every other call as "when this happens".

mod graph;
mod legality;
mod limits;
mod pausing;
mod reaction;
mod reopening;
mod uncertainty;

use std::path::Path;

/// Compares a journal with the one that was reviewed.
fn golden(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(format!("{name}.txt"));
    if std::env::var_os("CONCHE_REWRITE_GOLDEN").is_some() {
        std::fs::write(&file, found).expect("the golden file can be written");
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        found,
        reviewed,
        "the journal differs from {}",
        file.display()
    );
}
