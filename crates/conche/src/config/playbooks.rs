//! `playbooks:`, the folder of CACAO playbooks, and what playbooks may do with secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conche_runtime::secrets::{HostPattern, PlaybookGrant, PlaybookGrants, SecretRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::place::{Key, Place};
use super::{Authored, Folder};

const DEFAULT_DIR: &str = "./playbooks";

/// CACAO playbooks kept in files, and what all playbooks may do with secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Playbooks {
    /// The folder of `.json` files, looked at every second; it must exist where it is written
    /// here. Default: `./playbooks`, where that exists at the start.
    dir: Option<PathBuf>,
    /// The secrets that playbooks may name by `kms_key_identifier`, each with where it may go.
    /// Default: none.
    secrets: BTreeMap<String, PlaybookGrant>,
    /// The hosts to which credentials that stand in a playbook, or come by a variable, may go
    /// unencrypted. Default: none but this machine.
    plain_http: Vec<HostPattern>,
}

impl Playbooks {
    pub(super) fn resolve(self) -> (Folder, PlaybookGrants) {
        let folder = self
            .dir
            .map_or_else(|| Folder::Default(DEFAULT_DIR.into()), Folder::Named);
        let grants = PlaybookGrants {
            secrets: self.secrets,
            plain_http: self.plain_http,
        };
        (folder, grants)
    }
}

/// Grants name secrets that there are, somebody who gets them, and nothing that guards the
/// server itself.
pub(super) fn grants_make_sense(authored: &Authored, faults: &mut Vec<Fault>) {
    let configured: Vec<&String> = authored.secrets.keys().collect();
    for (name, grant) in &authored.playbooks.secrets {
        let place = Place::of(&["playbooks", "secrets"]).then(Key::named(name));
        if !authored.secrets.contains_key(name) {
            faults.push(Fault::unknown(place, "secret", name, &configured));
        } else if authored.api.guard() == Some(name) {
            let message = "is the API's own token: no playbook may have it";
            faults.push(Fault::new(place, message));
        } else if grant.hosts.is_empty() && grant.fins.is_empty() {
            let message = "names nobody who may get it: write `hosts` or `fins`";
            faults.push(Fault::new(place, message));
        }
    }
}

/// Secrets for playbooks of one run, each as `NAME=HOST`, beside those of the configuration.
pub(crate) fn add_grants(
    grants: &mut PlaybookGrants,
    given: &[String],
    configured: &BTreeMap<String, SecretRef>,
) -> Result<(), String> {
    for text in given {
        let (name, host) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not NAME=HOST"))?;
        if !configured.contains_key(name) {
            return Err(format!("there is no secret `{name}` in the configuration"));
        }
        let host: HostPattern = host.parse()?;
        let grant = grants.secrets.entry(name.to_owned()).or_default();
        grant.hosts.push(host);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_of_one_run_is_beside_those_of_the_configuration() {
        let configured = BTreeMap::from([("fw".to_owned(), SecretRef::Env("FW".to_owned()))]);
        let mut grants = PlaybookGrants::default();
        let given = ["fw=fw.example.com", "fw=*.lab.example.com:8443"].map(str::to_owned);
        add_grants(&mut grants, &given, &configured).unwrap();
        let hosts: Vec<String> = grants.secrets["fw"]
            .hosts
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(hosts, ["fw.example.com", "*.lab.example.com:8443"]);
        for wrong in ["fw", "fw=", "fw=a/b", "other=fw.example.com"] {
            let refused = add_grants(&mut grants, &[wrong.to_owned()], &configured);
            assert!(refused.is_err(), "{wrong}");
        }
    }
}
