//! CSF's `k8s_imagevalidate`: answers what an API server asked by `k8s_imagevalidator`.
//!
//! A decision that nobody waits for (any more) is no error, as in CSF: the run's work counts.
//! It counts only for the event that triggered its run, and it says which review it is about:
//! it must never be taken for the answer to another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Answer, Call, Error, Output};
use crate::admission::{Decision, Decisions};
use crate::{BuildContext, BuildError, config};

/// Its name, by which the engine finds answers in journals.
const NAME: &str = "k8s_imagevalidate";
const VALIDATE: &str = "validate_image";
const FORGET: &str = "forget_decisions";

pub(super) static MODULE: ActionModule = ActionModule {
    name: NAME,
    summary: "Decides what a Kubernetes cluster lets in.",
    actions: &[
        ActionSpec {
            name: VALIDATE,
            summary: "Lets in, or not, what the event asks about.",
            input: &config::schema::<Input>,
            output: &config::schema::<Nothing>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: FORGET,
            summary: "Forgets decisions, so that the same is asked again.",
            input: &config::schema::<Forget>,
            output: &config::schema::<Forgotten>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
    ],
    config: &config::schema::<Config>,
    build: &build,
};

/// `k8s_imagevalidate` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `validate_image` takes. What else a script of CSF's puts beside is passed over.
#[derive(Debug, Deserialize, JsonSchema)]
struct Input {
    /// The `uuid` of the event.
    uuid: String,
    /// Whether it may enter.
    validate: bool,
    /// Why: shown to whoever asked. Default: none.
    #[serde(default)]
    reason: Option<String>,
    /// Shown to whoever asked, also where it may enter: at most 10 of 120 characters.
    /// Default: none.
    #[serde(default)]
    warnings: Vec<String>,
    /// For the cluster's audit log. Default: none.
    #[serde(default)]
    audit_annotations: BTreeMap<String, String>,
}

/// `validate_image` returns nothing, as in CSF.
#[derive(Debug, Serialize, JsonSchema)]
struct Nothing {}

/// What `forget_decisions` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forget {
    /// An image as pods name it, without its tag where it has a digest; or a digest alone.
    /// Default: all decisions.
    #[serde(default)]
    image: Option<String>,
}

/// What `forget_decisions` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Forgotten {
    /// How many.
    forgotten: usize,
}

struct Validate(Arc<Decisions>);

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.k8s_imagevalidate", config)?;
    Ok(Arc::new(Validate(cx.decisions.clone())))
}

#[async_trait]
impl Action for Validate {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        match &*call.action {
            VALIDATE => {
                let input: Input = input(call)?;
                let answer = input.decision().answer();
                if !answer.is_some_and(|answer| call.host.decide(call, answer)) {
                    tracing::debug!(run_id = %call.run, "nobody waits for this decision");
                }
                output(&Nothing {})
            }
            FORGET => {
                let Forget { image } = input(call)?;
                let forgotten = self.0.forget(image.as_deref());
                output(&Forgotten { forgotten })
            }
            other => Err(unknown(NAME, other)),
        }
    }
}

impl Input {
    fn decision(self) -> Decision {
        let decision = Decision {
            uuid: Some(self.uuid),
            allowed: self.validate,
            reason: self.reason,
            warnings: self.warnings,
            audit_annotations: self.audit_annotations,
        };
        decision.bounded()
    }
}

/// The answer that an invocation with this input gave, for whoever asks the same again; none
/// where that is no answering action of this module.
pub(super) fn answer(module: &str, action: &str, input: &Json) -> Option<Answer> {
    let is_it = module == NAME && action == VALIDATE;
    let input: Input = is_it.then(|| input.read().ok())??;
    input.decision().answer()
}
