//! The yardsticks that calls through the sandbox are compared with: the same
//! engine in this process, without any isolation. For measuring only; must
//! never see a script that is not ours.

use rquickjs::{Context, Function, Persistent, Result, Runtime};

/// An event of a little over 2 KiB, as scanners and clusters send them.
pub const EVENT: &str = include_str!("bench/event.json");

/// A script of twenty lines: filter, regular expression, reduce, map.
pub const SCRIPT: &str = include_str!("bench/script.js");

/// A script kept as a function in a realm of its own, called in process.
pub struct Bare {
    function: Persistent<Function<'static>>,
    context: Context,
}

impl Bare {
    /// Makes a virtual machine and compiles the script.
    pub fn new(source: &str) -> Result<Self> {
        let context = Context::full(&Runtime::new()?)?;
        let function = context.with(|ctx| {
            let text = format!(
                "(text) => {{ let event = JSON.parse(text), nextAction, result; {source}\n\
                 return JSON.stringify([nextAction, result]) }}"
            );
            ctx.eval::<Function<'_>, _>(text)
                .map(|function| Persistent::save(&ctx, function))
        })?;
        Ok(Self { function, context })
    }

    /// Event in, verdict out, both as text.
    pub fn call(&self, event: &str) -> Result<String> {
        self.context
            .with(|ctx| self.function.clone().restore(&ctx)?.call((event,)))
    }

    /// The model of old: a new virtual machine and a compilation for each call.
    pub fn once(source: &str, event: &str) -> Result<String> {
        Self::new(source)?.call(event)
    }
}
