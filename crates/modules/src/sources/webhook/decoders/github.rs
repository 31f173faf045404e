//! GitHub's webhooks: `github.EVENT.ACTION`, such as `github.dependabot_alert.created`, and
//! `github.EVENT` for those without an action, such as `github.ping`.
//!
//! Of the five security events the members that they are known by must be there; of all
//! others only `summary.repository`, `summary.sender` and the like are told. The event's
//! name and the delivery's id are headers: GitHub's signature does not cover them.

use conche_core::Json;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::severity::severity;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, first, read, word};

const KIND: &str = "webhook of GitHub";

pub(super) static DECODER: Decoder = Decoder {
    name: "github",
    format: FormatName::Github,
    several: false,
    read: decode,
};

/// What any event may have.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Common {
    action: Loose<String>,
    repository: Loose<Repository>,
    organization: Loose<User>,
    sender: Loose<User>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    full_name: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    login: Loose<String>,
}

/// What is told of a security event.
#[derive(Default)]
struct Told {
    number: u64,
    state: String,
    severity: String,
    identifier: String,
    package: String,
    title: String,
    url: String,
    time: String,
    /// What it is about where there is no repository.
    subject: String,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let name = header(delivered.headers, "x-github-event").ok_or_else(|| Reject::Missing {
        what: "event type",
        place: "the header x-github-event".to_owned(),
    })?;
    let event = word(KIND, "event", name)?;
    let body = delivered.body;
    let common: Common = read(KIND, body)?;
    let told = match event.as_str() {
        "code_scanning_alert" => code_scanning(body)?,
        "dependabot_alert" => dependabot(body)?,
        "repository_vulnerability_alert" => vulnerability_alert(body)?,
        "secret_scanning_alert" => secret_scanning(body)?,
        "security_advisory" => advisory(body)?,
        _ => Told::default(),
    };
    let action = common.action.0;
    let event_type = match action.as_str() {
        "" => format!("github.{event}"),
        action => format!("github.{event}.{}", word(KIND, "action", action)?),
    };
    let repository = common.repository.0.full_name.0;
    let summary = json!({
        "event": event,
        "action": action,
        "repository": repository,
        "organization": common.organization.0.login,
        "sender": common.sender.0.login,
        "number": told.number,
        "state": told.state,
        "severity": severity(&told.severity),
        "identifier": told.identifier,
        "package": told.package,
        "title": told.title,
        "url": told.url,
    });
    Ok(vec![Found {
        id: header(delivered.headers, "x-github-delivery").map(str::to_owned),
        event_type,
        subject: if repository.is_empty() {
            told.subject
        } else {
            repository
        },
        time: told.time,
        summary,
        raw: body.clone(),
    }])
}

/// A header that is sent once, in plain ASCII.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[derive(Deserialize)]
struct CodeScanning {
    alert: CodeAlert,
}

#[derive(Deserialize)]
struct CodeAlert {
    number: u64,
    rule: Rule,
    #[serde(default)]
    state: Loose<String>,
    #[serde(default)]
    tool: Loose<Tool>,
    #[serde(default)]
    html_url: Loose<String>,
    #[serde(default)]
    created_at: Loose<String>,
    #[serde(default)]
    updated_at: Loose<String>,
}

#[derive(Deserialize)]
struct Rule {
    id: String,
    /// Of rules about security; `severity` rates how sure a linter is and is another scale.
    #[serde(default)]
    security_severity_level: Loose<String>,
    #[serde(default)]
    description: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    name: Loose<String>,
}

fn code_scanning(body: &Json) -> Result<Told, Reject> {
    let CodeScanning { alert } = read("code_scanning_alert of GitHub", body)?;
    Ok(Told {
        number: alert.number,
        state: alert.state.0,
        severity: alert.rule.security_severity_level.0,
        identifier: alert.rule.id,
        package: alert.tool.0.name.0,
        title: alert.rule.description.0,
        url: alert.html_url.0,
        time: first([&alert.updated_at, &alert.created_at]),
        ..Told::default()
    })
}

#[derive(Deserialize)]
struct Dependabot {
    alert: DependabotAlert,
}

