//! What is asked of the runtimes and what they answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

/// One call of one action.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which action, at which revision. Processes are never shared between two keys.
    pub action: ActionKey,
    /// What is carried out.
    pub code: Code,
    /// The arguments: an object or an array.
    pub value: Value,
    /// Parameters marked `init`, which the action finds in its environment from its start on.
    /// Values are texts already (strings as they are, other JSON serialised).
    pub env: BTreeMap<String, String>,
    /// What the action is told of its call.
    pub envelope: Envelope,
    /// What the call may use.
    pub limits: Limits,
}

/// One revision of one action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionKey {
    /// The fully qualified name of the entity, `/ns/[pkg/]name`, any binding resolved.
    pub name: String,
    /// Changes whenever the action is stored anew. A name that was deleted and made again must
    /// not repeat a revision.
    pub revision: String,
}

/// The code of an action.
#[derive(Debug, Clone)]
pub struct Code {
    /// `family:version`, or `family:default`.
    pub kind: String,
    /// Text, or base64 of an archive or a program where [`Code::binary`] says so.
    pub text: Arc<str>,
    /// Whether the text is base64.
    pub binary: bool,
    /// The entry point; `main` where there is none.
    pub main: Option<String>,
    /// The image, which only the kind `blackbox` has.
    pub image: Option<String>,
}

/// What an action is told of its call, as `__OW_…` in its environment.
///
/// The deadline is not among it: it is counted from the moment when the call begins, which
/// only the runtimes know.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// The namespace of who invokes. Processes are never shared between two namespaces either.
    pub namespace: String,
    /// `/ns/[pkg/]name`.
    pub action_name: String,
    /// Such as `0.0.1`.
    pub action_version: String,
    /// 32 hexadecimal digits.
    pub activation_id: String,
    /// The transaction's id.
    pub transaction_id: String,
    /// `uuid:key` of the caller; only where the action is to be given it.
    pub api_key: Option<String>,
    /// Where the host is reached, `scheme://host:port`.
    pub api_host: Option<String>,
}

impl Envelope {
    /// What is told of each call, by its name within the envelope.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("namespace", &self.namespace),
            ("action_name", &self.action_name),
            ("action_version", &self.action_version),
            ("activation_id", &self.activation_id),
            ("transaction_id", &self.transaction_id),
        ];
        let always = always.into_iter().map(|(key, text)| (key, text.as_str()));
        always.chain(self.api_key.as_deref().map(|key| ("api_key", key)))
    }
}

/// What a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long the start may take, and then the call itself.
    pub timeout: Duration,
    /// Memory of the whole process group, in MB (2^20 bytes).
    pub memory_mb: u32,
    /// Bytes of logs that are kept, in MB (2^20 bytes).
    pub logs_mb: u32,
}

impl Limits {
    pub(super) fn memory_bytes(self) -> u64 {
        u64::from(self.memory_mb) << 20
    }

    pub(super) fn logs_bytes(self) -> u64 {
        u64::from(self.logs_mb) << 20
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The class of the response.
    pub class: ResponseClass,
    /// The result as it is stored: an object or an array on success, else `{"error": …}` and
    /// nothing beside it.
    pub result: Value,
    /// From asking until a process was there, or room to start one.
    pub wait: Duration,
    /// From starting a process until it was ready; only where the call found none that was
    /// (a cold start).
    pub init: Option<Duration>,
    /// From handing over the arguments until the answer.
    pub run: Duration,
    /// `2018-03-13T21:06:34.652259951Z stdout: text`, in the order of arrival.
    pub logs: Vec<String>,
    /// Whether the call was ended because its time was over.
    pub timed_out: bool,
    /// What carried out the call where that is not what its kind says, for an annotation
    /// [`Ran::CARRIED_OUT_BY`]: another version, or another engine.
    pub carried_out_by: Option<String>,
}

impl Ran {
    /// The key of the annotation with [`Ran::carried_out_by`].
    pub const CARRIED_OUT_BY: &'static str = "carriedOutBy";

    /// A success at once, without logs.
    pub fn success(result: Value) -> Self {
        Self {
            class: ResponseClass::Success,
            result,
            wait: Duration::ZERO,
            init: None,
            run: Duration::ZERO,
            logs: Vec::new(),
            timed_out: false,
            carried_out_by: None,
        }
    }

    /// A failure at once, without logs.
    pub fn failure(class: ResponseClass, error: impl Into<Value>) -> Self {
        let error: Value = error.into();
        Self {
            class,
            ..Self::success(json!({ "error": error }))
        }
    }

    /// What the activation's `duration` is: start and run.
    pub fn duration(&self) -> Duration {
        self.init.unwrap_or_default() + self.run
    }
}

/// Whose failure a response is, if any. Ordered from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseClass {
    /// An object or array without a top-level `error`.
    Success,
    /// The action answered with an `error`, or with too much.
    ApplicationError,
    /// The action crashed, could not be started, took too long or answered nonsense.
    DeveloperError,
    /// The host failed.
    InternalError,
}

impl ResponseClass {
    /// The number that OpenWhisk has for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ApplicationError => 1,
            Self::DeveloperError => 2,
            Self::InternalError => 3,
        }
    }

    /// What `response.status` says.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ApplicationError => "application error",
            Self::DeveloperError => "action developer error",
            Self::InternalError => "whisk internal error",
        }
    }
}

/// A kind of code that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Such as `nodejs`.
    pub family: String,
    /// Such as `nodejs:20`.
    pub kind: String,
    /// Whether `family:default` means this one.
    pub default: bool,
    /// What carries it out, where that is not what the kind says.
    pub carried_out_by: Option<String>,
}

/// How many processes of a kind are to be kept ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prewarm {
    /// The kind, as in [`Code::kind`].
    pub kind: String,
    /// The memory limit of the actions that they are for, in MB.
    pub memory_mb: u32,
    /// How many; 0 ends those that are there.
    pub count: usize,
}

/// Processes can't be kept ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRoom {
    /// Nothing here carries out that kind, or nothing that can be started ahead.
    #[error("processes of the kind `{0}` can't be started ahead")]
    Kind(String),
    /// They would take all the room that calls need.
    #[error("{asked} processes kept ready would be more than the {limit} that there may be")]
    Processes {
        /// With those asked for before.
        asked: usize,
        /// One less than there may be in all.
        limit: usize,
    },
}
