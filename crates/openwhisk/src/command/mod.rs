//! The `openwhisk` command of CACAO playbooks: `invoke` an action, sequence or composition, or
//! `fire` a trigger.
//!
//! ```
//! use conche_openwhisk::command::{Command, check};
//!
//! let written = serde_json::json!({
//!     "type": "openwhisk",
//!     "command": "invoke /_/enrich/ip-reputation",
//!     "params": {"ip": "__ip__:value"},
//!     "outputs": {"__score__": {"from": "/response/result/score"}}
//! });
//! assert!(check(&written).is_empty());
//! let command = Command::parse(&written)?;
//! assert_eq!(command.name()?.to_string(), "/_/enrich/ip-reputation");
//! assert_eq!(serde_json::to_value(&command)?, written);
//!
//! let flaws = check(&serde_json::json!({"type": "openwhisk", "command": "call x", "wait_ms": 0}));
//! let places: Vec<String> = flaws.iter().map(|flaw| flaw.pointer.to_string()).collect();
//! assert_eq!(places, ["/command", "/wait_ms"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The command says what is invoked with which arguments, how long to wait, when to try again
//! and what of the activation goes into which variables. Where the host is and who asks is the
//! agent's to say. What does I/O is [`carry_out`]; all else here is pure.

mod check;
mod form;
mod outcome;
mod parse;
mod portable;
mod progress;
mod schema;
mod value;
mod work;

pub use self::check::{Flaw, check, references};
pub use self::form::{Form, as_command, recognise};
pub use self::outcome::{Ended, MappingError, Word};
pub use self::parse::{
    Arguments, Command, CommandError, FailOn, Mode, Output, Reason, Retry, Verb,
};
pub use self::portable::{EXTENSION, PortableError, portable};
pub use self::progress::{Heard, Next, Progress};
pub use self::schema::schema;
pub use self::work::{Calls, Ledger, carry_out};

/// The type of the command.
pub const TYPE: &str = "openwhisk";
