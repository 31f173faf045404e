//! `klar`: what is wrong with an image, by Clair.
//!
//! CSF's module: its actions, its settings and its vulnerabilities, which have klar's
//! capitalised names, and a report beside them. The image is found in its registry, Clair is
//! told where its layers are, and asked. No layer passes through here.
//!
//! A name is resolved to the digest of one platform's image, by which Clair keeps it. An image
//! that could not be scanned has no list of vulnerabilities, which would look like a clean one:
//! `scan_image` fails, `scan_images` tells it in `report.failed` and goes on with the others.
//! Credentials stay with the registry that they are configured for.
//!
//! The worst images have more vulnerabilities than a result can hold: then the least severe are
//! left out, which the report says, and its counts are of all. It never fails for that.

mod config;
mod room;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::config::{Config, Settings};
use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::clients::clair::Api;
use crate::clients::clair::scan::Failed;
use crate::clients::clair::vulnerability::{Severity, Vulnerability};
use crate::clients::registry::{self, Platform, Reference};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "klar",
    summary: "Vulnerabilities of container images, by Clair.",
    actions: &[
        ActionSpec {
            name: "scan_image",
            summary: "Scans one image.",
            input: &settings::schema::<One>,
            output: &settings::schema::<Scanned>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: "scan_images",
            summary: "Scans several images; gives a list of vulnerabilities under each one's name.",
            input: &settings::schema::<Several>,
            output: &settings::schema::<ScannedAll>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
    ],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.klar";

/// Where the result of `scan_images` has its report, among the names of images.
const REPORT: &str = "report";

/// What `scan_image` takes. Like CSF it ignores other members.
#[derive(Debug, Deserialize, JsonSchema)]
struct One {
    /// The image, as `docker pull` takes it.
    image: String,
    /// The platform, such as `linux/arm64`. Default: the configured one.
    #[serde(default)]
    platform: Option<Platform>,
}

/// What `scan_images` takes. Like CSF it ignores other members.
#[derive(Debug, Deserialize, JsonSchema)]
struct Several {
    /// The images; an empty list is fine.
    images: Vec<String>,
    /// The platform, such as `linux/arm64`. Default: the configured one.
    #[serde(default)]
    platform: Option<Platform>,
}

/// What `scan_image` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Scanned {
    /// The vulnerabilities; an empty list where there are none.
    /// The worst first.
    vulns: Vec<Vulnerability>,
    /// What was scanned, and how it looks.
    report: Report,
}

/// What `scan_images` returns: beside `report` a list of vulnerabilities under each image's
/// name, as it was given.
#[derive(Debug, Serialize, JsonSchema)]
struct ScannedAll {
    /// What was scanned, and what was not.
    report: Reports,
    #[serde(flatten)]
    vulns: BTreeMap<String, Vec<Vulnerability>>,
}

/// What was scanned, by the names as they were given.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Reports {
    images: BTreeMap<String, Report>,
    /// Those that could not be scanned, and why.
    failed: BTreeMap<String, String>,
}

/// How an image looks.
#[derive(Debug, Serialize, JsonSchema)]
struct Report {
    /// The image's whole name.
    image: String,
    /// The digest of its manifest.
    digest: String,
    /// The platform that was asked for.
    platform: String,
    /// The generation of Clair.
    api: Api,
    /// Whether Clair knew the image as it is.
    cached: bool,
    /// Vulnerabilities by severity, also of those left out.
    summary: BTreeMap<String, usize>,
    /// How many of them can be mended by a newer package.
    fixable: usize,
    /// Whether there are more of them than `threshold`.
    over_threshold: bool,
    /// How many of them are not in the list of vulnerabilities, the least severe: there were more
    /// than `max_findings`, or than the result has room for.
    omitted: usize,
}

struct Klar(Settings);

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    Ok(Arc::new(Klar(config.resolve(cx)?)))
}

#[async_trait]
impl Action for Klar {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        match call.action.as_str() {
            "scan_image" => {
                let One { image, platform } = input(call)?;
                let platform = platform.as_ref().unwrap_or(&self.0.platform);
                let scanned = self.scan(&image, platform, call.timeout).await;
                let mut scanned = scanned.map_err(|failed| told(&image, &failed))?;
                let excess = room::excess(&scanned, self.0.result_bytes);
                let lists = [(&mut scanned.vulns, &mut scanned.report.omitted)];
                room::make(lists.into(), excess);
                output(&scanned)
            }
            "scan_images" => {
                let input: Several = input(call)?;
                self.scan_all(input, call.timeout).await
            }
            other => Err(unknown("klar", other)),
        }
    }
}

