//! What the standard `OTEL_*` variables ask for.
//!
//! Without an endpoint nothing is asked for, whatever else is set. With one, what cannot be
//! done as asked is an error at the start rather than telemetry that is silently missing. No
//! error shows the value of a header: those hold keys.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Name of the service where nothing else is said.
const SERVICE: &str = "conche";
/// How long an export may take where nothing else is said, as the specification has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The variables ask for what cannot be done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A protocol other than `http/protobuf`.
    #[error(
        "{variable} is `{protocol}`, but only `http/protobuf` is spoken: collectors take that at port 4318"
    )]
    Protocol {
        /// The variable.
        variable: String,
        /// What it says.
        protocol: String,
    },
    /// An exporter other than `otlp` and `none`.
    #[error("{variable} is `{exporter}`: it can be `otlp` or `none`")]
    Exporter {
        /// The variable.
        variable: String,
        /// What it says.
        exporter: String,
    },
    /// An endpoint that is no http or https URL.
    #[error("{variable} is not a URL such as http://127.0.0.1:4318")]
    Endpoint {
        /// The variable.
        variable: String,
    },
    /// A list that is not one of `key=value` with commas between.
    #[error("{variable} is not a list such as `key=value,key2=value2`")]
    List {
        /// The variable.
        variable: String,
    },
    /// A number of milliseconds that is none.
    #[error("{variable} is not a number of milliseconds above 0")]
    Timeout {
        /// The variable.
        variable: String,
    },
}

/// What is exported, and as what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where traces go, if anywhere.
    pub(super) traces: Option<Target>,
    /// Where logs go, if anywhere.
    pub(super) logs: Option<Target>,
    /// What this process is, by the keys of OpenTelemetry.
    pub(super) resource: Vec<(String, String)>,
}

/// Where a signal goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The whole address.
    pub(super) url: Url,
    /// Sent along. The values may be keys.
    pub(super) headers: HeaderMap,
    /// How long an export may take.
    pub(super) timeout: Duration,
    /// A file of certificates, in PEM, that are trusted besides the system's.
    pub(super) certificate: Option<PathBuf>,
}

/// Reads a variable; one that is empty counts as absent.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        Self::read(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Everything to one endpoint, by the defaults.
    pub(crate) fn to(endpoint: &str) -> Result<Self, Error> {
        Self::read(&|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.to_owned()))
    }

    fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let disabled = lookup("OTEL_SDK_DISABLED").is_some_and(|value| is_true(&value));
        let target = |signal: &str| {
            if disabled {
                return Ok(None);
            }
            Target::read(signal, lookup)
        };
        let (traces, logs) = (target("TRACES")?, target("LOGS")?);
        let resource = match (&traces, &logs) {
            (None, None) => Vec::new(),
            _ => resource(lookup)?,
        };
        Ok(Self {
            traces,
            logs,
            resource,
        })
    }
}

impl Target {
    fn read(signal: &str, lookup: Lookup<'_>) -> Result<Option<Self>, Error> {
        let Some(url) = endpoint(signal, lookup)? else {
            return Ok(None);
        };
        let exporter_variable = format!("OTEL_{signal}_EXPORTER");
        match lookup(&exporter_variable).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(exporter) => {
                return Err(Error::Exporter {
                    variable: exporter_variable,
                    exporter: exporter.to_owned(),
                });
            }
        }
        let either = |what: &str| either(signal, what, lookup);
        match either("PROTOCOL") {
            Some((variable, protocol)) if protocol != "http/protobuf" => {
                return Err(Error::Protocol { variable, protocol });
            }
            _ => {}
        }
        let headers = match either("HEADERS") {
            Some((variable, text)) => headers(variable, &text)?,
            None => HeaderMap::new(),
        };
        let timeout = match either("TIMEOUT") {
            Some((variable, text)) => match text.parse() {
                Ok(milliseconds @ 1..) => Duration::from_millis(milliseconds),
                _ => return Err(Error::Timeout { variable }),
            },
            None => TIMEOUT,
        };
        Ok(Some(Self {
            url,
            headers,
            timeout,
            certificate: either("CERTIFICATE").map(|(_, path)| path.into()),
        }))
    }

    /// The host: all of the address that may be shown, since the rest may hold a key.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// The variable of a signal, else the one for all signals; its name and value.
fn either(signal: &str, what: &str, lookup: Lookup<'_>) -> Option<(String, String)> {
    [
        format!("OTEL_EXPORTER_OTLP_{signal}_{what}"),
        format!("OTEL_EXPORTER_OTLP_{what}"),
    ]
    .into_iter()
    .find_map(|name| lookup(&name).map(|value| (name, value)))
}

