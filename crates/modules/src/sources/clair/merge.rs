//! From the pages of a notification to its events.
//!
//! Pure, and fed page by page, so that a notification of any length needs the memory of one
//! event: what a group has gathered is given out when it holds as many images, or as many
//! bytes, as an event may. The events' ids count on from the notification's name, so that a
//! notification that is fetched again after a break becomes the same events.
//!
//! No event is larger than an event may be: of a vulnerability that takes more than its share
//! the largest members are left out, and named in `omitted`.

use std::collections::BTreeMap;

use conche_core::{Json, json::Limits};
use serde_json::{Map, Value, json};

use super::config::Kinds;
use crate::clients::clair::Api;
use crate::clients::clair::notice::{Affected, Page, Part, Side};
use crate::clients::clair::scan;
use crate::intake::NewEvent;

/// All groups together give out what they hold at so many bytes.
const HELD_MAX: usize = 16 << 20;

/// What an image takes in an event beside its name, which may be there three times.
const IMAGE_BYTES: usize = 192;

/// What a merger is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) kinds: Kinds,
    pub(super) images_max: usize,
    pub(super) page_size: u32,
    pub(super) limits: Limits,
}

/// Gathers parts and gives out events.
pub(super) struct Merger<'a> {
    name: &'a str,
    settings: Settings,
    groups: BTreeMap<String, Group>,
    held: usize,
    given: usize,
}

/// What becomes one event.
#[derive(Default)]
struct Group {
    new: Option<Half>,
    old: Option<Half>,
    images: usize,
    bytes: usize,
}

/// One side of a group.
struct Half {
    vulnerability: Value,
    more: Map<String, Value>,
    affected: Vec<Affected>,
}

impl<'a> Merger<'a> {
    pub(super) fn new(name: &'a str, settings: Settings) -> Self {
        Self {
            name,
            settings,
            groups: BTreeMap::new(),
            held: 0,
            given: 0,
        }
    }

    /// Takes a page in; gives out the events that are full.
    pub(super) fn push(&mut self, page: Page) -> Vec<NewEvent> {
        let mut full = Vec::new();
        for part in page.parts {
            self.gather(page.api, part, &mut full);
        }
        if self.held > HELD_MAX {
            full.extend(self.flush(page.api));
        }
        full
    }

    /// Gives out what is held.
    pub(super) fn flush(&mut self, api: Api) -> Vec<NewEvent> {
        let groups = std::mem::take(&mut self.groups);
        self.held = 0;
        let events = groups.into_values().map(|group| self.events(api, &group));
        events.collect::<Vec<_>>().concat()
    }

    fn gather(&mut self, api: Api, part: Part, full: &mut Vec<NewEvent>) {
        let Part {
            key,
            side,
            vulnerability,
            more,
            affected,
        } = part;
        let (mut vulnerability, mut more) = (vulnerability, more);
        // Two sides of a quarter each leave the rest to the images.
        if let Value::Object(members) = &mut vulnerability {
            let mut omitted = shorten(members, self.settings.limits.bytes / 4);
            omitted.extend(shorten(&mut more, self.settings.limits.bytes / 8));
            if !omitted.is_empty() {
                members.insert("omitted".to_owned(), omitted.into());
            }
        }
        let own = vulnerability.to_string().len() + length(&more);
        self.group(&key, side, &vulnerability, &more, own);
        for image in affected {
            let bytes = image.name.len() * 3 + IMAGE_BYTES;
            let is_full = self.groups.get(&key).is_some_and(|group| {
                group.images >= self.settings.images_max
                    || (group.images > 0 && group.bytes + bytes > self.settings.limits.bytes)
            });
            if is_full && let Some(group) = self.groups.remove(&key) {
                self.held -= group.bytes;
                full.extend(self.events(api, &group));
                self.group(&key, side, &vulnerability, &more, own);
            }
            let Some(group) = self.groups.get_mut(&key) else {
                continue;
            };
            group.images += 1;
            group.bytes += bytes;
            self.held += bytes;
            let half = match side {
                Side::New => &mut group.new,
                Side::Old => &mut group.old,
            };
            if let Some(half) = half {
                half.affected.push(image);
            }
        }
    }

    /// Makes sure of a group and its side. Both events hold the vulnerability once.
    fn group(
        &mut self,
        key: &str,
        side: Side,
        vulnerability: &Value,
        more: &Map<String, Value>,
        own: usize,
    ) {
        let group = self.groups.entry(key.to_owned()).or_default();
        let half = match side {
            Side::New => &mut group.new,
            Side::Old => &mut group.old,
        };
        if half.is_none() {
            *half = Some(Half {
                vulnerability: vulnerability.clone(),
                more: more.clone(),
                affected: Vec::new(),
            });
            group.bytes += own + 1024;
            self.held += own + 1024;
        }
    }

