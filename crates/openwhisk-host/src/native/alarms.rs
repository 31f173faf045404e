//! The package `alarms`: feeds that fire a trigger by the clock, without anything installed.
//!
//! A feed is called by clients when a trigger is made, looked at, changed or removed; what it is
//! told is kept, and the host fires what is due ([`Inner::sound_alarms`]). The firing and the
//! alarm's next time are one commit, so that a time fires once. Times that passed while the host
//! was not running fire once for all of them.

mod when;

use std::sync::atomic::Ordering;

use conche_openwhisk::model::{EntityPath, FullyQualifiedName, Name, Reference, Trigger};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::when::{Next, When};
use super::{Native, refused};
use crate::entities::{Loaded, key};
use crate::fire::Firing;
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::{Commit, Entity, Key, Kind, Listing, Stored, Write};
use crate::transaction::Transaction;

/// One of the feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Feed {
    Alarm,
    Interval,
    Once,
}

/// All, by name, with what they do.
pub(super) fn actions() -> Vec<(&'static str, Native, &'static str)> {
    vec![
        (
            "alarm",
            Native::Alarm(Feed::Alarm),
            "Fires by a cron pattern",
        ),
        (
            "interval",
            Native::Alarm(Feed::Interval),
            "Fires every so many minutes",
        ),
        ("once", Native::Alarm(Feed::Once), "Fires once, at a date"),
    ]
}

/// What goes with a trigger that has fired for the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum After {
    /// Nothing.
    #[default]
    Keep,
    /// The trigger.
    Trigger,
    /// The trigger and its rules.
    Rules,
}

/// What is kept of a trigger that fires by the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    feed: Feed,
    namespace: String,
    trigger: Name,
    when: When,
    payload: Map<String, Value>,
    after: After,
    /// Firings that are left; no bound without it.
    left: Option<u64>,
    active: bool,
    /// Why it is not active.
    reason: Option<String>,
    /// When it fires next, in milliseconds since 1970.
    next: Option<i64>,
    changed: i64,
}

/// Where alarms are: no namespace has such a name.
const PLACE: &str = "$alarms";

fn place(namespace: &str, trigger: &Name) -> Key {
    Key::new(format!("{PLACE}/{namespace}"), trigger.as_str())
}

/// Whether an entity is an alarm.
pub(crate) fn is_alarm(key: &Key) -> bool {
    key.namespace() == PLACE
}

fn write(alarm: &Alarm, expected: Option<u64>) -> Write {
    let entity = Entity {
        key: place(&alarm.namespace, &alarm.trigger),
        kind: Kind::Alarm,
        updated: alarm.changed.unsigned_abs(),
        // Its parts are strings, numbers and JSON, which can be written.
        document: serde_json::to_value(alarm).unwrap_or_default(),
        code: None,
    };
    Write::Put { entity, expected }
}

