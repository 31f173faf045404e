//! The modules that carry out the commands of playbooks, by the type of the command.
//!
//! Each offers [`EXECUTE`](crate::command::EXECUTE), which takes a
//! [`CommandInput`](crate::command::CommandInput), and is listed beside the other action
//! modules, so that reactions may use it too.

use crate::action::ActionModule;

/// Every module that carries out commands, in the order of their names.
pub(crate) static ALL: &[&ActionModule] = &[];
