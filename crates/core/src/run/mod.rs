//! One run: what is recorded of it, the state that follows, and what comes next.
//!
//! ```text
//! recorded entry → fold into RunState → decide → Effect → intent recorded → performed → outcome recorded → …
//! ```
//!
//! The journal is the only truth. [`RunState`] changes only by [`RunState::apply`];
//! [`decide`] and [`settle`] are pure. Results of outside work and verdicts of
//! scripts are recorded, never computed again, so nothing that users write has to
//! be deterministic, and a restart is nothing but another fold.

mod decide;
mod effect;
mod entry;
mod key;
mod retry;
mod scope;
mod settle;
mod state;
mod summary;
mod visit;

pub use conche_cacao::variable::{Scope, Value, Variable};
pub use decide::decide;
pub use effect::{Effect, Invocation};
pub use entry::{
    Entry, ErrorKind, JOURNAL_FORMAT, LogLevel, LogLine, OpenedScope, Outcome, Path, Person,
    Question, Record, Resolution, Started, StepError, Turn, Verdict, VisitNo,
};
pub use key::IdempotencyKey;
pub use retry::{OnUncertain, Policy, Repeat, Retry};
pub use scope::{Declared, written};
pub use settle::{Answer, AnswerError, Report, answer, approval_of, no_text, resume, settle};
pub use state::{Phase, RunState};
pub use summary::{Status, Summary};
pub use visit::{Done, Illegal, Visit, VisitState};