#[derive(Deserialize)]
struct DependabotAlert {
    number: u64,
    security_advisory: Advisory,
    #[serde(default)]
    security_vulnerability: Loose<Vulnerability>,
    #[serde(default)]
    state: Loose<String>,
    #[serde(default)]
    html_url: Loose<String>,
    #[serde(default)]
    updated_at: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vulnerability {
    package: Loose<Package>,
    severity: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    name: Loose<String>,
}

fn dependabot(body: &Json) -> Result<Told, Reject> {
    let Dependabot { alert } = read("dependabot_alert of GitHub", body)?;
    let vulnerability = alert.security_vulnerability.0;
    let advisory = alert.security_advisory;
    Ok(Told {
        number: alert.number,
        state: alert.state.0,
        severity: first([&vulnerability.severity, &advisory.severity]),
        identifier: advisory.identifier(),
        package: vulnerability.package.0.name.0,
        title: advisory.summary.0,
        url: alert.html_url.0,
        time: alert.updated_at.0,
        ..Told::default()
    })
}

#[derive(Deserialize)]
struct VulnerabilityAlert {
    alert: OldAlert,
}

#[derive(Deserialize)]
struct OldAlert {
    affected_package_name: String,
    external_identifier: String,
    #[serde(default)]
    number: Loose<u64>,
    #[serde(default)]
    state: Loose<String>,
    #[serde(default)]
    severity: Loose<String>,
    #[serde(default)]
    external_reference: Loose<String>,
    #[serde(default)]
    created_at: Loose<String>,
}

fn vulnerability_alert(body: &Json) -> Result<Told, Reject> {
    let VulnerabilityAlert { alert } = read("repository_vulnerability_alert of GitHub", body)?;
    Ok(Told {
        number: alert.number.0,
        state: alert.state.0,
        severity: alert.severity.0,
        identifier: alert.external_identifier,
        package: alert.affected_package_name,
        url: alert.external_reference.0,
        time: alert.created_at.0,
        ..Told::default()
    })
}

#[derive(Deserialize)]
struct SecretScanning {
    alert: SecretAlert,
}

#[derive(Deserialize)]
struct SecretAlert {
    number: u64,
    secret_type: String,
    #[serde(default)]
    secret_type_display_name: Loose<String>,
    #[serde(default)]
    resolution: Loose<String>,
    #[serde(default)]
    html_url: Loose<String>,
    #[serde(default)]
    created_at: Loose<String>,
    #[serde(default)]
    updated_at: Loose<String>,
}

fn secret_scanning(body: &Json) -> Result<Told, Reject> {
    let SecretScanning { alert } = read("secret_scanning_alert of GitHub", body)?;
    Ok(Told {
        number: alert.number,
        state: alert.resolution.0,
        identifier: alert.secret_type,
        title: alert.secret_type_display_name.0,
        url: alert.html_url.0,
        time: first([&alert.updated_at, &alert.created_at]),
        ..Told::default()
    })
}

#[derive(Deserialize)]
struct Published {
    security_advisory: Advisory,
}

#[derive(Deserialize)]
struct Advisory {
    ghsa_id: String,
    #[serde(default)]
    cve_id: Loose<String>,
    #[serde(default)]
    summary: Loose<String>,
    #[serde(default)]
    severity: Loose<String>,
    #[serde(default)]
    updated_at: Loose<String>,
    #[serde(default)]
    vulnerabilities: Loose<Vec<Vulnerability>>,
}

impl Advisory {
    /// The number that others know it by, where it has one.
    fn identifier(&self) -> String {
        let known = Some(&self.cve_id.0).filter(|id| !id.is_empty());
        known.unwrap_or(&self.ghsa_id).clone()
    }
}

fn advisory(body: &Json) -> Result<Told, Reject> {
    let Published {
        security_advisory: advisory,
    } = read("security_advisory of GitHub", body)?;
    let package = advisory.vulnerabilities.0.first();
    Ok(Told {
        identifier: advisory.identifier(),
        package: package.map_or_else(String::new, |one| one.package.0.name.0.clone()),
        severity: advisory.severity.0,
        title: advisory.summary.0,
        url: format!("https://github.com/advisories/{}", advisory.ghsa_id),
        time: advisory.updated_at.0,
        subject: advisory.ghsa_id,
        ..Told::default()
    })
}
