//! What a configuration must not say, though every value of it can be read.
//!
//! Two tables. [`VALUES`] holds whatever the configuration is used for; [`SERVER`] holds
//! where a server is to run by it. `serve`, `config check` and `doctor` go by the same ones,
//! so that none of them takes what another refuses. Nothing is opened or made here.

use std::net::SocketAddr;
use std::path::Path;

use conche_runtime::listener::{Auth, ClientAuth, Error as ListenerError, ListenerConfig};
use serde_json::Value;

use super::fault::Fault;
use super::place::{Key, Place};
use super::playbooks::grants_make_sense;
use super::safety::safety_makes_sense;
use super::{Authored, Config, Folder};

/// A rule about what is written.
type ValueRule = fn(&Authored, &mut Vec<Fault>);
/// A rule about what a server would do.
type ServerRule = fn(&Config, &mut Vec<Fault>);

/// Hold always.
const VALUES: &[ValueRule] = &[
    data_dir_is_named,
    limits_leave_something,
    grants_make_sense,
    safety_makes_sense,
];
/// Hold where a server is to run.
const SERVER: &[ServerRule] = &[
    listeners_know_their_callers,
    certificates_are_there,
    folders_are_there,
];

/// Sections in which zero would stop all work.
const LIMITS: [&[&str]; 5] = [
    &["approvals"],
    &["limits"],
    &["retention"],
    &["api", "limits"],
    &["webhooks", "limits"],
];
/// Keys of [`LIMITS`] for which zero means "none", and none is fine.
const MAY_BE_ZERO: [&str; 1] = ["emit_depth"];

/// What is wrong with what is written.
pub(super) fn values(authored: &Authored, faults: &mut Vec<Fault>) {
    for rule in VALUES {
        rule(authored, faults);
    }
}

/// What would keep a server from running.
pub(super) fn server(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in SERVER {
        rule(config, &mut faults);
    }
    faults
}

fn data_dir_is_named(authored: &Authored, faults: &mut Vec<Fault>) {
    if authored.data_dir.as_os_str().is_empty() {
        let message = "is empty: name the folder of the store";
        faults.push(Fault::new(Place::of(&["data_dir"]), message));
    }
}

fn limits_leave_something(authored: &Authored, faults: &mut Vec<Fault>) {
    let written = serde_json::to_value(authored).unwrap_or_default();
    for section in LIMITS {
        let place = Place::of(section);
        let limits = written.pointer(&place.pointer()).and_then(Value::as_object);
        for (key, value) in limits.into_iter().flatten() {
            if is_zero(value) && !MAY_BE_ZERO.contains(&&**key) {
                let message = "must be more than 0: nothing would get through";
                faults.push(Fault::new(place.then(Key::named(key)), message));
            }
        }
    }
}

/// Durations and sizes are written with their unit.
fn is_zero(value: &Value) -> bool {
    *value == 0 || *value == "0s" || *value == "0B"
}

/// The listener refuses this itself when it is bound; here it is known before.
fn listeners_know_their_callers(config: &Config, faults: &mut Vec<Fault>) {
    for (name, listener) in listeners(config) {
        if let Some(address) = listener.listen
            && !address.ip().to_canonical().is_loopback()
            && lets_strangers_in(listener)
        {
            faults.push(Fault::new(
                Place::of(&name.split('.').chain(["listen"]).collect::<Vec<_>>()),
                stranger(name, address),
            ));
        }
    }
}

fn listeners(config: &Config) -> [(&'static str, &ListenerConfig); 5] {
    [
        ("api", &config.api),
        ("webhooks", &config.webhooks),
        ("metrics", &config.metrics),
        ("soarca", &config.soarca),
        ("openwhisk.host", &config.openwhisk_listener),
    ]
}

fn stranger(name: &str, address: SocketAddr) -> String {
    let name = name.to_owned();
    ListenerError::Unauthenticated { name, address }.to_string()
}

fn lets_strangers_in(listener: &ListenerConfig) -> bool {
    let certified = listener.tls.as_ref().is_some_and(|tls| {
        tls.client_ca.is_some() && tls.client_certificate == ClientAuth::Required
    });
    listener.auth != Auth::Token && !certified && !listener.allow_unauthenticated
}

fn certificates_are_there(config: &Config, faults: &mut Vec<Fault>) {
    for (name, listener) in listeners(config) {
        let Some(tls) = listener.tls.as_ref().filter(|_| listener.listen.is_some()) else {
            continue;
        };
        let files: [(&str, Option<&Path>); 3] = [
            ("certificate", Some(&tls.certificate)),
            ("key", Some(&tls.key)),
            ("client_ca", tls.client_ca.as_deref()),
        ];
        for (key, file) in files {
            if let Some(Err(error)) = file.map(std::fs::metadata) {
                let place: Vec<&str> = name.split('.').chain(["tls", key]).collect();
                let place = Place::of(&place);
                faults.push(Fault::new(place, format!("can't be read: {error}")));
            }
        }
    }
}

fn folders_are_there(config: &Config, faults: &mut Vec<Fault>) {
    for (section, folder) in [
        ("playbooks", &config.playbooks),
        ("reactions", &config.reactions),
    ] {
        if let Folder::Named(dir) = folder
            && !dir.is_dir()
        {
            let message = format!("there is no folder {}: make it first", dir.display());
            faults.push(Fault::new(Place::of(&[section, "dir"]), message));
        }
    }
}
