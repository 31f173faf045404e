//! Storm control: what keeps a storm of events from becoming a storm of runs.
//!
//! A reaction names up to three controls: `dedup`, then `throttle`, then one of `debounce`
//! and `group`. Each looks at the events of one key, which a CEL expression gives. What a
//! control remembers of a key is a [`Memory`] or a [`Gathering`]; how that changes with an event is
//! decided here and nowhere else, and a store keeps it in the transaction that accepts the event.
//!
//! Nothing here evaluates an expression or reads a clock.

mod gathering;
mod memory;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use gathering::{GROUP_BYTES_MAX, Gather, Gathering, Joined};
pub use memory::{Memory, Watch};

use crate::id::Digest;
use crate::span::Span;

/// Longest window, wait or span of a control.
pub const SPAN_MAX: Duration = Duration::from_hours(7 * 24);
/// Most runs that a throttle lets through in its span: it remembers the time of each.
pub const LIMIT_MAX: u32 = 1000;
/// Most events of a group.
pub const GROUP_MAX: u32 = 1000;
/// Events of a group where the reaction does not say.
const GROUP_DEFAULT: u32 = 100;
/// A debounce waits this many times its `wait` at most, where the reaction does not say.
const WAITS_DEFAULT: u32 = 10;
/// Bytes of a key; of a longer one the beginning and a digest of the whole are kept.
pub const KEY_BYTES_MAX: usize = 200;

/// `dedup`: the first event of a key runs, those of the window after it do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// A CEL expression over `event`; absent: all events have one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From the event that ran. At most 7d.
    pub window: Span,
}

/// `throttle`: so many runs begin in any span of this length, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// A CEL expression over `event`; absent: all events have one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From 1 to 1000.
    pub limit: u32,
    /// At most 7d.
    pub per: Span,
}

/// `debounce`: one run, with the last event, once no other has come for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debounce {
    /// A CEL expression over `event`; absent: all events have one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long it must be quiet. At most 7d.
    pub wait: Span,
    /// From the first event, at most 7d; absent: ten times `wait`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
}

/// `group`: one run for all events of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// A CEL expression over `event`; absent: all events have one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From the first event. At most 7d.
    pub window: Span,
    /// Events at which the group is full and runs at once, from 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// The name of a control, as a reaction writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// [`Dedup`]
    Dedup,
    /// [`Throttle`]
    Throttle,
    /// [`Debounce`]
    Debounce,
    /// [`Group`]
    Group,
}

impl Control {
    /// Its key in a reaction, its word in JSON and its label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dedup => "dedup",
            Self::Throttle => "throttle",
            Self::Debounce => "debounce",
            Self::Group => "group",
        }
    }
}

/// A reaction's controls, in the order in which an event passes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Those that let an event pass or not, each with its key expression.
    pub watches: Vec<(Watch, Option<String>)>,
    /// The one that has events wait for each other, with its key expression.
    pub gather: Option<(Gather, Option<String>)>,
}

/// What a control makes of no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A length of time that is none or too long.
    #[error("'{0}' is longer than nothing and at most 7d")]
    Span(&'static str),
    /// A number out of its range.
    #[error("'{key}' is a whole number from 1 to {most}")]
    Number {
        /// The key.
        key: &'static str,
        /// The highest.
        most: u32,
    },
    /// It would never wait that long.
    #[error("'debounce.max_wait' is at least as long as 'debounce.wait'")]
    MaxWait,
    /// Both have events wait.
    #[error("give either 'debounce' or 'group', not both")]
    Both,
}

impl Controls {
    /// Puts controls in order and checks them.
    ///
    /// # Errors
    /// Where a span, a number or their combination makes no sense.
    pub fn new(
        dedup: Option<&Dedup>,
        throttle: Option<&Throttle>,
        debounce: Option<&Debounce>,
        group: Option<&Group>,
    ) -> Result<Self, Error> {
        let mut controls = Self::default();
        if let Some(dedup) = dedup {
            let window = span("dedup.window", dedup.window)?;
            let watch = Watch::Dedup { window };
            controls.watches.push((watch, dedup.key.clone()));
        }
        if let Some(throttle) = throttle {
            let limit = number("throttle.limit", throttle.limit, LIMIT_MAX)?;
            let per = span("throttle.per", throttle.per)?;
            let watch = Watch::Throttle { limit, per };
            controls.watches.push((watch, throttle.key.clone()));
        }
        controls.gather = match (debounce, group) {
            (Some(_), Some(_)) => return Err(Error::Both),
            (Some(debounce), None) => Some((debounce.rule()?, debounce.key.clone())),
            (None, Some(group)) => Some((group.rule()?, group.key.clone())),
            (None, None) => None,
        };
        Ok(controls)
    }

    /// Every key expression with the control that it belongs to.
    pub fn keys(&self) -> impl Iterator<Item = (Control, &str)> {
        let watches = self.watches.iter();
        let watches = watches.map(|(watch, key)| (watch.control(), key.as_deref()));
        let gather = self.gather.iter();
        let gather = gather.map(|(gather, key)| (gather.control(), key.as_deref()));
        let all = watches.chain(gather);
        all.filter_map(|(control, key)| key.map(|key| (control, key)))
    }
}

impl Debounce {
    fn rule(&self) -> Result<Gather, Error> {
        let wait = span("debounce.wait", self.wait)?;
        let max_wait = match self.max_wait {
            Some(max) => span("debounce.max_wait", max)?,
            None => (wait * WAITS_DEFAULT).min(SPAN_MAX),
        };
        if max_wait < wait {
            return Err(Error::MaxWait);
        }
        Ok(Gather::Debounce { wait, max_wait })
    }
}

impl Group {
    fn rule(&self) -> Result<Gather, Error> {
        let window = span("group.window", self.window)?;
        let max = number("group.max", self.max.unwrap_or(GROUP_DEFAULT), GROUP_MAX)?;
        Ok(Gather::Group { window, max })
    }
}

fn span(key: &'static str, span: Span) -> Result<Duration, Error> {
    if span.0.is_zero() || span.0 > SPAN_MAX {
        return Err(Error::Span(key));
    }
    Ok(span.0)
}

fn number(key: &'static str, number: u32, most: u32) -> Result<u32, Error> {
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(Error::Number { key, most })
    }
}

/// What tells the events of a control apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// A key of a text of any length.
    pub fn new(text: &str) -> Self {
        if text.len() <= KEY_BYTES_MAX {
            return Self(text.to_owned());
        }
        let digest = Digest::of(text.as_bytes()).to_string();
        let mut end = KEY_BYTES_MAX - digest.len() - 1;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}~{digest}", &text[..end]))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reaction's controls for one event: what has to let it pass before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// In order, each with the event's key.
    pub watches: Vec<(Watch, Key)>,
    /// Where events wait for each other.
    pub gather: Option<(Gather, Key)>,
    /// Keys that the reaction may have at once, over all its controls; an event of a new one
    /// beyond them passes as if there were no control.
    pub keys_max: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_keeps_its_difference() {
        let long = "ü".repeat(500);
        let (one, other) = (Key::new(&long), Key::new(&(long.clone() + "x")));
        assert_ne!(one, other);
        assert!(one.as_str().len() <= KEY_BYTES_MAX && one.as_str().starts_with("üü"));
        assert_eq!(one, Key::new(&long));
        assert_eq!(Key::new("1.2.3.4").as_str(), "1.2.3.4");
    }
}