/// Where a signal goes: its own endpoint as it is, or the common one and the usual path.
fn endpoint(signal: &str, lookup: Lookup<'_>) -> Result<Option<Url>, Error> {
    let Some((variable, text)) = either(signal, "ENDPOINT", lookup) else {
        return Ok(None);
    };
    let parsed = Url::parse(&text).ok();
    let Some(mut url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return Err(Error::Endpoint { variable });
    };
    if variable == "OTEL_EXPORTER_OTLP_ENDPOINT" {
        let base = url.path().trim_end_matches('/');
        let path = format!("{base}/v1/{}", signal.to_lowercase());
        url.set_path(&path);
    }
    Ok(Some(url))
}

fn headers(variable: String, text: &str) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in list(&variable, text)? {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(Error::List { variable });
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn resource(lookup: Lookup<'_>) -> Result<Vec<(String, String)>, Error> {
    let variable = "OTEL_RESOURCE_ATTRIBUTES";
    let mut attributes = match lookup(variable) {
        Some(text) => list(variable, &text)?,
        None => Vec::new(),
    };
    if let Some(name) = lookup("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != "service.name");
        attributes.push(("service.name".to_owned(), name));
    }
    let ours = [
        ("service.name", SERVICE.to_owned()),
        ("service.version", crate::VERSION.to_owned()),
        ("service.instance.id", uuid::Uuid::now_v7().to_string()),
    ];
    for (key, value) in ours {
        if !attributes.iter().any(|(named, _)| named == key) {
            attributes.push((key.to_owned(), value));
        }
    }
    Ok(attributes)
}

/// `key=value` with commas between; values are percent-encoded.
fn list(variable: &str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let wrong = || Error::List {
        variable: variable.to_owned(),
    };
    let members = text.split(',').filter(|member| !member.trim().is_empty());
    members
        .map(|member| {
            let (key, value) = member.split_once('=').ok_or_else(wrong)?;
            let decode = |text: &str| {
                percent_decode_str(text.trim())
                    .decode_utf8()
                    .map(Into::into)
            };
            match (decode(key), decode(value)) {
                (Ok(key), Ok(value)) => Ok((key, value)),
                _ => Err(wrong()),
            }
        })
        .collect()
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::read(&|name| {
            let found = variables.iter().find(|(named, _)| *named == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");

    #[test]
    fn without_an_endpoint_or_when_disabled_nothing_is_exported() {
        for variables in [
            &[][..],
            &[("OTEL_TRACES_EXPORTER", "zipkin")],
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
        ] {
            let settings = read(variables).unwrap();
            assert_eq!(
                (settings.traces, settings.logs),
                (None, None),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn the_common_endpoint_gets_a_path_and_that_of_a_signal_stays_as_it_is() {
        let own = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs/in");
        let settings = read(&[ENDPOINT, own]).unwrap();
        let traces = settings.traces.unwrap();
        assert_eq!(traces.url.as_str(), "http://c:4318/base/v1/traces");
        assert_eq!(traces.timeout, TIMEOUT);
        assert_eq!(settings.logs.unwrap().url.as_str(), "https://logs/in");
        let only = read(&[own]).unwrap();
        assert!(only.traces.is_none() && only.logs.is_some());
    }

    #[test]
    fn a_signal_can_be_switched_off() {
        let settings = read(&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "none")]).unwrap();
        assert!(settings.logs.is_none() && settings.traces.is_some());
    }

    #[test]
    fn headers_are_decoded_and_shown_to_nobody() {
        let key = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter%2022, x=1");
        let traces = read(&[ENDPOINT, key]).unwrap().traces.unwrap();
        assert_eq!(traces.headers["api-key"], "hunter 22");
        assert_eq!(traces.headers["x"], "1");
        assert!(!format!("{traces:?}").contains("hunter"));
    }

    #[test]
    fn the_service_is_named_by_its_own_variable_first() {
        let value = |settings: &Settings, key: &str| {
            let found = settings.resource.iter().filter(|(named, _)| named == key);
            found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let attributes = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,deployment.environment.name=pro%64",
        );
        let settings = read(&[ENDPOINT, attributes]).unwrap();
        assert_eq!(value(&settings, "service.name"), ["other"]);
        assert_eq!(value(&settings, "deployment.environment.name"), ["prod"]);
        assert_eq!(value(&settings, "service.version"), [crate::VERSION]);
        let named = ("OTEL_SERVICE_NAME", "soc");
        let settings = read(&[ENDPOINT, attributes, named]).unwrap();
        assert_eq!(value(&settings, "service.name"), ["soc"]);
    }

    #[test]
    fn what_cannot_be_done_names_its_variable_and_no_key() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter22"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter22"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
        ] {
            let error = read(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
