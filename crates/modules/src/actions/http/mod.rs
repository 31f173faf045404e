//! `http`: requests to other services.
//!
//! One implementation, three actions, because what a repeat means is the receiver's
//! property and has to be said beforehand: `get` changes nothing and may be repeated;
//! `request_keyed` is for receivers that honour the key sent along; `request` promises
//! nothing, so that a request whose fate is unknown goes to a person.
//!
//! Where a request may go is checked by the egress client at the moment of connecting.
//! Secrets are named, never written, and go only where `actions.http.secrets` lets them; a
//! receiver that echoes one is masked. No value of a secret may leave this module but in
//! the header it is meant for.

mod config;
mod request;
pub(in crate::actions) mod template;

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::json::Limits;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::clock::SharedClock;
use conche_runtime::egress::Egress;
use conche_runtime::secrets::Secrets;
use http::Method;
use serde_json::Value;

use self::config::Config;
use self::request::Input;
use super::{input, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::clients::outcome::{Answered, Faults, Judge, Promise};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "http",
    summary: "Requests to other services.",
    actions: &[
        ActionSpec {
            name: "get",
            summary: "Reads from a service by GET or HEAD.",
            input: &settings::schema::<Input>,
            output: &settings::schema::<Answered>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: "request",
            summary: "Makes a request that must not be made twice unseen.",
            input: &settings::schema::<Input>,
            output: &settings::schema::<Answered>,
            repeat: Repeat::Unsafe,
            on_uncertain: OnUncertain::Attention,
        },
        ActionSpec {
            name: "request_keyed",
            summary: "Makes a request to a service that honours the idempotency key.",
            input: &settings::schema::<Input>,
            output: &settings::schema::<Answered>,
            repeat: Repeat::Keyed,
            on_uncertain: OnUncertain::Repeat,
        },
    ],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.http";

struct Http {
    config: Config,
    egress: Arc<Egress>,
    secrets: Arc<Secrets>,
    clock: SharedClock,
    limits: Limits,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    for secret in config.secrets.keys() {
        SecretName {
            secret: secret.clone(),
        }
        .check(PLACE, &cx.secrets)?;
    }
    let egress = match &config.tls {
        None => cx.egress.clone(),
        Some(tls) => Arc::new(
            cx.egress
                .with_tls(tls)
                .map_err(|error| settings::error(PLACE, error.to_string()))?,
        ),
    };
    Ok(Arc::new(Http {
        config,
        egress,
        secrets: cx.secrets.clone(),
        clock: cx.clock.clone(),
        limits: cx.json,
    }))
}

#[async_trait]
impl Action for Http {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let methods: &[Method] = match call.action.as_str() {
            "get" => &[Method::GET, Method::HEAD],
            "request" | "request_keyed" => &[],
            other => return Err(unknown("http", other)),
        };
        let input: Input = input(call)?;
        let expect = input.expect.clone();
        let (mut request, credentials) =
            input.request(methods, &call.key, &self.config, call.timeout)?;
        if let Some(credentials) = credentials {
            credentials.apply(&mut request, &self.config, &self.secrets)?;
        }
        let promise = Promise::of(&request.method);
        let result = self.egress.request(request).await;
        let judge = Judge {
            promise,
            faults: Faults::InDoubt,
            expect: &expect,
            masker: &self.secrets.masker(),
            limits: self.limits,
            now: self.clock.now(),
        };
        judge.judge(result)
    }
}
