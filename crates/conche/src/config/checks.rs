//! What a configuration must not say, though every value of it can be read.
//!
//! Two tables. [`VALUES`] holds whatever the configuration is used for; [`SERVER`] holds
//! where a server is to run by it. `serve`, `config check` and `doctor` go by the same ones,
//! so that none of them takes what another refuses. Nothing is made here, and nothing opened but
//! the files that are named.

use std::path::Path;

use conche_runtime::listener::{Error as ListenerError, ListenerConfig, TlsConfig};
use serde_json::Value;

use super::fault::Fault;
use super::place::{Key, Place};
use super::playbooks::grants_make_sense;
use super::safety::safety_makes_sense;
use super::{Authored, Config, Folder, SourceEntry};

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
const SERVER: &[ServerRule] = &[listeners_can_be_opened, folders_are_there];

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

/// A listener refuses this itself when it is bound; here it is known before, with its place.
fn listeners_can_be_opened(config: &Config, faults: &mut Vec<Fault>) {
    for (name, listener) in [
        ("api", &config.api),
        ("webhooks", &config.webhooks),
        ("metrics", &config.metrics),
        ("soarca", &config.soarca),
        ("openwhisk.host", &config.openwhisk_listener),
    ] {
        let section: Vec<&str> = name.split('.').collect();
        let section = Place::of(&section);
        let listen = section.then(Key::named("listen"));
        let tls = section.then(Key::named("tls"));
        refusals(name, listener, [&listen, &tls], faults);
    }
}

/// What would keep the own listener of a source from opening; its settings are the source's.
pub(super) fn own_listener(
    source: &SourceEntry,
    listener: &ListenerConfig,
    faults: &mut Vec<Fault>,
) {
    let place = source.place();
    refusals(&source.id, listener, [&place, &place], faults);
}

/// What a listener would refuse; `places` are those of its address and of its TLS files.
fn refusals(
    name: &str,
    listener: &ListenerConfig,
    [listen, tls]: [&Place; 2],
    faults: &mut Vec<Fault>,
) {
    let files = listener.tls.as_ref().filter(|_| listener.listen.is_some());
    let files: Vec<(&str, &Path)> = files.into_iter().flat_map(files_of).collect();
    let mut missing = Vec::new();
    for (key, file) in &files {
        if let Err(error) = std::fs::metadata(file) {
            let message = format!("can't read {}: {error}", file.display());
            missing.push(Fault::new(tls.then(Key::named(key)), message));
        }
    }
    match listener.check(name) {
        Ok(()) => {}
        // All that are missing are told at once.
        Err(ListenerError::Tls { .. }) if !missing.is_empty() => {}
        Err(ListenerError::Tls { source, .. }) => {
            let key = files.iter().find(|(_, file)| source.path() == Some(file));
            let place = key.map_or_else(|| tls.clone(), |(key, _)| tls.then(Key::named(key)));
            faults.push(Fault::new(place, source.to_string()));
        }
        Err(error) => faults.push(Fault::new(listen.clone(), error.to_string())),
    }
    faults.append(&mut missing);
}

fn files_of(tls: &TlsConfig) -> impl Iterator<Item = (&str, &Path)> {
    let files = [
        ("certificate", Some(&tls.certificate)),
        ("key", Some(&tls.key)),
        ("client_ca", tls.client_ca.as_ref()),
    ];
    let given = files.into_iter();
    given.filter_map(|(key, file)| Some((key, file?.as_path())))
}

fn folders_are_there(config: &Config, faults: &mut Vec<Fault>) {
    for (section, folder) in [
        ("functions", &config.functions),
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
    if matches!(config.functions, Folder::Named(_)) && config.openwhisk.listen.is_none() {
        let message = "the embedded OpenWhisk host is off: set `openwhisk.host.listen`";
        faults.push(Fault::new(Place::of(&["functions", "dir"]), message));
    }
}
