//! Takes the reactions of CSF's database over, once, at the first start.
//!
//! What was done is kept beside the store as `csf-import.json`: while that file is there,
//! nothing is imported again, so a reaction that was deleted since does not come back.

use std::path::Path;

use conche_core::csf::{CsfReaction, beside};
use conche_core::reaction::Reaction;
use conche_engine::Engine;
use serde::Serialize;
use serde_json::Value;

use super::tiedot::{self, Reading};
use crate::failure::Failure;

/// The record of the import, in the data folder.
const RECORD: &str = "csf-import.json";

/// What became of a database.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Imported {
    /// Names of reactions that are in force now.
    pub(crate) reactions: Vec<String>,
    /// What was not taken, and why.
    pub(crate) faults: Vec<String>,
}

/// Imports `database` unless that has been done; `None` where there was nothing to do.
pub(crate) async fn import_once(
    engine: &Engine,
    database: &Path,
    data_dir: &Path,
) -> Result<Option<Imported>, Failure> {
    let record = data_dir.join(RECORD);
    // An empty place, such as a volume that was not mounted, is not taken for the database.
    if record.exists() || !tiedot::is_database(database) {
        return Ok(None);
    }
    let reading = tiedot::read(database).map_err(|error| Failure::Failed(error.to_string()))?;
    let (reactions, faults) = reactions(reading);
    let mut imported = Imported {
        reactions: Vec::new(),
        faults,
    };
    for reaction in reactions {
        let name = reaction.name.clone();
        match engine.put_reaction(reaction).await {
            Ok(_) => imported.reactions.push(name),
            // Trying again at the next start helps here, and only here.
            Err(error @ conche_engine::ReactionError::Store(_)) => {
                return Err(Failure::of("can't import CSF's reactions", error));
            }
            Err(error) => imported.faults.push(format!("{name}: {error}")),
        }
    }
    write(&record, &imported).map_err(|error| Failure::of("can't record the import", error))?;
    Ok(Some(imported))
}

/// The reactions of a database. CSF ran several of one name side by side; here a name is a key.
/// One of another event is kept beside the first, where CSF's API finds it by its own name; one
/// of the same event that differs gets a number, since that API can name one of them only.
pub(crate) fn reactions(reading: Reading) -> (Vec<Reaction>, Vec<String>) {
    let mut faults = reading.faults;
    let (mut seen, mut taken) = (Vec::new(), Vec::new());
    for document in reading.documents {
        let named = document["name"].as_str().unwrap_or("(no name)").to_owned();
        let mut reaction = match read(document) {
            Ok(reaction) => reaction,
            Err(fault) => {
                faults.push(format!("{named}: {fault}"));
                continue;
            }
        };
        if seen.contains(&reaction) {
            faults.push(format!(
                "{named}: is there twice; CSF ran it twice, it runs once now"
            ));
            continue;
        }
        seen.push(reaction.clone());
        reaction.name = free_name(&taken, &reaction);
        if reaction.name != named {
            faults.push(format!(
                "{named}: is there twice, with a difference; the second is `{}` now",
                reaction.name
            ));
        }
        taken.push(reaction);
    }
    (taken, faults)
}

/// The name that a reaction is kept by.
fn free_name(taken: &[Reaction], reaction: &Reaction) -> String {
    let named = &reaction.name;
    let of = |name: &str| taken.iter().find(|known| known.name == name);
    let Some(event) = reaction.events.first().filter(|_| of(named).is_some()) else {
        return named.clone();
    };
    let beside = beside(named, event);
    let is_events = |name: &str| of(name).is_some_and(|known| known.events.contains(event));
    // The API finds the one of this event by either name.
    let is_there = is_events(named) || is_events(&beside);
    let first = (!is_there).then_some(beside);
    let numbered = (2..).map(|number| format!("{named} ({number})"));
    let mut names = first.into_iter().chain(numbered);
    names
        .find(|name| of(name).is_none())
        .unwrap_or_else(|| named.clone())
}

fn read(document: Value) -> Result<Reaction, String> {
    let read = CsfReaction::from_value(document).and_then(|read| read.reaction());
    read.map_err(|error| error.to_string())
}

/// Writes the record whole or not at all.
fn write(record: &Path, imported: &Imported) -> std::io::Result<()> {
    let new = record.with_extension("new");
    let mut text = serde_json::to_vec_pretty(imported)?;
    text.push(b'\n');
    std::fs::write(&new, text)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(new, record)
}

#[cfg(test)]
mod tests {
    use super::super::tiedot::tests::{database, record};
    use super::*;

    fn names(reactions: &[(&str, &str, &str)]) -> (Vec<String>, usize) {
        let records = reactions.iter().map(|(name, event, script)| {
            let document =
                serde_json::json!({"name": name, "event": event, "script": script, "actions": null});
            record(true, &document.to_string())
        });
        let dir = database(&[records.collect::<Vec<_>>().concat()]);
        let (taken, faults) = reactions_of(dir.path());
        let names = taken.into_iter().map(|taken| taken.name);
        (names.collect(), faults.len())
    }

    fn reactions_of(dir: &Path) -> (Vec<Reaction>, Vec<String>) {
        reactions(tiedot::read(dir).unwrap())
    }

    #[test]
    fn reactions_of_one_name_are_all_kept_under_names_of_their_own() {
        let of = |name, script| (name, "e", script);
        let all = [
            of("a", "1"),
            of("a", "2"),
            of("a", "1"),
            of("a", "3"),
            of("", "4"),
        ];
        let (names, faults) = names(&all);
        assert_eq!(
            (&*names, faults),
            (&["a", "a (2)", "a (3)"].map(str::to_owned)[..], 4)
        );
    }

    #[test]
    fn a_name_that_two_events_share_is_kept_where_csfs_api_finds_it() {
        let all = [
            ("a", "x", "1"),
            ("a", "y", "1"),
            ("a", "y", "2"),
            ("a", "y", "1"),
            ("a (y)", "z", "1"),
        ];
        let (names, faults) = names(&all);
        let expected = ["a", "a (y)", "a (2)", "a (y) (z)"].map(str::to_owned);
        assert_eq!((&*names, faults), (&expected[..], 4));
    }
}
