//! The recipes that come with Conche. Each is tested against a fake of its service.

use super::model::Recipe;

/// Their texts.
const TEXTS: [&str; 10] = [
    include_str!("shipped/alertmanager.yaml"),
    include_str!("shipped/github.yaml"),
    include_str!("shipped/gitlab.yaml"),
    include_str!("shipped/jira.yaml"),
    include_str!("shipped/jira_dc.yaml"),
    include_str!("shipped/misp.yaml"),
    include_str!("shipped/pagerduty.yaml"),
    include_str!("shipped/slack.yaml"),
    include_str!("shipped/teams.yaml"),
    include_str!("shipped/thehive.yaml"),
];

/// The recipes; a test sees to it that each can be read.
pub(super) fn recipes() -> Vec<Recipe> {
    TEXTS
        .iter()
        .filter_map(|text| Recipe::read(text).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_recipe_can_be_used_as_it_is() {
        for text in TEXTS {
            let name = text.lines().next().unwrap_or_default();
            assert!(
                Recipe::read(text).is_ok(),
                "{name} {:?}",
                Recipe::read(text)
            );
        }
    }
}
