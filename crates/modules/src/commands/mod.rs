//! The modules that carry out the commands of playbooks, by the type of the command.
//!
//! Each offers [`EXECUTE`](crate::command::EXECUTE), which takes a
//! [`CommandInput`](crate::command::CommandInput), and is listed beside the other action
//! modules, so that reactions may use it too.

mod bash;
mod caldera_cmd;
mod command_line;
mod elastic;
pub(crate) mod fin;
mod http_api;
mod jupyter;
mod openc2_http;
pub(crate) mod openwhisk;
mod over_http;
mod powershell;
mod sigma;
mod ssh;
mod yara;

use crate::action::ActionModule;

/// Every module that carries out commands, in the order of their names.
pub(crate) static ALL: &[&ActionModule] = &[
    &bash::MODULE,
    &caldera_cmd::MODULE,
    &elastic::MODULE,
    &fin::MODULE,
    &http_api::MODULE,
    &jupyter::JUPYTER,
    &jupyter::KESTREL,
    &openc2_http::MODULE,
    &openwhisk::MODULE,
    &powershell::MODULE,
    &sigma::MODULE,
    &ssh::MODULE,
    &yara::MODULE,
];
