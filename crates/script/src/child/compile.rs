//! Turns a script into a function that a kept realm can call again and again.
//!
//! CSF runs each script as global code, where a bare `result = …`, `var
//! result`, `this.result = …` and (new here) `let` and `const` all end up in
//! one place. Global code can't be run twice in one realm: a second `let`
//! would be a redeclaration, and every `var` would stay behind. So the source
//! becomes the body of an arrow function:
//!
//! ```js
//! ({ run(arguments) { return ((PARAMETERS) => {
//! SOURCE
//! ;return [nextAction, err, result] })(PARAMETERS) } }).run
//! ```
//!
//! - The `return` stands in the scope of the source, so it sees the nearest
//!   binding of each name: the script's own `let`, `const`, `var` or function,
//!   else the realm's global, which is where bare assignments and `this.…` go.
//! - `var event = event || {}` must see the preset value, as it does in global
//!   code. A name that the source declares by `var` or `function` is therefore
//!   also a parameter. Which names those are, the engine itself says: a source
//!   that declares `event` won't compile behind `let event`.
//! - The arrow function is new in each call and hides `arguments`, so no
//!   function object outlives the call for a script to keep notes on.
//! - The source is parsed alone first. What would close the function early
//!   (`}`) or is no global code (`return`, `super`, `new.target`) fails there.
//!
//! Two things differ from global code and need a fresh realm where they
//! matter: a `var x` is not visible as `this.x`, and builtins can't be replaced.

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, FromJs, Function, Result, Value};

/// The name in stack traces by which positions in the script are recognised.
pub(super) const FILE_NAME: &str = "script";

/// The name the engine gives to text that is handed to `eval`.
pub(super) const EVAL_NAME: &str = "<input>";

/// Lines in front of the source in everything that is compiled here.
pub(super) const LINES_BEFORE: u32 = 1;

/// The names a script may declare itself although they are preset.
const PRESET: [&str; 5] = ["event", "actionData", "nextAction", "err", "result"];

/// Evaluates sloppy global code under the script's name.
pub(super) fn evaluate<'js, V: FromJs<'js>>(ctx: &Ctx<'js>, source: &str) -> Result<V> {
    evaluate_as(ctx, source, FILE_NAME)
}

/// Evaluates sloppy global code under a name for stack traces.
pub(super) fn evaluate_as<'js, V: FromJs<'js>>(
    ctx: &Ctx<'js>,
    source: &str,
    file_name: &str,
) -> Result<V> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(file_name.to_owned());
    ctx.eval_with_options(source, options)
}

/// Parses `source` as global code without running any of it.
///
/// A direct `eval` parses all of its text before the first statement runs, and
/// that first statement throws. Declarations stay inside the arrow function.
pub(super) fn parse_only(ctx: &Ctx<'_>, source: &str) -> Result<()> {
    let probe: Function<'_> = evaluate(
        ctx,
        "(source) => { try { eval(source) } catch (thrown) { if (thrown !== 0) throw thrown } }",
    )?;
    probe.call((format!("throw 0;\n{source}"),))
}

/// Compiles `source` into the function described above. Runs none of it.
pub(super) fn compile<'js>(ctx: &Ctx<'js>, source: &str) -> Result<Function<'js>> {
    parse_only(ctx, source)?;
    let parameters = redeclared(ctx, source).join(",");
    evaluate(
        ctx,
        &format!(
            "({{run(arguments){{return(({parameters})=>{{\n{source}\n;return[nextAction,err,result]}})({parameters})}}}}).run"
        ),
    )
}

/// The preset names that the source declares by `var` or `function`.
fn redeclared(ctx: &Ctx<'_>, source: &str) -> Vec<&'static str> {
    let compiles = |text: String| {
        let compiled = evaluate::<Value<'_>>(ctx, &text).is_ok();
        if !compiled {
            // Only whether it compiles matters; the error must not linger.
            drop(ctx.catch());
        }
        compiled
    };
    if compiles(format!("()=>{{let {};\n{source}\n}}", PRESET.join(","))) {
        return Vec::new();
    }
    PRESET
        .into_iter()
        .filter(|name| {
            let declared = !compiles(format!("()=>{{let {name};\n{source}\n}}"));
            declared && compiles(format!("({name})=>{{\n{source}\n}}"))
        })
        .collect()
}
