//! Rules. Whether a rule is active is said by its trigger, which knows its rules: both are
//! changed in one commit.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use conche_openwhisk::model::{
    EntityPath, FullyQualifiedName, Messages, Name, Other, Reference, Rule, RuleLink, RulePut,
    RuleStatus, RuleStatusPut, Trigger,
};
use http::StatusCode;

use super::body::Document;
use super::query::Query;
use super::{Caller, Here, lists};
use crate::define::version;
use crate::entities::{Loaded, delete as removal, put};
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::{Commit, Write};
use crate::users::{namespace, own};

/// The place of a rule in its trigger: `namespace/rule`.
fn place(rule: &Rule) -> String {
    format!("{}/{}", rule.namespace, rule.name)
}

async fn named(
    host: &Inner,
    caller: &Caller,
    (word, name): (String, String),
) -> Result<(EntityPath, Name, Option<Loaded<Rule>>), Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let name = Name::parse(&name)?;
    own(&caller.who, &namespace, name.as_str())?;
    let path = EntityPath::of(namespace);
    let found = host.load(&path, &name).await?;
    Ok((path, name, found))
}

impl Inner {
    /// The trigger of a rule, where it is still there.
    async fn trigger_of(&self, rule: &Rule) -> Result<Option<Loaded<Trigger>>, Refusal> {
        self.load(&rule.trigger.path, &rule.trigger.name).await
    }
}

/// What a trigger says of a rule; inactive where it does not know it.
fn status(trigger: Option<&Loaded<Trigger>>, rule: &Rule) -> RuleStatus {
    let rules = trigger.and_then(|trigger| trigger.value.rules.as_ref());
    let link = rules.and_then(|rules| rules.get(&place(rule)));
    link.map_or(RuleStatus::Inactive, |link| link.status)
}

/// Writes what a trigger knows of a rule.
fn link(trigger: &mut Trigger, rule: &Rule, status: RuleStatus) {
    let link = RuleLink {
        action: rule.action.clone(),
        status,
        other: Other::new(),
    };
    let rules = trigger.rules.get_or_insert_default();
    rules.insert(place(rule), link);
}

fn unlink(trigger: &mut Trigger, rule: &Rule) {
    if let Some(rules) = &mut trigger.rules {
        rules.remove(&place(rule));
        if rules.is_empty() {
            trigger.rules = None;
        }
    }
}

