//! One JavaScript realm (a QuickJS context) prepared for scripts: preset
//! globals, a console, and the verdict read the way CSF read it.
//!
//! A *kept* realm belongs to one script; its builtins are frozen and what a
//! call adds to the global object is removed again. A *fresh* realm runs one
//! call and is dropped.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::object::Filter;
use rquickjs::{
    Array, Atom, Context, Ctx, Function, Persistent, Runtime, String as JsString, Value,
};

use super::compile::{self, EVAL_NAME, FILE_NAME, LINES_BEFORE};
use crate::protocol::{CallLimits, CallResult, Failure, Line};

const PRELUDE: &str = include_str!("prelude.js");
const HARDEN: &str = include_str!("harden.js");

type Kept = Persistent<Function<'static>>;

/// What a call wrote to the console.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) lines: Vec<Line<'static>>,
    pub(super) truncated: bool,
}

/// What a script is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) event: &'a str,
    pub(super) action_data: Option<&'a str>,
    pub(super) lists: Option<&'a str>,
    pub(super) limits: CallLimits,
    /// Whether the script could change the event at all.
    pub(super) may_write: bool,
}

/// Why a call has no verdict.
#[derive(Debug)]
pub(super) enum Fault {
    /// The script failed; the message is for its author.
    Script(Failure),
    /// The heap is exhausted.
    Memory,
    /// Null was thrown, which the engine also does when the heap is so
    /// exhausted that not even an error fits.
    Null,
    OutputTooLarge,
}

/// What was being done with the source when something was thrown.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// It was compiled; no code of the script has run.
    Source,
    /// It ran as the body of a kept function.
    KeptCall,
    /// It ran, or was compiled, as global code.
    Global,
}

/// The realm's functions come first: they must be freed before the context.
pub(super) struct Realm {
    body: Option<Kept>,
    enter: Kept,
    settle: Kept,
    describe: Kept,
    sweep: Kept,
    logs: Rc<RefCell<Logs>>,
    context: Context,
}

impl Realm {
    /// Makes a realm for one call.
    pub(super) fn fresh(runtime: &Runtime) -> Result<Self, Fault> {
        Self::new(runtime, false)
    }

    /// Makes a realm that `source` will be called in many times.
    pub(super) fn kept(runtime: &Runtime, source: &str) -> Result<Self, Fault> {
        let mut realm = Self::new(runtime, true)?;
        realm.body = Some(realm.context.with(|ctx| {
            compile::compile(&ctx, source)
                .map(|body| Persistent::save(&ctx, body))
                .map_err(|_| realm.fault(&ctx, Origin::Source))
        })?);
        Ok(realm)
    }

