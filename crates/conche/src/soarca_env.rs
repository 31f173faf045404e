//! SOARCA's `.env` as a configuration of ours. Pure: text in, text and notes out.
//!
//! What SOARCA documents and does not read is not read either. Every key that says something
//! about a SOARCA installation is either translated or told about.
//! Source: COSSAS/SOARCA, `controller.go` and `utils/env`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A translation.
#[derive(Debug, PartialEq)]
pub(crate) struct Translated {
    /// The configuration.
    pub(crate) config: Value,
    /// What needs a person's eye.
    pub(crate) notes: Vec<String>,
}

/// Keys that mean nothing to us.
const SILENT: [&str; 6] = [
    "GIN_MODE",
    "LOG_MODE",
    "LOG_FORMAT",
    "MAX_REPORTERS",
    "DATABASE_NAME",
    "PLAYBOOK_API_LOG_LEVEL",
];

/// Translates the text of a `.env`.
pub(crate) fn translate(text: &str) -> Translated {
    let mut env = variables(text);
    let mut notes = Vec::new();
    let mut config = Map::new();
    config.insert("soarca".to_owned(), listener(&mut env, &mut notes));
    if is_true(env.remove("ENABLE_FINS").as_deref()) {
        let host = env
            .remove("MQTT_BROKER")
            .unwrap_or_else(|| "localhost".to_owned());
        let port = env.remove("MQTT_PORT").unwrap_or_else(|| "1883".to_owned());
        let url = format!("mqtt://{host}:{port}");
        let broker = json!({
            "url": url,
            "user": "soarca",
            "password": { "secret": "soarca_mqtt" },
        });
        config.insert("actions".to_owned(), json!({ "fin": { "mqtt": broker } }));
        let secret = json!({ "soarca_mqtt": { "env": "SOARCA_MQTT_PASSWORD" } });
        config.insert("secrets".to_owned(), secret);
        notes.push("SOARCA's broker login is the fixed pair soarca/password: set SOARCA_MQTT_PASSWORD, better to another one that the broker knows".to_owned());
    }
    for key in ["MQTT_BROKER", "MQTT_PORT"] {
        env.remove(key);
    }
    notes.extend(env.iter().filter_map(|(key, value)| note(key, value)));
    Translated {
        config: config.into(),
        notes,
    }
}

fn listener(env: &mut BTreeMap<String, String>, notes: &mut Vec<String>) -> Value {
    let port = env.remove("PORT").unwrap_or_else(|| "8080".to_owned());
    notes.push(format!(
        "SOARCA answers on every address; here it is 127.0.0.1:{port}: set `soarca.listen` for others, and `soarca.auth: token`"
    ));
    let mut soarca = Map::new();
    soarca.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
    let origins = env.remove("SOARCA_ALLOWED_ORIGINS");
    let origins = origins.unwrap_or_else(|| "*".to_owned());
    let origins: Vec<&str> = origins
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    if origins.contains(&"*") {
        notes.push("every web page may call SOARCA; here none may until `soarca.allowed_origins` names it (`*` for all)".to_owned());
    } else {
        soarca.insert("allowed_origins".to_owned(), json!(origins));
    }
    let file = |env: &mut BTreeMap<String, String>, key: &str, default: &str| {
        env.remove(key).unwrap_or_else(|| default.to_owned())
    };
    let certificate = file(env, "CERT_FILE", "./certs/server.crt");
    let key = file(env, "CERT_KEY_FILE", "./certs/server.key");
    if is_true(env.remove("ENABLE_TLS").as_deref()) {
        soarca.insert(
            "tls".to_owned(),
            json!({ "certificate": certificate, "key": key }),
        );
    }
    if is_true(env.remove("AUTH_ENABLED").as_deref()) {
        soarca.insert("auth".to_owned(), "token".into());
        notes.push("SOARCA took tokens of an OpenID provider; here callers show those of `conche tokens create --role operator`".to_owned());
        for key in ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_SKIP_TLS_VERIFY"] {
            env.remove(key);
        }
    }
    soarca.into()
}

/// What to say about a key that is not translated.
fn note(key: &str, value: &str) -> Option<String> {
    let say = |text: &str| Some(format!("{key}: {text}"));
    match key {
        _ if SILENT.contains(&key) => None,
        "LOG_GLOBAL_LEVEL" => say("set the environment variable CONCHE_LOG"),
        "LOG_FILE_PATH" => say("logs go to standard error"),
        "MAX_EXECUTIONS" => say("every run is kept, as long as `retention.runs` says"),
        "HTTP_SKIP_CERT_VALIDATION" if is_true(Some(value)) => {
            say("certificates are always verified; add your authority with `egress`")
        }
        "HTTP_SKIP_CERT_VALIDATION" => None,
        "DATABASE" | "MONGODB_URI" | "DB_USERNAME" | "DB_PASSWORD" => say(
            "nothing of Mongo's is needed; take playbooks over with GET /playbook/ and POST them here",
        ),
        "VALIDATION_SCHEMA_URL" => say("playbooks are checked by what is built in"),
        _ if key.starts_with("THEHIVE_") => say(
            "cases are made by the action module `thehive` of a reaction to conche.run.* events",
        ),
        _ => say("not a key that SOARCA reads"),
    }
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// The variables of a file whose lines are `KEY=value` or `KEY: value`.
fn variables(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.starts_with('#') {
            return None;
        }
        let at = line.find(['=', ':'])?;
        let value = line[at + 1..].trim();
        let bare = value.trim_matches(['"', '\'']);
        Some((line[..at].trim().to_owned(), bare.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_soarca_reads_is_translated_and_the_rest_is_told() {
        let text = "# SOARCA\nPORT: 8081\nSOARCA_ALLOWED_ORIGINS=\"http://a.test, http://b.test\"\nENABLE_TLS=true\nENABLE_FINS: true\nMQTT_BROKER=broker.test\nMONGODB_URI=mongodb://x\nGIN_MODE=release\n";
        let Translated { config, notes } = translate(text);
        assert_eq!(config["soarca"]["listen"], "127.0.0.1:8081");
        assert_eq!(
            config["soarca"]["allowed_origins"],
            json!(["http://a.test", "http://b.test"])
        );
        assert_eq!(config["soarca"]["tls"]["key"], "./certs/server.key");
        assert_eq!(
            config["actions"]["fin"]["mqtt"]["url"],
            "mqtt://broker.test:1883"
        );
        let about = |key: &str| notes.iter().filter(|note| note.starts_with(key)).count();
        assert_eq!((about("MONGODB_URI"), about("GIN_MODE")), (1, 0));
    }

    #[test]
    fn nothing_gives_the_defaults_but_for_what_is_unsafe() {
        let Translated { config, .. } = translate("");
        assert_eq!(config, json!({ "soarca": { "listen": "127.0.0.1:8080" } }));
    }
}
