//! Values of variables that feed credentials: sealed before anything is stored, opened when a
//! command is sent.
//!
//! Whatever is recorded, shown or logged has the sealed form; only a module's call has the value,
//! in the credentials of its agent and target and nowhere else. A value is sealed for one program,
//! so that one that is copied from a journal is of no use in another playbook. What a caller
//! gives is sealed whatever it looks like: nobody can hand in what was sealed for somebody else.

use std::collections::{BTreeMap, BTreeSet};

use conche_core::run::{Declared, Started};
use conche_core::{Digest, Json};
use conche_runtime::secrets::{Error, Own, Secrets};
use serde_json::Value;

/// Seals for one program.
pub(crate) struct Sealing<'a> {
    pub(crate) secrets: &'a Secrets,
    pub(crate) program: Digest,
    /// The variables whose values are sealed.
    pub(crate) names: &'a BTreeSet<String>,
}

impl Sealing<'_> {
    fn sealed(&self, value: &Value) -> Result<Value, Error> {
        let text = match value {
            Value::Null => return Ok(Value::Null),
            Value::String(text) => text.clone(),
            // Not text: what the variable cannot hold is refused before.
            other => other.to_string(),
        };
        let sealed = self.secrets.seal(&self.program.to_string(), &text)?;
        Ok(sealed.into())
    }

    /// Seals the values that a caller gives.
    pub(crate) fn values(&self, values: &mut BTreeMap<String, Value>) -> Result<(), Error> {
        for (name, value) in values {
            if self.names.contains(name) {
                *value = self.sealed(value)?;
            }
        }
        Ok(())
    }

    /// Seals the values that a person answers.
    pub(crate) fn answers(&self, values: &mut BTreeMap<String, Json>) -> Result<(), Error> {
        for (name, value) in values {
            if self.names.contains(name)
                && let Ok(read) = value.read::<Value>()
            {
                *value = Json::from(&self.sealed(&read)?);
            }
        }
        Ok(())
    }

    /// Seals the values with which a run starts.
    pub(crate) fn declared(&self, variables: &mut Declared) -> Result<(), Error> {
        let all = variables.0.iter_mut();
        for (_, variable) in all.filter(|(name, _)| self.names.contains(name.as_str())) {
            if let Some(conche_cacao::variable::Value::Text(text)) = &mut variable.value {
                *text = self.secrets.seal(&self.program.to_string(), text)?;
            }
        }
        Ok(())
    }
}

/// The secrets that a run brought: those that its playbooks hold and those with which it was
/// started. What it gets later is known once a command is given it.
pub(crate) fn own(secrets: &Secrets, started: &Started) -> Own {
    let (own, program) = (Own::default(), started.definition.to_string());
    secrets.learn_held(&own, &format!("playbook/{program}/"));
    let variables = started.scope.iter().flat_map(|scope| scope.0.values());
    let texts = variables.filter_map(|variable| match &variable.value {
        Some(conche_cacao::variable::Value::Text(text)) => Some(text),
        _ => None,
    });
    for text in texts {
        // One that cannot be opened is told of where it is used.
        drop(own.sync_scope(|| secrets.open(&program, text)));
    }
    own
}

/// The input of a command as its module gets it: sealed values in the credentials of its agent
/// and target opened. None where there is nothing to open.
pub(crate) fn opened(
    secrets: &Secrets,
    program: Digest,
    input: &Json,
) -> Result<Option<Json>, Error> {
    if !input.as_str().contains("{sealed:") {
        return Ok(None);
    }
    let Ok(mut whole) = input.read::<Value>() else {
        return Ok(None);
    };
    let mut changed = false;
    for party in ["agent", "target"] {
        let credentials = whole.get_mut(party);
        let credentials = credentials.and_then(|party| party.get_mut("authentication"));
        let credentials = credentials.and_then(Value::as_object_mut);
        for credential in credentials.into_iter().flat_map(|of| of.values_mut()) {
            let Some(value) = credential.get_mut("value") else {
                continue;
            };
            let text = value.as_str().unwrap_or_default();
            if let Some(opened) = secrets.open(&program.to_string(), text)? {
                *value = opened.into();
                changed = true;
            }
        }
    }
    Ok(changed.then(|| Json::from(&whole)))
}