    fn events(&mut self, api: Api, group: &Group) -> Vec<NewEvent> {
        let number = self.given;
        self.given += 1;
        let subject = [&group.new, &group.old]
            .into_iter()
            .flatten()
            .find_map(|half| half.vulnerability["name"].as_str());
        let event = |event_type: &str, id: String, data: &Value| NewEvent {
            id: Some(id),
            event_type: event_type.to_owned(),
            subject: subject.map(str::to_owned),
            time: None,
            data: Json::from(data),
        };
        let mut events = Vec::new();
        if self.settings.kinds != Kinds::Notification {
            let data = self.as_in_csf(group);
            events.push(event("new_vuln", format!("{}#{number}", self.name), &data));
        }
        if self.settings.kinds != Kinds::NewVuln {
            let id = format!("{}#{number}.notification", self.name);
            events.push(event(
                "clair.notification",
                id,
                &self.rich(api, group, number),
            ));
        }
        events
    }

    /// CSF's payload, which is API v3's, with all pages in one.
    fn as_in_csf(&self, group: &Group) -> Value {
        let half = |half: &Option<Half>| {
            half.as_ref().map(|half| {
                let ancestries: Vec<Value> = half
                    .affected
                    .iter()
                    .map(|image| json!({ "index": image.index, "name": readable(&image.name) }))
                    .collect();
                json!({
                    "currentPage": "", "nextPage": "", "limit": self.settings.page_size,
                    "vulnerability": half.vulnerability, "ancestries": ancestries,
                })
            })
        };
        json!({ "new": half(&group.new), "old": half(&group.old) })
    }

    fn rich(&self, api: Api, group: &Group, number: usize) -> Value {
        let half = |half: &Option<Half>| {
            half.as_ref().map(|half| {
                let mut vulnerability = half.vulnerability.clone();
                if let Value::Object(members) = &mut vulnerability {
                    members.extend(half.more.clone());
                    // Text that is JSON is read here once and not in every script.
                    let metadata = members.get("metadata").and_then(Value::as_str);
                    let metadata = metadata.and_then(|text| serde_json::from_str(text).ok());
                    members.insert("metadata".to_owned(), metadata.unwrap_or_else(|| json!({})));
                }
                let images: Vec<Value> = half
                    .affected
                    .iter()
                    .map(|image| affected(api, image))
                    .collect();
                json!({ "vulnerability": vulnerability, "affected": images })
            })
        };
        let change = match (&group.new, &group.old) {
            (Some(_), Some(_)) => "changed",
            (None, Some(_)) => "removed",
            _ => "added",
        };
        json!({
            "notification": self.name, "api": api, "part": number, "change": change,
            "new": half(&group.new), "old": half(&group.old),
        })
    }
}

/// Leaves the largest members out until the rest has at most so many bytes; gives their names.
fn shorten(members: &mut Map<String, Value>, bytes: usize) -> Vec<String> {
    let mut omitted = Vec::new();
    while length(members) > bytes {
        let sizes = members.iter().map(|(name, value)| {
            let value = serde_json::to_string(value).map_or(0, |text| text.len());
            (value, name)
        });
        let Some((_, name)) = sizes.max() else { break };
        let name = name.clone();
        members.remove(&name);
        omitted.push(name);
    }
    omitted
}

fn length(members: &Map<String, Value>) -> usize {
    serde_json::to_string(members).map_or(0, |text| text.len())
}

/// An ancestry that `klar` has named is an image.
fn readable(name: &str) -> String {
    scan::image_of(name).unwrap_or_else(|| name.to_owned())
}

