//! What a call asks to have scanned. Whatever of it reaches a command line or a configuration
//! of vuls is checked here and nowhere later: a host or user that ssh could take for an option
//! is refused.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::action::Error;

/// What hosts and users are made of.
static PLAIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[A-Za-z0-9._:\[\]][A-Za-z0-9._:\-\[\]]{0,254}\z").ok());

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// Without root and without load on the instance.
    #[default]
    Fast,
    /// With sudo: also which processes need a restart.
    FastRoot,
    /// With sudo and changelogs: slow, and a load on the instance.
    Deep,
}

impl Mode {
    /// The word of vuls.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::FastRoot => "fast-root",
            Self::Deep => "deep",
        }
    }
}

/// What to scan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The instance's name or address. With a vuls server it only names the instance.
    host: String,
    /// The user to log in as. Needed but with a vuls server.
    #[serde(default)]
    user: Option<String>,
    /// The port of ssh, as a number or a text. Default: 22.
    #[serde(default)]
    #[schemars(with = "Option<PortOf>")]
    port: Option<Value>,
    /// CSF's word for `mode: deep`. Default: false.
    #[serde(default)]
    deep_scan: bool,
    /// How thoroughly to look. Default: `fast`, or `deep` with `deep_scan`.
    #[serde(default)]
    mode: Option<Mode>,
    /// What is installed on the instance: with a vuls server, and only there. Default: none.
    #[serde(default)]
    packages: Option<Packages>,
}

/// A number, or a text of digits.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum PortOf {
    Number(u16),
    Text(String),
}

/// What is installed on an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Packages {
    /// The family of the system, as vuls calls it: `debian`, `ubuntu`, `redhat`, …
    pub(super) family: String,
    /// Its release, such as `12`.
    pub(super) release: String,
    /// The running kernel's release, as `uname -r` shows it.
    pub(super) kernel_release: String,
    /// The running kernel's version; Debian's matching needs it. Default: none.
    #[serde(default)]
    pub(super) kernel_version: Option<String>,
    /// The list as `dpkg-query` or `rpm -qa` writes it in the format that vuls asks for.
    pub(super) list: String,
}

/// An instance that is logged in to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) user: String,
    pub(super) port: u16,
    pub(super) mode: Mode,
}

impl Input {
    /// For vuls itself, which logs in.
    pub(super) fn target(self) -> Result<Target, Error> {
        if self.packages.is_some() {
            let message = "`packages` is for a vuls server: there is no `server` in actions.vuls";
            return Err(Error::permanent(message));
        }
        let mode = self.mode()?;
        let user = self.user.unwrap_or_default();
        check("host", &self.host)?;
        check("user", &user)?;
        let port = match &self.port {
            None | Some(Value::Null) => Some(22),
            Some(Value::Number(number)) => number.as_u64().and_then(|port| port.try_into().ok()),
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()
            }
            Some(_) => None,
        };
        let port = port.filter(|port| *port > 0);
        Ok(Target {
            host: self.host,
            user,
            port: port.ok_or_else(|| Error::permanent("`port` is a number from 1 to 65535"))?,
            mode,
        })
    }

    /// For a vuls server, which logs in nowhere.
    pub(super) fn packages(self) -> Result<(String, Packages), Error> {
        if self.user.is_some() || self.port.is_some() || self.deep_scan || self.mode.is_some() {
            return Err(Error::permanent(
                "a vuls server logs in nowhere: `user`, `port`, `mode` and `deep_scan` mean nothing to it",
            ));
        }
        check("host", &self.host)?;
        let packages = self.packages.ok_or_else(|| {
            Error::permanent("a vuls server needs `packages`: it logs in nowhere")
        })?;
        Ok((self.host, packages))
    }

    fn mode(&self) -> Result<Mode, Error> {
        match (self.mode, self.deep_scan) {
            (None, true) => Ok(Mode::Deep),
            (Some(mode), true) if mode != Mode::Deep => Err(Error::permanent(
                "`deep_scan` means `mode: deep`: write one of them",
            )),
            (mode, _) => Ok(mode.unwrap_or_default()),
        }
    }
}

fn check(what: &str, text: &str) -> Result<(), Error> {
    if PLAIN.as_ref().is_some_and(|plain| plain.is_match(text)) {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "`{what}` must be letters, digits and . _ : [ ] -, and not begin with -"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(input: Value) -> Result<Target, Error> {
        let input: Input = serde_json::from_value(input).unwrap();
        input.target()
    }

    #[test]
    fn csf_bug_15_deep_scan_and_ports_in_either_form_are_understood() {
        for (port, expected) in [
            (json!(2222), 2222),
            (json!("2222"), 2222),
            (Value::Null, 22),
        ] {
            let input = json!({ "host": "h", "user": "u", "port": port, "deep_scan": true });
            let target = target(input).unwrap();
            assert_eq!((target.port, target.mode), (expected, Mode::Deep));
        }
        for (mode, word) in [
            ("fast", "fast"),
            ("fast-root", "fast-root"),
            ("deep", "deep"),
        ] {
            let target = target(json!({ "host": "::1", "user": "u", "mode": mode })).unwrap();
            assert_eq!(target.mode.word(), word);
        }
        let both = target(json!({ "host": "h", "user": "u", "mode": "fast", "deep_scan": true }));
        assert!(both.unwrap_err().to_string().contains("write one"));
    }

    #[test]
    fn what_could_be_an_option_or_end_a_text_is_refused() {
        for host in [
            "",
            "-oProxyCommand=id",
            "a b",
            "a\"b",
            "a\nb",
            "10.0.0.0/8",
            "$(id)",
        ] {
            for input in [
                json!({ "host": host, "user": "u" }),
                json!({ "host": "h", "user": host }),
            ] {
                let refused = target(input).unwrap_err();
                assert!(matches!(refused, Error::Permanent(_)), "{host}");
            }
        }
        for port in [
            json!(0),
            json!(65536),
            json!("22x"),
            json!("-1"),
            json!("local"),
            json!([22]),
        ] {
            let input = json!({ "host": "h", "user": "u", "port": port });
            assert!(target(input).is_err(), "{port}");
        }
    }
}