    fn new(runtime: &Runtime, keep: bool) -> Result<Self, Fault> {
        let context = Context::full(runtime).map_err(|_| Fault::Memory)?;
        let logs = Rc::new(RefCell::new(Logs::default()));
        let sink = Rc::clone(&logs);
        let functions: rquickjs::Result<[Kept; 4]> = context.with(|ctx| {
            let emit = Function::new(
                ctx.clone(),
                move |level: u8, text: JsString<'_>, truncated: bool| {
                    let mut logs = sink.borrow_mut();
                    logs.truncated |= truncated;
                    if let Ok(text) = text.to_string() {
                        let text = text.into();
                        logs.lines.push(Line { level, text });
                    }
                },
            )?;
            let prelude: Function<'_> = compile::evaluate_as(&ctx, PRELUDE, "prelude")?;
            let harden: Option<Function<'_>> = keep
                .then(|| compile::evaluate_as(&ctx, HARDEN, "harden"))
                .transpose()?;
            let made: Array<'_> = prelude.call((harden, emit))?;
            let save = |index| -> rquickjs::Result<Kept> {
                Ok(Persistent::save(&ctx, made.get::<Function<'_>>(index)?))
            };
            Ok([save(0)?, save(1)?, save(2)?, save(3)?])
        });
        // The prelude is ours, so only memory can be short here.
        let [enter, settle, describe, sweep] = functions.map_err(|_| Fault::Memory)?;
        Ok(Self {
            body: None,
            enter,
            settle,
            describe,
            sweep,
            logs,
            context,
        })
    }

    /// Calls the kept script.
    pub(super) fn call(&self, input: Input<'_>) -> Result<CallResult<'static>, Fault> {
        self.context.with(|ctx| {
            self.enter(&ctx, input)
                .and_then(|answer| read(&answer, input))
                .unwrap_or_else(|_| Err(self.fault(&ctx, Origin::KeptCall)))
        })
    }

    fn enter<'js>(&self, ctx: &Ctx<'js>, input: Input<'_>) -> rquickjs::Result<Array<'js>> {
        let enter = self.enter.clone().restore(ctx)?;
        let body = self
            .body
            .clone()
            .map(|body| body.restore(ctx))
            .transpose()?;
        enter.call((
            body,
            input.event,
            input.action_data,
            input.limits.logs,
            input.may_write,
            input.lists,
        ))
    }

    /// Runs `source` as real global code, then reads the verdict in its scope.
    pub(super) fn run(&self, source: &str, input: Input<'_>) -> Result<CallResult<'static>, Fault> {
        const NAMES: &str = "[typeof nextAction === 'undefined' ? undefined : nextAction, \
                             typeof err === 'undefined' ? undefined : err, \
                             typeof result === 'undefined' ? undefined : result]";
        self.context.with(|ctx| {
            let verdict = || {
                let begin = self.enter.clone().restore(&ctx)?;
                begin.call::<_, ()>((
                    input.event,
                    input.action_data,
                    input.limits.logs,
                    input.may_write,
                    input.lists,
                ))?;
                compile::evaluate::<Value<'_>>(&ctx, source)?;
                let names: Value<'_> = compile::evaluate(&ctx, NAMES)?;
                let answer: Array<'_> = self.settle.clone().restore(&ctx)?.call((names,))?;
                read(&answer, input)
            };
            verdict().unwrap_or_else(|_| Err(self.fault(&ctx, Origin::Global)))
        })
    }

    /// Parses `source` as global code, and as the body of a kept script.
    pub(super) fn check(&self, source: &str) -> Result<(), Fault> {
        self.context.with(|ctx| {
            compile::compile(&ctx, source)
                .map(drop)
                .map_err(|_| self.fault(&ctx, Origin::Source))
        })
    }

    /// Takes what the console has collected.
    pub(super) fn take_logs(&self) -> Logs {
        std::mem::take(&mut self.logs.borrow_mut())
    }

    /// Removes what the last call left behind; false when that is impossible
    /// and the realm must be dropped.
    pub(super) fn sweep(&self) -> bool {
        self.context.with(|ctx| {
            // Counted here because an array of names costs more than the rest.
            let every = Filter::new().string().symbol();
            let count = ctx.globals().own_keys::<Atom<'_>>(every).len();
            let swept = self
                .sweep
                .clone()
                .restore(&ctx)
                .and_then(|sweep| sweep.call((count,)));
            if swept.is_err() {
                drop(ctx.catch());
            }
            swept.unwrap_or(false)
        })
    }

    /// Turns the pending exception into a fault.
    fn fault(&self, ctx: &Ctx<'_>, origin: Origin) -> Fault {
        let thrown = ctx.catch();
        if thrown.is_null() {
            return Fault::Null;
        }
        let described: rquickjs::Result<(String, Option<String>)> = (|| {
            let describe = self.describe.clone().restore(ctx)?;
            let parts: Array<'_> = describe.call((thrown,))?;
            Ok((parts.get(0)?, parts.get(1)?))
        })();
        let Ok((message, stack)) = described else {
            drop(ctx.catch());
            return Fault::Memory;
        };
        if message == "InternalError: out of memory" {
            return Fault::Memory;
        }
        let position = stack.as_deref().and_then(|stack| match origin {
            Origin::Source => position(stack, EVAL_NAME).or_else(|| position(stack, FILE_NAME)),
            Origin::KeptCall | Origin::Global => position(stack, FILE_NAME),
        });
        let lines_before = match origin {
            Origin::Source | Origin::KeptCall => LINES_BEFORE,
            Origin::Global => 0,
        };
        Fault::Script(Failure {
            message,
            line: position.map(|(line, _)| line.saturating_sub(lines_before).max(1)),
            column: position.map(|(_, column)| column),
        })
    }
}

/// Reads the array that the prelude's `settle` returns.
fn read(
    answer: &Array<'_>,
    input: Input<'_>,
) -> rquickjs::Result<Result<CallResult<'static>, Fault>> {
    let kind: u8 = answer.get(0)?;
    if kind == 2 {
        let message = answer.get(1)?;
        return Ok(Err(Fault::Script(Failure {
            message,
            line: None,
            column: None,
        })));
    }
    let output = input.limits.output as usize;
    let event: Option<String> = answer.get(3)?;
    let event = event.map(without_lone_surrogates);
    if event
        .as_ref()
        .is_some_and(|event| event.len() > output + input.event.len())
    {
        return Ok(Err(Fault::OutputTooLarge));
    }
    let event = event.map(Into::into);
    if kind == 0 {
        return Ok(Ok(CallResult::Stop { event }));
    }
    let (action, data): (String, String) = (answer.get(1)?, answer.get(2)?);
    if action.len() + data.len() > output {
        return Ok(Err(Fault::OutputTooLarge));
    }
    let data = without_lone_surrogates(data).into();
    Ok(Ok(CallResult::Next {
        action: action.into(),
        data,
        event,
    }))
}

/// Replaces each lone surrogate in a JSON text by U+FFFD.
///
/// `JSON.stringify` writes one as `\ud83d`, which is JSON but no Unicode text,
/// and most readers refuse it. It escapes nothing else that way.
fn without_lone_surrogates(json: String) -> String {
    const ESCAPE: usize = "\\ud83d".len();
    if !json.contains("\\ud") {
        return json;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let length = if escape.starts_with("\\ud") && matches!(escape.as_bytes()[3], b'8'..=b'f') {
            clean.push('\u{fffd}');
            ESCAPE
        } else {
            clean.push_str(&escape[..2]);
            2
        };
        rest = &escape[length..];
    }
    clean.push_str(rest);
    clean
}

/// The first `FILE:LINE:COLUMN` in a stack trace.
fn position(stack: &str, file: &str) -> Option<(u32, u32)> {
    let mut rest = stack;
    while let Some(at) = rest.find(file) {
        rest = &rest[at + file.len()..];
        let mut numbers = rest
            .strip_prefix(':')?
            .splitn(3, |c: char| !c.is_ascii_digit());
        let (line, column) = (numbers.next()?.parse(), numbers.next()?.parse());
        if let (Ok(line), Ok(column)) = (line, column) {
            return Some((line, column));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_in_both_forms_of_stack_line() {
        assert_eq!(
            position("    at <anonymous> (script:3:5)\n", "script"),
            Some((3, 5))
        );
        assert_eq!(position("    at script:12:7\n", "script"), Some((12, 7)));
        assert_eq!(position("    at native\n", "script"), None);
    }

    #[test]
    fn only_lone_surrogates_are_replaced() {
        let json = r#"{"a":"\ud83d","b":"\\ud83d","c":"\u0001\n","d":"é😀"}"#.to_owned();
        assert_eq!(
            without_lone_surrogates(json),
            "{\"a\":\"\u{fffd}\",\"b\":\"\\\\ud83d\",\"c\":\"\\u0001\\n\",\"d\":\"é😀\"}"
        );
    }
}