/// What is affected, with the image where the name tells it.
fn affected(api: Api, image: &Affected) -> Value {
    let (kind, digest) = match api {
        Api::V1 => ("layer", scan::manifest_of_layer(&image.name)),
        Api::V3 => ("ancestry", None),
        Api::V4 => ("manifest", Some(image.name.clone())),
    };
    let image_name = scan::image_of(&image.name);
    let digest = digest.or_else(|| {
        let (_, digest) = image_name.as_deref()?.rsplit_once('@')?;
        Some(digest.to_owned())
    });
    json!({ "kind": kind, "name": image.name, "image": image_name, "digest": digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(images_max: usize, bytes: usize) -> Settings {
        Settings {
            kinds: Kinds::Both,
            images_max,
            page_size: 2,
            limits: Limits { bytes, depth: 64 },
        }
    }

    fn page(side: &str, from: usize, count: usize) -> Page {
        let ancestries: Vec<Value> = (from..from + count)
            .map(|index| json!({ "index": index, "name": format!("image-{index}") }))
            .collect();
        let mut notification = json!({ "new": null, "old": null });
        notification[side] =
            json!({ "vulnerability": { "name": "CVE-1" }, "ancestries": ancestries });
        let text = json!({ "notification": notification }).to_string();
        Page::read(text.as_bytes(), None).unwrap()
    }

    fn compat(events: &[NewEvent]) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        for event in events.iter().filter(|event| event.event_type == "new_vuln") {
            found.push((event.id.clone().unwrap(), event.data.read().unwrap()));
        }
        found
    }

    #[test]
    fn csf_bug_8_all_pages_of_a_notification_are_one_event() {
        let mut merger = Merger::new("n", settings(1000, 1 << 20));
        for at in 0..50 {
            assert!(merger.push(page("new", at * 2, 2)).is_empty());
        }
        assert!(merger.push(page("old", 0, 1)).is_empty());
        let events = merger.flush(Api::V3);
        let [(id, data)] = &compat(&events)[..] else {
            panic!("{events:?}");
        };
        assert_eq!(id, "n#0");
        assert_eq!(data["new"]["ancestries"].as_array().unwrap().len(), 100);
        assert_eq!(
            data["old"]["ancestries"][0],
            json!({ "index": 0, "name": "image-0" })
        );
        let rich: Value = events[1].data.read().unwrap();
        assert_eq!(
            (&rich["change"], &rich["part"]),
            (&json!("changed"), &json!(0))
        );
        assert_eq!(rich["new"]["affected"][99]["kind"], "ancestry");
    }

    #[test]
    fn what_is_above_the_cap_becomes_further_events_and_none_is_lost() {
        for (images, bytes) in [(10, 1 << 20), (1000, 3000)] {
            let mut merger = Merger::new("n", settings(images, bytes));
            let mut events = Vec::new();
            for at in 0..25 {
                events.extend(merger.push(page("new", at * 3, 3)));
            }
            events.extend(merger.flush(Api::V3));
            let found = compat(&events);
            let names = found.iter().flat_map(|(_, data)| {
                let names = data["new"]["ancestries"].as_array().unwrap().iter();
                names.map(|image| image["name"].as_str().unwrap().to_owned())
            });
            let expected: Vec<_> = (0..75).map(|index| format!("image-{index}")).collect();
            assert_eq!(names.collect::<Vec<_>>(), expected);
            assert!(found.len() >= 7);
            assert_eq!(found[3].0, "n#3");
            assert!(
                events
                    .iter()
                    .all(|event| event.data.as_str().len() <= bytes.max(3000))
            );
        }
    }

    #[test]
    fn a_vulnerability_larger_than_an_event_is_told_without_its_largest_members() {
        let bytes = 16 << 10;
        for side in ["new", "old"] {
            let mut page = page(side, 0, 3);
            page.parts[0].vulnerability["description"] = "x".repeat(30_000).into();
            page.parts[0].vulnerability["metadata"] = json!("{\"a\":1}");
            page.parts[0]
                .more
                .insert("package".to_owned(), "y".repeat(30_000).into());
            let mut merger = Merger::new("n", settings(1000, bytes));
            let mut events = merger.push(page);
            events.extend(merger.flush(Api::V3));
            assert_eq!(events.len(), 2);
            for event in &events {
                assert!(event.data.as_str().len() <= bytes);
            }
            let rich: Value = events[1].data.read().unwrap();
            let told = &rich[side]["vulnerability"];
            assert_eq!(told["name"], "CVE-1");
            assert_eq!(told["omitted"], json!(["description", "package"]));
            assert_eq!(told["metadata"], json!({ "a": 1 }));
            assert_eq!(rich[side]["affected"].as_array().unwrap().len(), 3);
        }
    }

    #[test]
    fn a_vulnerability_that_affects_nothing_any_more_is_still_told() {
        let mut merger = Merger::new("n", settings(10, 1 << 20));
        assert!(merger.push(page("old", 0, 0)).is_empty());
        let events = merger.flush(Api::V3);
        let data = &compat(&events)[0].1;
        assert_eq!(
            (&data["new"], &data["old"]["ancestries"]),
            (&Value::Null, &json!([]))
        );
    }
}
