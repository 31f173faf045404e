//! `recipes:`, the folder of recipes: action modules that are described by data.

use std::path::{Path, PathBuf};

use conche_modules::actions::{self, Recipe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::place::Place;

/// Files of a folder.
const FILES_MAX: usize = 200;

/// Recipes kept in files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Recipes {
    /// The folder; each `.yaml` or `.yml` in it is a recipe. Read at the start. Default: none.
    dir: Option<PathBuf>,
}

impl Recipes {
    /// Adds the folder's recipes to the list of modules, or says why that can't be.
    pub(super) fn add(&self) -> Vec<Fault> {
        let Some(dir) = &self.dir else {
            return Vec::new();
        };
        let fault = |message: String| Fault::new(Place::of(&["recipes", "dir"]), message);
        let files = match files(dir) {
            Ok(files) => files,
            Err(error) => return vec![fault(format!("can't read {}: {error}", dir.display()))],
        };
        if files.len() > FILES_MAX {
            return vec![fault(format!("there are more than {FILES_MAX} recipes"))];
        }
        let (mut recipes, mut faults) = (Vec::new(), Vec::new());
        for file in files {
            match read(&file) {
                Ok(recipe) => recipes.push(recipe),
                Err(message) => faults.push(fault(format!("{}: {message}", file.display()))),
            }
        }
        if faults.is_empty()
            && let Err(error) = actions::add_recipes(recipes)
        {
            faults.push(fault(error.to_string()));
        }
        faults
    }
}

/// The folder's recipes in the order of their names.
fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Recipe, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Recipe::read(&text).map_err(|error| error.to_string())
}
