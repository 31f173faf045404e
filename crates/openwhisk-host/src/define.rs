//! What a PUT makes of an action: a pure function of what was sent and what was there.

use conche_openwhisk::model::{
    Action, ActionPut, Exec, FullyQualifiedName, KeyValue, KeyValues, LimitRanges, Messages, Other,
    Version, check_size, is_binary,
};

use crate::host::Inner;
use crate::refusal::Refusal;
use crate::runtimes::Kind;

/// What the host takes.
pub(crate) struct Definition {
    pub(crate) ranges: LimitRanges,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) code_bytes: u64,
}

impl Definition {
    /// The action that is to be stored.
    pub(crate) fn merge(
        &self,
        asked: ActionPut,
        there: Option<&Action>,
        named: &FullyQualifiedName,
    ) -> Result<Action, Refusal> {
        let exec = match (asked.exec, there) {
            (Some(exec), _) => self.exec(exec)?,
            (None, Some(there)) => there.exec.clone(),
            (None, None) => return Err(Refusal::bad(Messages::NO_EXEC)),
        };
        let limits = asked.limits.unwrap_or_default();
        self.ranges.check(&limits)?;
        let was_sequence = there.is_some_and(|there| matches!(there.exec, Exec::Sequence(_)));
        let is_sequence = matches!(exec, Exec::Sequence(_));
        let parameters = match (asked.parameters, there) {
            (Some(parameters), _) => parameters,
            // What a sequence had is of no use to code.
            (None, Some(_)) if was_sequence && !is_sequence => KeyValues::default(),
            (None, Some(there)) => there.parameters.clone(),
            (None, None) => KeyValues::default(),
        };
        let given = asked.annotations.unwrap_or_default();
        let mut annotations = match there {
            Some(there) => there.annotations.clone().overlaid(&given),
            None => given,
        };
        for name in asked.del_annotations.iter().flatten() {
            annotations.remove(name);
        }
        annotations.set(KeyValue::new("exec", exec.kind()));
        if there.is_none() && annotations.get("provide-api-key").is_none() {
            annotations.set(KeyValue::new("provide-api-key", false));
        }
        Ok(Action {
            namespace: named.path(),
            name: named.name.clone(),
            version: version(asked.version, there.map(|there| &there.version))?,
            publish: asked
                .publish
                .or(there.map(|there| there.publish))
                .unwrap_or(false),
            updated: None,
            exec,
            parameters,
            annotations,
            limits: self
                .ranges
                .granted(&limits, there.map(|there| &there.limits)),
            other: Other::new(),
        })
    }

    /// What an action is to execute: of a kind that is here, its default made concrete, and
    /// whether it is base64 said by the code itself.
    fn exec(&self, exec: Exec) -> Result<Exec, Refusal> {
        let size = exec.source().map_or(0, |code| code.len() as u64);
        check_size("exec", size, self.code_bytes)?;
        Ok(match exec {
            Exec::Code(mut code) => {
                code.kind = self.kind(&code.kind)?;
                let source = code.code.as_deref();
                let source = source.ok_or_else(|| {
                    let text = "'code' must be a string or attachment object defined in 'exec' for";
                    Refusal::malformed(format!("{text} '{}' actions", code.kind))
                })?;
                code.binary = Some(is_binary(source));
                code.other = Other::new();
                Exec::Code(code)
            }
            Exec::Blackbox(mut blackbox) => {
                if blackbox.image.is_empty() {
                    let text = "'image' must be a string defined in 'exec' for 'blackbox' actions";
                    return Err(Refusal::malformed(text));
                }
                blackbox.binary = Some(blackbox.code.as_deref().is_some_and(is_binary));
                blackbox.other = Other::new();
                Exec::Blackbox(blackbox)
            }
            Exec::Sequence(mut sequence) => {
                sequence.other = Other::new();
                Exec::Sequence(sequence)
            }
        })
    }

    fn kind(&self, asked: &str) -> Result<String, Refusal> {
        let found = match asked.split_once(':') {
            Some((family, "default")) => {
                let of_family = |kind: &&Kind| kind.family == family && kind.default;
                self.kinds.iter().find(of_family)
            }
            _ => self.kinds.iter().find(|kind| kind.kind == asked),
        };
        found.map(|kind| kind.kind.clone()).ok_or_else(|| {
            let mut valid: Vec<&str> = self.kinds.iter().map(|kind| kind.kind.as_str()).collect();
            valid.sort_unstable();
            Refusal::bad(Messages::unknown_kind(asked, &valid))
        })
    }
}

/// The version of what is to be stored: as it was asked for, else the one after that which was
/// there, else the first.
pub(crate) fn version(asked: Option<Version>, there: Option<&Version>) -> Result<Version, Refusal> {
    match asked {
        Some(asked) => asked
            .whole()
            .ok_or_else(|| Refusal::malformed(format!("bad semantic version {asked}"))),
        None => Ok(there.map_or_else(Version::default, Version::next)),
    }
}

impl Inner {
    /// Whether what comes with an entity is small enough.
    pub(crate) fn check_sizes(
        &self,
        parameters: Option<&KeyValues>,
        annotations: Option<&KeyValues>,
    ) -> Result<(), Refusal> {
        let allowed = self.settings.sizes.parameters.bytes();
        for (field, values) in [("parameters", parameters), ("annotations", annotations)] {
            let size = |values| serde_json::to_vec(values).map_or(0, |text| text.len() as u64);
            check_size(field, values.map_or(0, size), allowed)?;
        }
        Ok(())
    }
}
