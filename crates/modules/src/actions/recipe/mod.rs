//! Recipes: action modules that are described by data, one request an action.
//!
//! What a service wants to be sent differs in names, not in kind. So one implementation,
//! over the machinery of `http`, makes a module of each recipe: those that are shipped, and
//! those of the configured folder. A recipe is checked as a whole when it is read; what is
//! wrong with it is never found by a run.
//!
//! A request goes to a base address of the configuration and nowhere else: what a run gives
//! is put into the path, the query and the body, percent-encoded or as JSON, and can't leave
//! its place. Values of secrets are put in last and masked in whatever comes back.

mod check;
mod input;
mod model;
mod perform;
mod settings;
mod shipped;

use std::collections::HashSet;
use std::sync::OnceLock;

pub use self::model::{Error, Recipe};
use self::perform::Performer;
use crate::action::{ActionModule, ActionSpec};

/// Recipes of the user, once they are known.
static ADDED: OnceLock<Vec<Recipe>> = OnceLock::new();

/// Adds recipes to [`ALL`](super::ALL). To be called before the list is first looked at; the
/// same once more changes nothing.
pub fn add(recipes: Vec<Recipe>) -> Result<(), Error> {
    let written = super::WRITTEN.iter().map(|module| module.name.to_owned());
    let shipped = shipped::recipes().into_iter().map(|recipe| recipe.name);
    let mut names: HashSet<String> = written.chain(shipped).collect();
    for recipe in &recipes {
        if !names.insert(recipe.name.clone()) {
            return Err(Error::Taken(recipe.name.clone()));
        }
    }
    if recipes.is_empty() || ADDED.get() == Some(&recipes) {
        return Ok(());
    }
    ADDED.set(recipes).map_err(|_| Error::Late)
}

/// A module for each recipe, shipped or added. The modules last as long as the process: the
/// list is made once.
pub(super) fn modules() -> Vec<&'static ActionModule> {
    let added = ADDED.get_or_init(Vec::new).iter().cloned();
    let all = shipped::recipes().into_iter().chain(added);
    all.map(module).collect()
}

fn module(recipe: Recipe) -> &'static ActionModule {
    let recipe: &'static Recipe = Box::leak(Box::new(recipe));
    let spec = |action: &'static model::Action| ActionSpec {
        name: &action.name,
        summary: &action.summary,
        input: Box::leak(Box::new(move || action.input.schema())),
        output: Box::leak(Box::new(move || action.output_schema())),
        repeat: action.repeat_class(),
        on_uncertain: action.on_uncertain(),
    };
    let actions: Vec<ActionSpec> = recipe.actions.iter().map(spec).collect();
    Box::leak(Box::new(ActionModule {
        name: &recipe.name,
        summary: &recipe.summary,
        actions: Vec::leak(actions),
        config: Box::leak(Box::new(move || settings::schema(recipe))),
        build: Box::leak(Box::new(move |config, cx: &_| {
            Performer::build(recipe, config, cx)
        })),
    }))
}
