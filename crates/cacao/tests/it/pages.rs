//! Every code is explained by a page, which says what a finding weighs.

use std::fs;
use std::path::PathBuf;

use conche_cacao::Profile;
use conche_cacao::check::Level;
use conche_cacao::check::codes::ALL;

#[test]
fn every_code_has_a_page_and_a_line_that_say_what_it_weighs() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let table = fs::read_to_string(docs.join("findings.md")).expect("the table of findings");
    for check in ALL {
        let weights = [Profile::Lenient, Profile::Standard, Profile::Strict].map(|profile| {
            match check.level(profile) {
                Level::Off => "off",
                Level::Warning => "warning",
                Level::Error => "error",
            }
        });
        let weights = format!("| {} |", weights.join(" | "));
        let page = fs::read_to_string(docs.join(format!("errors/{}.md", check.code)));
        let page = page.unwrap_or_else(|_| panic!("{} has no page", check.code));
        assert!(
            page.starts_with(&format!("# {} {}\n", check.code, check.name)),
            "{}",
            check.code
        );
        assert!(
            page.contains(&format!("\n{weights}\n")),
            "{} weighs {weights}",
            check.code
        );
        for part in ["**Why.** ", "**What to do.** "] {
            assert!(page.contains(part), "{} lacks {part}", check.code);
        }
        let line = table
            .lines()
            .find(|line| line.contains(&format!("[{}]", check.code)));
        let line = line.unwrap_or_else(|| panic!("{} is not in the table", check.code));
        assert!(line.ends_with(&weights), "{line}");
    }
}