/// What a failure means for a repeat. Scanning changes nothing.
fn told(image: &str, failed: &Failed) -> Error {
    let message = format!("{image}: {failed}");
    if failed.may_pass() {
        Error::retry(message)
    } else {
        Error::permanent(message)
    }
}

impl Klar {
    async fn scan(
        &self,
        image: &str,
        platform: &Platform,
        limit: Duration,
    ) -> Result<Scanned, Failed> {
        let reference: Reference = image.parse().map_err(registry::Error::from)?;
        let limit = limit.min(self.0.timeout);
        let mut session = self.0.registries.session(reference);
        let found = session.image(platform).await?;
        let api = self.0.api.fixed();
        let scanned = self.0.clair.scan(api, &found, &mut session, limit).await?;
        let mut vulns = scanned.vulnerabilities;
        vulns.retain(|vulnerability| vulnerability.severity >= self.0.least);
        let (count, summary) = (vulns.len(), summary(&vulns));
        let fixable = vulns.iter().filter(|found| !found.fixed_by.is_empty());
        let fixable = fixable.count();
        vulns.sort_by_key(|found| Reverse(found.severity));
        vulns.truncate(self.0.max_findings);
        let report = Report {
            image: found.reference.to_string(),
            digest: found.digest,
            platform: platform.to_string(),
            api: scanned.api,
            cached: scanned.was_known,
            fixable,
            over_threshold: count as u64 > self.0.threshold,
            summary,
            omitted: count - vulns.len(),
        };
        Ok(Scanned { vulns, report })
    }

    async fn scan_all(&self, input: Several, limit: Duration) -> Result<Output, Error> {
        let platform = input.platform.as_ref().unwrap_or(&self.0.platform);
        let mut images = input.images;
        images.sort_unstable();
        images.dedup();
        if images.len() > self.0.images.max {
            return Err(Error::permanent(format!(
                "{} images; at most {} are scanned in one call (`images.max`)",
                images.len(),
                self.0.images.max
            )));
        }
        if images.iter().any(|image| image == REPORT) {
            return Err(Error::permanent(format!(
                "the result has its report under `{REPORT}`: write the image as `library/{REPORT}`"
            )));
        }
        let scans = futures_util::stream::iter(images).map(async |image: String| {
            let scanned = self.scan(&image, platform, limit).await;
            (image, scanned)
        });
        let scans: Vec<_> = scans
            .buffer_unordered(self.0.images.at_once)
            .collect()
            .await;
        let mut result = ScannedAll {
            report: Reports::default(),
            vulns: BTreeMap::new(),
        };
        let mut passing = None;
        for (image, scanned) in scans {
            match scanned {
                Ok(Scanned { vulns, report }) => {
                    result.vulns.insert(image.clone(), vulns);
                    result.report.images.insert(image.clone(), report);
                }
                Err(failed) => {
                    if failed.may_pass() {
                        passing = Some(told(&image, &failed));
                    }
                    result
                        .report
                        .failed
                        .insert(image.clone(), failed.to_string());
                }
            }
        }
        match passing {
            // Nothing is known of any of them, and that may change.
            Some(error) if result.vulns.is_empty() => Err(error),
            _ => {
                let excess = room::excess(&result, self.0.result_bytes);
                let lists = result.vulns.values_mut();
                let omitted = result.report.images.values_mut();
                let lists = lists.zip(omitted.map(|report| &mut report.omitted));
                room::make(lists.collect(), excess);
                output(&result)
            }
        }
    }
}

fn summary(vulns: &[Vulnerability]) -> BTreeMap<String, usize> {
    let all = [
        Severity::Unknown,
        Severity::Negligible,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
        Severity::Defcon1,
    ];
    all.into_iter()
        .map(|severity| {
            let count = vulns
                .iter()
                .filter(|vulnerability| vulnerability.severity == severity)
                .count();
            (format!("{severity:?}"), count)
        })
        .collect()
}
