//! Variables that look like settings and are none: `CONCHE_API_LISTEN`.
//!
//! A setting written with one underscore where there must be two is an error, since it was
//! meant and would not count. Any other unknown `CONCHE_` name is only warned of: Kubernetes
//! sets `CONCHE_SERVICE_HOST`, `CONCHE_PORT_8888_TCP` and the like by itself, and those are
//! passed over.

use schemars::schema_for;
use serde_json::Value;

use super::Authored;
use super::fault::closest;
use super::overlay::{DATA_DIR, PREFIX};

/// Variables that are read elsewhere than in the configuration, after the prefix.
const OTHERS: [&str; 5] = ["CONFIG", "LOG", "LOG_FORMAT", "SERVER", "TOKEN"];
/// Sections stand within each other at most so deep.
const DEPTH_MAX: usize = 4;

/// What is to be said about a variable that is no setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It was meant as this setting.
    Meant(String),
    /// Nobody knows what it was meant as; perhaps as this.
    Unknown(Option<String>),
}

/// Looks at a variable without `__`; `None` for one that is known or none of ours.
pub(super) fn look(name: &str) -> Option<Stranger> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest == DATA_DIR || OTHERS.contains(&rest) {
        return None;
    }
    let settings = settings();
    let flat = |setting: &str| setting.replace("__", "_");
    if let Some(meant) = settings.iter().find(|setting| flat(setting) == rest) {
        return Some(Stranger::Meant(format!("{PREFIX}{meant}")));
    }
    if is_of_kubernetes(rest) {
        return None;
    }
    let known: Vec<String> = settings.iter().map(|name| name.to_lowercase()).collect();
    let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
    let others = OTHERS.map(str::to_lowercase);
    known.extend(others.iter().map(String::as_str));
    let near = closest(rest, &known);
    Some(Stranger::Unknown(
        near.map(|near| format!("{PREFIX}{}", near.to_uppercase())),
    ))
}

/// Whether Kubernetes sets such a variable for a service called `conche` or `conche-…`.
fn is_of_kubernetes(rest: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let pair = |first: &str, second: &[&str]| {
        words
            .windows(2)
            .any(|pair| pair[0] == first && second.contains(&pair[1]))
    };
    words.last() == Some(&"PORT")
        || pair("SERVICE", &["HOST", "PORT"])
        || words.windows(3).any(|three| {
            three[0] == "PORT"
                && three[1].bytes().all(|byte| byte.is_ascii_digit())
                && ["TCP", "UDP", "SCTP"].contains(&three[2])
        })
}

/// Every setting as its variable names it, without the prefix.
fn settings() -> Vec<String> {
    let schema = schema_for!(Authored).to_value();
    let mut names = Vec::new();
    collect(&schema, &schema, "", &mut names, DEPTH_MAX);
    names
}

fn collect(schema: &Value, node: &Value, prefix: &str, names: &mut Vec<String>, depth: usize) {
    if depth == 0 {
        return;
    }
    let alternatives = node["anyOf"].as_array().into_iter().flatten();
    for inner in alternatives.chain([node]) {
        let target = inner["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        let inner = target.and_then(|to| schema.pointer(to)).unwrap_or(inner);
        for (key, value) in inner["properties"].as_object().into_iter().flatten() {
            let name = format!("{prefix}{}", key.to_uppercase());
            collect(schema, value, &format!("{name}__"), names, depth - 1);
            names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_with_one_underscore_is_recognised() {
        for (name, meant) in [
            ("CONCHE_API_LISTEN", "CONCHE_API__LISTEN"),
            ("CONCHE_API_TOKEN", "CONCHE_API__TOKEN"),
            ("CONCHE_API_TLS_KEY", "CONCHE_API__TLS__KEY"),
            ("CONCHE_LIMITS_SCRIPT_TIME", "CONCHE_LIMITS__SCRIPT_TIME"),
            (
                "CONCHE_API_LIMITS_BODY_BYTES",
                "CONCHE_API__LIMITS__BODY_BYTES",
            ),
        ] {
            assert_eq!(
                look(name),
                Some(Stranger::Meant(meant.to_owned())),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_known_or_set_by_others_is_passed_over() {
        for name in [
            "CONCHE_DATA_DIR",
            "CONCHE_TOKEN",
            "CONCHE_LOG_FORMAT",
            "CONCHE_SERVICE_HOST",
            "CONCHE_SERVICE_PORT_API",
            "CONCHE_PORT",
            "CONCHE_PORT_8888_TCP_ADDR",
            "CONCHE_API_SERVICE_HOST",
            "PATH",
        ] {
            assert_eq!(look(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_unknown_is_said_with_what_is_near() {
        let near = Stranger::Unknown(Some("CONCHE_TOKEN".to_owned()));
        assert_eq!(look("CONCHE_TOKENS"), Some(near));
        assert_eq!(look("CONCHE_XYZZY_PLUGH"), Some(Stranger::Unknown(None)));
    }
}
