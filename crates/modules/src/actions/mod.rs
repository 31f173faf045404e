//! The action modules, by name.

mod dummy;
mod emit;
pub(crate) mod exec;
mod http;
mod k8s;
mod k8s_imagevalidate;
mod klar;
mod list;
mod log;
mod mail;
mod playbook;
mod publish;
mod recipe;
mod respond;
mod run_reaction;
mod trivy;
mod vuls;

use std::sync::LazyLock;

use conche_core::Json;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::recipe::{Error as RecipeError, Recipe, add as add_recipes};
use crate::action::{ActionModule, Answer, Call, Error, Output};

/// Every action module, in the order of their names: those written in Rust, and those that
/// recipes describe.
pub static ALL: LazyLock<Vec<&'static ActionModule>> = LazyLock::new(|| {
    let mut all = WRITTEN.to_vec();
    all.extend(crate::commands::ALL);
    all.extend(recipe::modules());
    all.sort_by_key(|module| module.name);
    all
});

static WRITTEN: &[&ActionModule] = &[
    &dummy::MODULE,
    &emit::MODULE,
    &exec::MODULE,
    &http::MODULE,
    &k8s::MODULE,
    &k8s_imagevalidate::MODULE,
    &klar::MODULE,
    &list::MODULE,
    &log::MODULE,
    &mail::MODULE,
    &playbook::MODULE,
    &publish::MODULE,
    &respond::MODULE,
    &run_reaction::MODULE,
    &trivy::MODULE,
    &vuls::MODULE,
];

/// Reads a call's input; what does not fit is the caller's mistake.
pub(crate) fn input<T: DeserializeOwned>(call: &Call) -> Result<T, Error> {
    call.input.read().map_err(|error| {
        Error::permanent(format!(
            "the input of `{}` does not fit: {error}",
            call.action
        ))
    })
}

/// Reads the input of a call that is only rehearsed.
pub(crate) fn rehearsed<T: DeserializeOwned>(input: &Json) -> Result<T, Error> {
    let read = input.read();
    read.map_err(|error| Error::permanent(format!("the input does not fit: {error}")))
}

/// Writes what an action returns.
pub(crate) fn output<T: Serialize>(value: &T) -> Result<Output, Error> {
    Json::from_value(value)
        .map_err(|error| Error::permanent(format!("the result can't be written: {error}")))
}

/// The answer that an invocation of another action than `respond` gave, told by its input; none
/// where it is no answering one.
pub fn answer_given(module: &str, action: &str, input: &Json) -> Option<Answer> {
    k8s_imagevalidate::answer(module, action, input)
}

/// The definition asks for an action that the module does not have.
pub(crate) fn unknown(module: &str, action: &str) -> Error {
    Error::permanent(format!("module `{module}` has no action `{action}`"))
}
