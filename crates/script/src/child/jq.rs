//! jq filters, evaluated by jaq in the worker: a filter can loop for ever and
//! ask for any amount of memory, so it gets the same cage as a script. The
//! parent's kill is its only deadline, the address-space limit its only heap
//! limit.

use std::collections::HashMap;

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde_json::value::RawValue;

use super::realm::Fault;
use crate::protocol::{CallResult, Failure};

type Filter = jaq_core::Filter<data::JustLut<Val>>;

/// Compiled filters kept by their text; emptied when full.
const KEPT_FILTERS: usize = 64;

#[derive(Default)]
pub(super) struct Filters {
    compiled: HashMap<String, Filter>,
}

impl Filters {
    /// Applies a filter to one JSON text and returns all that it yields.
    pub(super) fn run(
        &mut self,
        text: &str,
        input: &str,
        output: usize,
    ) -> Result<CallResult<'static>, Fault> {
        let filter = self.compiled(text)?;
        let input = read::parse_single(input.as_bytes())
            .map_err(|error| failed(format!("the input is not JSON: {error}")))?;
        let ctx = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        let mut left = output;
        let mut values = Vec::new();
        for value in filter.id.run((ctx, input)).map(unwrap_valr) {
            let value = value
                .map_err(|error| failed(error.to_string()))?
                .to_string();
            // A value costs at least a byte, so the list is bounded as well.
            left = left.checked_sub(value.len()).ok_or(Fault::OutputTooLarge)?;
            // jaq also prints what JSON can't say: NaN, byte strings.
            if serde_json::from_str::<&RawValue>(&value).is_err() {
                return Err(failed(format!(
                    "the filter yields what JSON cannot say: {value:.100}"
                )));
            }
            values.push(value.into());
        }
        Ok(CallResult::Values { values })
    }

    fn compiled(&mut self, text: &str) -> Result<&Filter, Fault> {
        if !self.compiled.contains_key(text) {
            if self.compiled.len() >= KEPT_FILTERS {
                self.compiled.clear();
            }
            self.compiled.insert(text.to_owned(), compile(text)?);
        }
        Ok(&self.compiled[text])
    }
}

/// Longer filters are not looked at by [`flaw`]: the parser goes as deep as they do.
const LOOKED_AT_MAX: usize = 2000;
/// Room for a filter of that length in which every byte opens something.
const STACK_BYTES: usize = 64 << 20;

/// Why a text is no jq filter, as far as that can be told without evaluating it: it is parsed,
/// and its names are looked up. None where it is one, or longer than is looked at.
#[must_use]
pub fn flaw(filter: &str) -> Option<String> {
    if filter.len() > LOOKED_AT_MAX {
        return None;
    }
    let text = filter.to_owned();
    let looking = std::thread::Builder::new().stack_size(STACK_BYTES);
    let looking = looking.spawn(move || match compile(&text) {
        Err(Fault::Script(failure)) => Some(failure.message),
        _ => None,
    });
    let seen = looking.ok()?.join();
    seen.unwrap_or_else(|_| Some(format!("not a jq filter: {filter:.200}")))
}

fn failed(message: String) -> Fault {
    Fault::Script(Failure::from(message))
}

fn compile(text: &str) -> Result<Filter, Fault> {
    let definitions = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let functions = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(
            &arena,
            File {
                code: text,
                path: (),
            },
        )
        .map_err(|_| failed(format!("not a jq filter: {text:.200}")))?;
    Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .map_err(|errors| {
            let unknown: Vec<&str> = errors
                .iter()
                .flat_map(|(_, found)| found)
                .map(|(name, _)| *name)
                .collect();
            failed(format!(
                "undefined in the jq filter: {}",
                unknown.join(", ")
            ))
        })
}
