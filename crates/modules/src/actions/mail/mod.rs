//! `mail`: sends mail by SMTP; CSF's `send_mail` and more.
//!
//! SMTP has no idempotency keys, so a repeat may come twice; it is repeated all the same
//! when its fate is unknown, with the same Message-ID, because an alert that comes twice is
//! better than none. A 4xx reply is tried again, a 5xx is not; a connection that breaks
//! after the text was sent leaves the mail's fate unknown.
//!
//! This module must never send what it was not told to: no header, recipient or address may
//! come out of a value's line ends.

mod config;
mod message;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::clock::SharedClock;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use self::config::{Config, PLACE, PasswordOf};
use self::message::{Input, Sender, compose};
use self::session::{Delivered, Refusal, Sessions};
use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "mail",
    summary: "Sends mail.",
    actions: &[ActionSpec {
        name: "send_mail",
        summary: "Sends one mail.",
        input: &settings::schema::<Input>,
        output: &settings::schema::<Done>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

/// What `send_mail` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// The mail's id, with angle brackets; the same for every repeat.
    message_id: String,
    /// The addresses that the server took the mail for.
    accepted: Vec<String>,
    /// The addresses that it refused.
    refused: Vec<Refusal>,
}

struct MailModule {
    sessions: Sessions,
    clock: SharedClock,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let settled = settings::read::<Config>(PLACE, config)?.settle()?;
    match settled.login.as_ref().map(|login| &login.password) {
        Some(PasswordOf::Secret(name)) => name.check(PLACE, &cx.secrets)?,
        Some(PasswordOf::Literal(value)) => {
            cx.secrets.masker().learn("mail password", value);
            tracing::warn!(
                "actions.mail.password is in the configuration file: put it under `secrets:` and name it"
            );
        }
        None => {}
    }
    Ok(Arc::new(MailModule {
        sessions: Sessions::new(settled, cx.secrets.clone())?,
        clock: cx.clock.clone(),
    }))
}

#[async_trait]
impl Action for MailModule {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "send_mail" {
            return Err(unknown("mail", &call.action));
        }
        let input: Input = input(call)?;
        for name in input.unknown.keys() {
            tracing::warn!(run_id = %call.run, step = %call.step, %name, "send_mail does not know this input");
        }
        let settings = self.sessions.settings();
        let sender = Sender {
            from: &settings.from,
            reply_to: settings.reply_to.as_ref(),
        };
        let mail = compose(&input, sender, &call.key, self.clock.now())?;
        let Delivered { accepted, refused } = self
            .sessions
            .send(&mail, call.attempt, call.timeout)
            .await?;
        output(&Done {
            message_id: mail.message_id,
            accepted,
            refused,
        })
    }
}
