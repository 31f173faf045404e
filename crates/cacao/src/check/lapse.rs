//! Whether what is in a playbook, such as a marking or a signature, is revoked or lapsed.

use serde_json::{Map, Value};

use super::{Check, Said, Surroundings};
use crate::pointer::Pointer;
use crate::time;

/// Something that can be revoked and lapse, and what is said of it then.
pub(super) struct Mortal {
    pub(super) check: &'static Check,
    /// What it is called.
    pub(super) what: &'static str,
    pub(super) help: &'static str,
}

impl Mortal {
    pub(super) fn check(
        &self,
        object: &Map<String, Value>,
        at: &Pointer,
        around: &Surroundings<'_>,
        said: &mut Said,
    ) {
        if object.get("revoked") == Some(&Value::Bool(true)) {
            let message = format!("this {} is revoked", self.what);
            said.say(self.check, &at.then("revoked"), message, self.help);
        }
        let until = object.get("valid_until").and_then(Value::as_str);
        let until = until.and_then(|text| time::read(text).ok());
        let over = around.now.zip(until);
        if over.is_some_and(|(now, (until, _))| now >= until) {
            let message = format!("this {} is not valid any more", self.what);
            said.say(self.check, &at.then("valid_until"), message, self.help);
        }
    }
}
