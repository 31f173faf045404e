//! Takes the reactions of CSF's database over, once, at the first start.
//!
//! What was done is kept beside the store as `csf-import.json`: while that file is there,
//! nothing is imported again, so a reaction that was deleted since does not come back.

use std::collections::BTreeSet;
use std::path::Path;

use conche_core::csf::CsfReaction;
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

/// The reactions of a database. CSF ran two of one name side by side; here a name is a key,
/// so a further one that differs gets a number.
pub(crate) fn reactions(reading: Reading) -> (Vec<Reaction>, Vec<String>) {
    let mut faults = reading.faults;
    let mut taken: Vec<Reaction> = Vec::new();
    let mut names = BTreeSet::new();
    for document in reading.documents {
        let named = document["name"].as_str().unwrap_or("(no name)").to_owned();
        let mut reaction = match read(document) {
            Ok(reaction) => reaction,
            Err(fault) => {
                faults.push(format!("{named}: {fault}"));
                continue;
            }
        };
        if taken.contains(&reaction) {
            faults.push(format!(
                "{named}: is there twice; CSF ran it twice, it runs once now"
            ));
            continue;
        }
        let mut number = 2;
        while !names.insert(reaction.name.clone()) {
            reaction.name = format!("{named} ({number})");
            number += 1;
        }
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

    #[test]
    fn reactions_of_one_name_are_all_kept_under_names_of_their_own() {
        let of = |name: &str, script: &str| {
            record(
                true,
                &serde_json::json!({"name": name, "event": "e", "script": script, "actions": null})
                    .to_string(),
            )
        };
        let file = [
            of("a", "1"),
            of("a", "2"),
            of("a", "1"),
            of("a", "3"),
            of("", "4"),
        ];
        let dir = database(&[file.concat()]);
        let (taken, faults) = reactions(tiedot::read(dir.path()).unwrap());
        let names: Vec<&str> = taken.iter().map(|taken| &*taken.name).collect();
        assert_eq!(names, ["a", "a (2)", "a (3)"]);
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
