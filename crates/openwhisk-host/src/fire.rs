//! Firing triggers: the record of the trigger and the invocations of all its active rules are
//! one commit, made before the caller is told. The activations of the actions have their ids
//! by then, so that what a crash interrupts goes on after the restart and nothing is invoked
//! twice.

use std::sync::Arc;

use conche_openwhisk::model::{
    Activation, ActivationId, KeyValues, Messages, Name, Other, RuleLink, RuleLog, RuleStatus,
    Status, Trigger,
};
use serde_json::{Map, Value};

use crate::host::Inner;
use crate::invoke::{Begin, Call, Named, new_id, response, stored};
use crate::refusal::Refusal;
use crate::store::{self, Admission, Commit, User, Write};
use crate::throttle::Slot;

/// What a firing brings along.
pub(crate) struct Firing {
    /// Whose trigger it is: its rules invoke in this namespace.
    pub(crate) who: Arc<User>,
    pub(crate) trigger: Trigger,
    /// The arguments of the firing.
    pub(crate) payload: Map<String, Value>,
    /// The headers of the request, for `__ow_headers`.
    pub(crate) headers: Option<Map<String, Value>>,
    pub(crate) transaction: Arc<str>,
    /// Names what the caller means; asked again it is the same firing.
    pub(crate) named: Option<Named>,
    /// Changes that are to happen together with the firing.
    pub(crate) writes: Vec<Write>,
}

impl Inner {
    /// Fires a trigger; none where no rule of it is active, and then nothing is recorded but
    /// the changes that come along.
    pub(crate) async fn fire(
        self: &Arc<Self>,
        firing: Firing,
    ) -> Result<Option<ActivationId>, Refusal> {
        self.throttle.firing(&firing.who.namespace, self.now())?;
        let rules = firing.trigger.rules.clone().unwrap_or_default();
        let active = |link: &RuleLink| link.status == RuleStatus::Active;
        if !rules.values().any(active) {
            let commit = Commit {
                writes: firing.writes,
                ..Commit::default()
            };
            self.commit(commit).await?;
            return Ok(None);
        }
        let id = firing.named.as_ref().map_or_else(new_id, Named::new_id);
        let mut logs = Vec::with_capacity(rules.len());
        let mut calls = Vec::new();
        for (rule, link) in &rules {
            let (log, call) = self.follow(&firing, rule, link).await;
            // A log is strings and numbers, which can be written.
            logs.push(serde_json::to_string(&log).unwrap_or_default());
            calls.extend(call);
        }
        let record = self.fired(&firing, id.clone(), logs)?;
        let mut admit: Vec<Admission> =
            calls.iter().map(|(call, _)| call.admission(None)).collect();
        // Accepted and over in one commit: what is left of it is that the key is known.
        admit.extend(firing.named.as_ref().map(|named| Admission {
            activation: id.to_string(),
            namespace: firing.who.namespace.clone(),
            request: Value::Null,
            begun: true,
            idempotency: Some(named.word.clone()),
        }));
        let commit = Commit {
            writes: firing.writes,
            admit,
            finish: vec![stored(&record, None)],
            ..Commit::default()
        };
        match self.commit(commit).await {
            Ok(()) => {}
            Err(store::Error::Known { activation }) => {
                let known = match &firing.named {
                    Some(named) => named.known(&activation)?,
                    None => ActivationId::parse(&activation)?,
                };
                return Ok(Some(known));
            }
            Err(error) => return Err(error.into()),
        }
        for (call, slot) in calls {
            drop(self.start(call, slot));
        }
        Ok(Some(id))
    }

    /// What a rule comes to: a line of the log and, where it is active and its action can be
    /// invoked, the call.
    async fn follow(
        self: &Arc<Self>,
        firing: &Firing,
        rule: &str,
        link: &RuleLink,
    ) -> (RuleLog, Option<(Call, Slot)>) {
        let action = link.action.full_name();
        let mut log = RuleLog {
            rule: rule.to_owned(),
            action: action.without_slash(),
            status_code: 0,
            success: true,
            activation_id: None,
            error: None,
            other: Other::new(),
        };
        let mut failed = |error: String| {
            log.status_code = 1;
            log.success = false;
            log.error = Some(error);
        };
        if link.status == RuleStatus::Inactive {
            let action = action.without_slash();
            failed(Messages::rule_inactive(rule, &action));
            return (log, None);
        }
        match self.following(firing, link).await {
            Err(refusal) => {
                failed(refusal.text);
                (log, None)
            }
            Ok((call, slot)) => {
                log.activation_id = Some(call.id.clone());
                (log, Some((call, slot)))
            }
        }
    }

    async fn following(
        self: &Arc<Self>,
        firing: &Firing,
        link: &RuleLink,
    ) -> Result<(Call, Slot), Refusal> {
        let own = Name::parse(&firing.who.namespace)?;
        let name = link.action.full_name().resolve(&own);
        let target = self.target(&firing.who, name).await?;
        let arguments = arguments(firing);
        if target
            .immutable()
            .iter()
            .any(|key| arguments.contains_key(*key))
        {
            return Err(Refusal::bad(Messages::PARAMETERS_NOT_ALLOWED));
        }
        let now = self.now();
        let slot = self.throttle.invocation(&firing.who.namespace, now)?;
        let id = new_id();
        let call = Call {
            who: Arc::clone(&firing.who),
            target,
            payload: arguments.into(),
            begin: Begin::of(&id, true),
            id,
            within: None,
            transaction: Arc::clone(&firing.transaction),
            accepted: now,
        };
        Ok((call, slot))
    }

    /// The record of a trigger: it has no end, no duration and no annotations.
    fn fired(
        &self,
        firing: &Firing,
        id: ActivationId,
        logs: Vec<String>,
    ) -> Result<Activation, Refusal> {
        Ok(Activation {
            namespace: firing.who.namespace.clone().try_into()?,
            name: firing.trigger.name.clone(),
            version: firing.trigger.version.clone(),
            publish: false,
            subject: firing.who.namespace.clone(),
            activation_id: id,
            start: self.now(),
            end: None,
            duration: None,
            cause: None,
            response: response(Status::Success, firing.payload.clone().into()),
            logs,
            annotations: KeyValues::default(),
            other: Other::new(),
        })
    }
}

/// The arguments of the actions: what is bound to the trigger, the headers, what was sent.
fn arguments(firing: &Firing) -> Map<String, Value> {
    let mut arguments = firing.trigger.parameters.to_object();
    if let Some(headers) = &firing.headers {
        arguments.insert("__ow_headers".to_owned(), headers.clone().into());
    }
    arguments.extend(firing.payload.clone());
    arguments
}