fn commit(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

/// `GET …/rules/{r}`.
pub(super) async fn read(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Rule>, Refusal> {
    let (_, _, found) = named(&host, &caller, path).await?;
    let mut rule = found.ok_or_else(Refusal::not_found)?.value;
    let trigger = host.trigger_of(&rule).await?;
    rule.status = Some(status(trigger.as_ref(), &rule));
    Ok(Json(rule))
}

/// `GET …/rules`. Items do not say their status.
pub(super) async fn list(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    own(&caller.who, &namespace, "rules")?;
    let wanted = lists::wanted::<Rule>(&query, &namespace)?;
    lists::answer(&host, &wanted, |rule: Rule| rule).await
}

/// `PUT …/rules/{r}`.
pub(super) async fn write(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    query: Query,
    body: Document,
) -> Result<Json<Rule>, Refusal> {
    let overwrite = query.flag("overwrite", false)?;
    let (path, name, found) = named(&host, &caller, path).await?;
    let asked: RulePut = body.read()?;
    host.check_sizes(None, asked.annotations.as_ref())?;
    if found.is_some() && !overwrite {
        return Err(Refusal::conflict(Messages::ALREADY_EXISTS));
    }
    let here = path.namespace.clone();
    let there = found.as_ref().map(|found| &found.value);
    let written = |text: Option<&String>| {
        let parsed = text.map(|text| FullyQualifiedName::parse_in_body(text));
        parsed.transpose()
    };
    let trigger = written(asked.trigger.as_ref())?.map(|name| name.resolve(&here));
    let action = written(asked.action.as_ref())?.map(|name| name.resolve(&here));
    let trigger = trigger.or_else(|| there.map(|rule| rule.trigger.full_name()));
    let action = action.or_else(|| there.map(|rule| rule.action.full_name()));
    let (Some(trigger), Some(action)) = (trigger, action) else {
        return Err(Refusal::bad(Messages::RULE_INCOMPLETE));
    };
    let ends = host.ends(&caller, &trigger, &action).await?;
    let rule = Rule {
        namespace: path,
        name,
        version: version(asked.version, there.map(|there| &there.version))?,
        publish: asked.publish.unwrap_or(false),
        annotations: asked
            .annotations
            .or_else(|| there.map(|there| there.annotations.clone()))
            .unwrap_or_default(),
        trigger: Reference::from(&trigger),
        action: Reference::from(&action),
        status: None,
        updated: Some(host.now()),
        other: Other::new(),
    };
    host.store_rule(rule, found, ends).await.map(Json)
}

impl Inner {
    /// The trigger of a rule that is written; its action must be there too.
    async fn ends(
        &self,
        caller: &Caller,
        trigger: &FullyQualifiedName,
        action: &FullyQualifiedName,
    ) -> Result<Loaded<Trigger>, Refusal> {
        let missing = |what: &str, name: &FullyQualifiedName| {
            Refusal::bad(format!("{what} {name} does not exist"))
        };
        own(&caller.who, &trigger.namespace, trigger.name.as_str())?;
        let found = match self.load::<Trigger>(&trigger.path(), &trigger.name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(missing("trigger", trigger)),
            Err(refusal) => return Err(refusal),
        };
        match self.target(&caller.who, action.clone()).await {
            Ok(_) => Ok(found),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
                Err(missing("action", action))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Stores a rule with what its triggers know of it. A rule that is there keeps its status.
    async fn store_rule(
        self: &Arc<Self>,
        mut rule: Rule,
        there: Option<Loaded<Rule>>,
        mut trigger: Loaded<Trigger>,
    ) -> Result<Rule, Refusal> {
        let before = match &there {
            Some(there) => self.trigger_of(&there.value).await?,
            None => None,
        };
        let kept = match &there {
            Some(there) => status(before.as_ref(), &there.value),
            None => RuleStatus::Active,
        };
        let mut writes = vec![put(&rule, there.as_ref().map(|there| there.revision))?];
        if let (Some(there), Some(mut old)) = (&there, before)
            && there.value.trigger != rule.trigger
        {
            unlink(&mut old.value, &there.value);
            writes.push(put(&old.value, Some(old.revision))?);
        }
        link(&mut trigger.value, &rule, kept);
        let rules = trigger
            .value
            .rules
            .as_ref()
            .map_or(0, std::collections::BTreeMap::len);
        if rules > self.settings.sizes.rules {
            let most = self.settings.sizes.rules;
            return Err(Refusal::bad(format!(
                "The trigger has {most} rules, and no trigger may have more."
            )));
        }
        writes.push(put(&trigger.value, Some(trigger.revision))?);
        self.commit(commit(writes)).await?;
        rule.status = Some(kept);
        Ok(rule)
    }
}

/// `DELETE …/rules/{r}`.
pub(super) async fn delete(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Rule>, Refusal> {
    let (_, _, found) = named(&host, &caller, path).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let mut writes = vec![removal(&found)];
    let mut rule = found.value;
    if let Some(mut trigger) = host.trigger_of(&rule).await? {
        unlink(&mut trigger.value, &rule);
        writes.push(put(&trigger.value, Some(trigger.revision))?);
    }
    host.commit(commit(writes)).await?;
    rule.status = Some(RuleStatus::Inactive);
    Ok(Json(rule))
}

/// `POST …/rules/{r}`: makes it active or inactive.
pub(super) async fn set(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    body: Document,
) -> Result<&'static str, Refusal> {
    let wanted: RuleStatusPut = body.read()?;
    let (_, _, found) = named(&host, &caller, path).await?;
    let rule = found.ok_or_else(Refusal::not_found)?.value;
    let trigger = host.trigger_of(&rule).await?;
    if status(trigger.as_ref(), &rule) == wanted.status {
        return Ok("OK");
    }
    let Some(mut trigger) = trigger else {
        let text = Messages::RULE_WITHOUT_TRIGGER;
        return Err(Refusal::new(StatusCode::NOT_FOUND, text));
    };
    link(&mut trigger.value, &rule, wanted.status);
    let writes = vec![put(&trigger.value, Some(trigger.revision))?];
    host.commit(commit(writes)).await?;
    Ok("OK")
}