fn commit(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

fn read(stored: &Stored) -> Option<Alarm> {
    serde_json::from_value(stored.entity.document.clone()).ok()
}

impl Inner {
    /// Answers what a client tells a feed.
    pub(crate) async fn feed(&self, feed: Feed, arguments: Map<String, Value>) -> Value {
        match self.told(feed, &arguments).await {
            Ok(answer) => answer,
            Err(reason) => refused(reason),
        }
    }

    async fn told(&self, feed: Feed, arguments: &Map<String, Value>) -> Result<Value, String> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let event = text("lifecycleEvent").unwrap_or("CREATE");
        let pair = text("authKey").and_then(|pair| pair.split_once(':'));
        let who = pair.and_then(|(uuid, key)| self.users.authenticate(uuid, key));
        let who = who.ok_or("authKey is missing or wrong")?;
        let named = text("triggerName").ok_or("triggerName is missing")?;
        let named = FullyQualifiedName::parse_in_body(named).map_err(|error| error.to_string())?;
        let own = Name::parse(&who.namespace).map_err(|error| error.to_string())?;
        let named = named.resolve(&own);
        if named.namespace != own {
            return Err("the trigger is of another namespace".to_owned());
        }
        let there = self.store.entity(&place(&who.namespace, &named.name)).await;
        let there = there.map_err(|error| error.to_string())?;
        let failed = |error: crate::store::Error| error.to_string();
        match (event, there) {
            ("CREATE", there) => {
                let path = EntityPath::of(own);
                let trigger = self.load::<Trigger>(&path, &named.name).await;
                if trigger.map_err(|refusal| refusal.text)?.is_none() {
                    return Err(format!("there is no trigger {named}"));
                }
                let alarm = self.alarm(feed, &who.namespace, named.name, arguments)?;
                let expected = there.map(|there| there.revision);
                let change = commit(vec![write(&alarm, expected)]);
                self.commit(change).await.map_err(failed)?;
                Ok(json!({ "status": "success" }))
            }
            (_, None) => Err(format!("{named} has no alarm")),
            ("READ", Some(there)) => {
                let alarm = read(&there).ok_or("the alarm cannot be read")?;
                Ok(shown(&alarm))
            }
            ("UPDATE", Some(there)) => {
                let old = read(&there).ok_or("the alarm cannot be read")?;
                let merged = old.when.merged(arguments, &old.payload);
                let alarm = self.alarm(old.feed, &who.namespace, named.name, &merged)?;
                let change = commit(vec![write(&alarm, Some(there.revision))]);
                self.commit(change).await.map_err(failed)?;
                Ok(json!({ "status": "success" }))
            }
            ("DELETE", Some(there)) => {
                let change = commit(vec![Write::Delete {
                    key: there.entity.key,
                    expected: there.revision,
                }]);
                self.commit(change).await.map_err(failed)?;
                Ok(json!({ "status": "success" }))
            }
            ("PAUSE" | "UNPAUSE", Some(there)) => {
                let mut alarm = read(&there).ok_or("the alarm cannot be read")?;
                let now = self.now();
                alarm.active = event == "UNPAUSE";
                alarm.reason = (!alarm.active).then(|| "paused".to_owned());
                alarm.changed = now;
                if alarm.active {
                    alarm.next = alarm.when.after(now);
                }
                let change = commit(vec![write(&alarm, Some(there.revision))]);
                self.commit(change).await.map_err(failed)?;
                Ok(json!({ "status": "success" }))
            }
            (other, Some(_)) => Err(format!("a feed knows no lifecycleEvent '{other}'")),
        }
    }

    fn alarm(
        &self,
        feed: Feed,
        namespace: &str,
        trigger: Name,
        arguments: &Map<String, Value>,
    ) -> Result<Alarm, String> {
        let now = self.now();
        let when = When::read(feed, arguments, now)?;
        let Next { next, left } = when.first(now)?;
        let after = match arguments.get("deleteAfterFire") {
            None | Some(Value::Null | Value::Bool(false)) => After::Keep,
            Some(Value::Bool(true)) => After::Trigger,
            Some(Value::String(text)) => match text.as_str() {
                "false" => After::Keep,
                "true" => After::Trigger,
                "rules" => After::Rules,
                other => {
                    return Err(format!(
                        "deleteAfterFire is false, true or rules, not '{other}'"
                    ));
                }
            },
            Some(_) => return Err("deleteAfterFire is false, true or rules".to_owned()),
        };
        let payload = match arguments.get("trigger_payload") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(payload)) => payload.clone(),
            Some(other) => [("payload".to_owned(), other.clone())]
                .into_iter()
                .collect(),
        };
        Ok(Alarm {
            feed,
            namespace: namespace.to_owned(),
            trigger,
            when,
            payload,
            after: if feed == Feed::Once {
                after
            } else {
                After::Keep
            },
            left,
            active: true,
            reason: None,
            next: Some(next),
            changed: now,
        })
    }

    /// Fires what is due.
    pub(crate) async fn sound_alarms(self: &std::sync::Arc<Self>) {
        let now = self.now();
        if self.alarm_due.load(Ordering::SeqCst) > now {
            return;
        }
        // A change that comes while they are looked at puts the past here again.
        self.alarm_due.store(i64::MAX, Ordering::SeqCst);
        let listing = Listing::all(Kind::Alarm, self.settings.sizes.entities);
        let all = match self.store.list(&listing).await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%error, "alarms are not looked at");
                self.alarm_due.store(i64::MIN, Ordering::SeqCst);
                return;
            }
        };
        for entity in all {
            let next = entity.document["next"].as_i64();
            let Some(next) = next.filter(|_| entity.document["active"] == true) else {
                continue;
            };
            self.alarm_due.fetch_min(next, Ordering::SeqCst);
            if next > now {
                continue;
            }
            if let Err(refusal) = self.sound(&entity.key, now).await {
                tracing::warn!(alarm = %entity.key, reason = %refusal, "an alarm is not fired now");
            }
        }
    }

    async fn sound(self: &std::sync::Arc<Self>, key: &Key, now: i64) -> Result<(), Refusal> {
        let Some(stored) = self.store.entity(key).await? else {
            return Ok(());
        };
        let Some(mut alarm) = read(&stored) else {
            return Ok(());
        };
        let trigger = self.trigger_of_alarm(&alarm).await?;
        alarm.changed = now;
        let (Some(who), Some(trigger)) = (self.users.of(&alarm.namespace), trigger) else {
            alarm.active = false;
            alarm.reason = Some("the trigger is not there any more".to_owned());
            let change = commit(vec![write(&alarm, Some(stored.revision))]);
            return Ok(self.commit(change).await?);
        };
        alarm.left = alarm.left.map(|left| left.saturating_sub(1));
        alarm.next = alarm.when.after(now).filter(|_| alarm.left != Some(0));
        let mut writes = vec![write(&alarm, Some(stored.revision))];
        if alarm.next.is_none() {
            alarm.active = false;
            alarm.reason = Some("it has fired for the last time".to_owned());
            writes = vec![write(&alarm, Some(stored.revision))];
            if alarm.after != After::Keep {
                writes = self.goodbye(&alarm, &stored, &trigger).await?;
            }
        }
        let firing = Firing {
            who,
            payload: alarm.payload.clone(),
            trigger: trigger.value,
            headers: None,
            named: None,
            transaction: Transaction::generate().0,
            writes,
        };
        self.fire(firing).await.map(drop)
    }

    async fn trigger_of_alarm(&self, alarm: &Alarm) -> Result<Option<Loaded<Trigger>>, Refusal> {
        let path = EntityPath::of(Name::parse(&alarm.namespace)?);
        match self.load(&path, &alarm.trigger).await {
            Err(refusal) if refusal.status == http::StatusCode::CONFLICT => Ok(None),
            other => other,
        }
    }

    /// The changes that remove an alarm with its trigger and, where asked for, its rules.
    async fn goodbye(
        &self,
        alarm: &Alarm,
        stored: &Stored,
        trigger: &Loaded<Trigger>,
    ) -> Result<Vec<Write>, Refusal> {
        let remove = |key: Key, expected| Write::Delete { key, expected };
        let path = &trigger.value.namespace;
        let mut writes = vec![
            remove(stored.entity.key.clone(), stored.revision),
            remove(key(path, &trigger.value.name), trigger.revision),
        ];
        if alarm.after != After::Rules {
            return Ok(writes);
        }
        for written in trigger.value.rules.iter().flatten().map(|(name, _)| name) {
            let Ok(name) = FullyQualifiedName::parse_in_body(written) else {
                continue;
            };
            let rule = Reference::from(&name);
            let place = key(&rule.path, &rule.name);
            if let Some(there) = self.store.entity(&place).await?
                && there.entity.kind == Kind::Rule
            {
                writes.push(remove(place, there.revision));
            }
        }
        Ok(writes)
    }
}

/// What `READ` answers.
fn shown(alarm: &Alarm) -> Value {
    let mut config = alarm.when.shown();
    config.insert("name".to_owned(), alarm.trigger.as_str().into());
    config.insert("namespace".to_owned(), alarm.namespace.as_str().into());
    config.insert("payload".to_owned(), alarm.payload.clone().into());
    let changed = jiff::Timestamp::from_millisecond(alarm.changed);
    let next = alarm
        .next
        .and_then(|next| jiff::Timestamp::from_millisecond(next).ok());
    json!({
        "config": config,
        "status": {
            "active": alarm.active,
            "dateChanged": alarm.changed,
            "dateChangedISO": changed.map(|changed| changed.to_string()).unwrap_or_default(),
            "reason": { "message": alarm.reason },
            "next": next.map(|next| next.to_string()),
        },
    })
}
