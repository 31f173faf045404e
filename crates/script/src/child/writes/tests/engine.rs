//! The proof beside the engine: no builtin that it does not name changes an
//! event, and no script that changed its event was thought to only read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rquickjs::{Context, Ctx, Function, Runtime};

use super::super::{MAKERS, WRITERS, may_write};
use super::WRITING;

/// Calls every builtin with an event in every place; returns the names of
/// those that changed it or gave out the global object.
const CALL_EVERY_BUILTIN: &str = include_str!("builtins.js");

/// Runs a source and says whether it changed its event: 1 yes, 0 no, -1 if it
/// does not even compile.
const RUN: &str = r#"(source) => {
    let run;
    try { run = new Function('event', 'x', 'F', source) } catch { return -1 }
    const event = JSON.parse('{"a":1,"b":{"a":2},"list":[{"a":3},4],"const":[1]}');
    const before = JSON.stringify(event);
    globalThis.event = event;
    try { run(event, [5, { a: 6 }], function () { return event }) } catch {}
    return JSON.stringify(event) === before ? 0 : 1;
}"#;

/// What scripts are mutated with.
const PIECES: [&str; 40] = [
    " ",
    "\n",
    "/*'*/",
    "//'\n",
    "/'/",
    "'",
    "`",
    "${",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "=",
    "+=",
    "++",
    "--",
    ".",
    "?.",
    ",",
    ";",
    ":",
    "/",
    "event",
    "event.a",
    "event.list",
    "e",
    "let",
    "var",
    "const",
    "of",
    "in",
    "for",
    "return",
    "=>",
    "'a'",
    "...",
    "x",
    "1",
];

fn with_engine<T>(body: impl FnOnce(&Ctx<'_>, &Cell<u32>) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let left = Rc::new(Cell::new(u32::MAX));
    let patience = Rc::clone(&left);
    runtime.set_interrupt_handler(Some(Box::new(move || {
        patience.set(patience.get().saturating_sub(1));
        patience.get() == 0
    })));
    runtime.set_memory_limit(64 << 20);
    let context = Context::full(&runtime).unwrap();
    let done = context.with(|ctx| body(&ctx, &left));
    // After such calls the engine may abort when it counts its objects.
    std::mem::forget((context, runtime));
    done
}

#[test]
fn every_builtin_that_changes_an_event_is_named() {
    let found: BTreeSet<String> = with_engine(|ctx, _| {
        let names: Vec<String> = ctx.eval(CALL_EVERY_BUILTIN).unwrap();
        names.into_iter().collect()
    });
    for expected in ["push", "assign", "from", "set"] {
        assert!(found.contains(expected), "{expected} not in {found:?}");
    }
    let known = |name: &String| {
        WRITERS.contains(&name.as_str())
            || MAKERS.contains(&name.as_str())
            // These two are reached through `Reflect` only.
            || matches!(&**name, "set" | "deleteProperty")
            // A symbol can only be picked by what is not a name.
            || name.starts_with("Symbol(")
    };
    let missed: Vec<_> = found.into_iter().filter(|name| !known(name)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_mutated_script_that_changes_its_event_was_suspected() {
    let rounds = std::env::var("CONCHE_FUZZ").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(3000);
    let (mut ran, mut changed, mut spared) = (0, 0, 0);
    let mut missed = Vec::new();
    with_engine(|ctx, left| {
        let run: Function<'_> = ctx.eval(RUN).unwrap();
        let mut dice = Dice(0xc0c0a);
        for round in 0..rounds {
            let source = mutated(&mut dice);
            left.set(100);
            let outcome: i32 = run.call((source.as_str(),)).unwrap_or_else(|_| {
                drop(ctx.catch());
                0
            });
            // The engine aborts the process where a panic passes through it.
            if outcome == 1 && !may_write(&source) {
                missed.push((round, source));
                continue;
            }
            ran += i32::from(outcome >= 0);
            changed += i32::from(outcome == 1);
            spared += i32::from(outcome == 0 && !may_write(&source));
        }
    });
    assert!(missed.is_empty(), "not suspected: {missed:?}");
    assert!(
        ran > 0 && changed > 0 && spared > 0,
        "{ran} {changed} {spared}"
    );
}

fn mutated(dice: &mut Dice) -> String {
    let mut source = WRITING[dice.below(WRITING.len())].to_owned();
    if dice.below(3) == 0 {
        source.push_str(["\n", ";", " "][dice.below(3)]);
        source.push_str(WRITING[dice.below(WRITING.len())]);
    }
    for _ in 0..dice.below(4) {
        let places: Vec<usize> = source
            .char_indices()
            .map(|(at, _)| at)
            .chain([source.len()])
            .collect();
        let at = places[dice.below(places.len())];
        let end = places[dice.below(places.len())].clamp(at, source.len().min(at + 8));
        match dice.below(4) {
            0 if source.is_char_boundary(end) => source.replace_range(at..end, ""),
            1 if source.is_char_boundary(end) => {
                source.replace_range(at..end, PIECES[dice.below(PIECES.len())]);
            }
            _ => source.insert_str(at, PIECES[dice.below(PIECES.len())]),
        }
    }
    source
}

struct Dice(u64);

impl Dice {
    /// `SplitMix64`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap_or_default()
    }
}
