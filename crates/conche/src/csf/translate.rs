//! CSF's settings in the words of our configuration.
//!
//! The translation is pure but for looking up module files. Every key of CSF's that means
//! something here is honoured; for one that does not, a note says why.

use std::path::{Path, PathBuf};

use conche_modules::{ActionModule, SourceModule, actions, sources};
use serde_json::{Map, Value, json};

use super::document::{Document, Provider};
use super::{Error, Translated, address, document, lookup, modules};
use crate::config::{Key, Place};

/// The store's folder within CSF's own, so that it is on the same volume.
const DATA_DIR: &str = "conche";

/// Names that CSF's event sources are registered by.
const SOURCES: [&str; 6] = [
    "onetime",
    "Clair",
    "k8s",
    "k8s_imagevalidator",
    "openstack",
    "dummy",
];
/// Names that CSF's action modules are registered by.
const ACTIONS: [&str; 6] = ["klar", "k8s", "k8s_imagevalidate", "mail", "vuls", "dummy"];

/// Translates what `file` says.
pub(super) fn translate(file: PathBuf, document: Document) -> Result<Translated, Error> {
    let mut work = Work::default();
    let storage = work.path("storage", "localdb", &document.storage);
    let modules = work.path("configProvider", "localfiles", &document.configprovider);
    let log = work.log_level(&document.csf.loglevel);
    let log_json = match &*document.csf.logformat {
        "json" => true,
        "" | "logfmt" => false,
        other => {
            let fault = format!("csf.logFormat: `{other}` is neither `logfmt` nor `json`");
            work.faults.push(fault);
            false
        }
    };
    let api = work.address("api.bindAddress", &document.api.bindaddress);
    let metrics = work.address(
        "metrics.prometheusEndpoint",
        &document.metrics.prometheusendpoint,
    );
    if document.webui.enabled {
        work.notes.push(
            "webUI: CSF's page was empty; what there is to see is at api.bindAddress".to_owned(),
        );
    }
    let sources = work.sources(&document.csf.eventsources, &modules)?;
    let actions = work.actions(&document.csf.actionsmodules, &modules)?;
    if !work.faults.is_empty() {
        return Err(Error::Settings {
            file,
            found: work.faults,
        });
    }
    work.tell_origins(&file);
    let config = json!({
        "data_dir": storage.join(DATA_DIR),
        "api": listener(api.as_deref()),
        "webhooks": work.webhooks.unwrap_or_else(|| json!({ "listen": null })),
        "metrics": { "listen": metrics },
        "sources": sources,
        "actions": actions,
    });
    Ok(Translated {
        file,
        config,
        database: storage,
        log,
        log_json,
        notes: work.notes,
        origins: work.origins,
    })
}

/// An address that others reach is called by names that nobody listed. Whether it may be open
/// to them is not for CSF's folder to say.
fn listener(address: Option<&str>) -> Value {
    let is_loopback = address
        .and_then(|address| address.parse::<std::net::SocketAddr>().ok())
        .is_some_and(|address| address.ip().to_canonical().is_loopback());
    let auth = if is_loopback { "loopback-open" } else { "none" };
    json!({ "listen": address, "auth": auth })
}

#[derive(Default)]
struct Work {
    faults: Vec<String>,
    notes: Vec<String>,
    /// The listener that a source of CSF's had for itself.
    webhooks: Option<Value>,
    /// Where the parts of the configuration come from.
    origins: Vec<(Place, String)>,
}

impl Work {
    /// What is in the file itself; what modules' files say has been told.
    fn tell_origins(&mut self, file: &Path) {
        let file = file.display();
        for (keys, origin) in [
            (&["data_dir"][..], "storage.config.path"),
            (&["api", "listen"], "api.bindAddress"),
            (&["metrics", "listen"], "metrics.prometheusEndpoint"),
            (&["sources"], "csf.eventsources"),
            (&["actions"], "csf.actionsModules"),
        ] {
            let origin = format!("{file}: {origin}");
            self.origins.push((Place::of(keys), origin));
        }
    }

    /// Remembers the file that a module's settings are from.
    fn came_from(&mut self, place: Place, file: &Path) {
        self.origins.push((place, file.display().to_string()));
    }

    fn path(&mut self, key: &str, provider: &str, given: &Provider) -> PathBuf {
        if given.provider != provider {
            self.faults.push(format!(
                "{key}.provider: `{}` is not known; CSF has `{provider}`",
                given.provider
            ));
        }
        if given.config.path.as_os_str().is_empty() {
            self.faults.push(format!("{key}.config.path: is missing"));
        }
        given.config.path.clone()
    }

    fn log_level(&mut self, level: &str) -> &'static str {
        match level {
            "" | "INFO" => "info",
            "DEBUG" => "debug",
            "WARNING" | "WARN" => "warn",
            "ERROR" | "FATAL" => "error",
            other => {
                self.faults.push(format!(
                    "csf.logLevel: `{other}` is none of DEBUG, INFO, WARNING, ERROR, FATAL"
                ));
                "info"
            }
        }
    }

    fn address(&mut self, key: &str, text: &str) -> Option<String> {
        match address::parse(text) {
            Ok(address) => Some(address.to_string()),
            Err(wrong) => {
                self.faults.push(format!("{key}: {wrong}"));
                None
            }
        }
    }

    fn sources(&mut self, names: &[String], folder: &Path) -> Result<Vec<Value>, Error> {
        let mut translated = Vec::new();
        for name in names {
            let known = sources::ALL.iter().find(|module| module.name == *name);
            let Some(module) = known.filter(|_| SOURCES.contains(&&**name)) else {
                self.absent("csf.eventsources", name, &SOURCES);
                continue;
            };
            let SourceModule { config, .. } = module;
            let place = Place::of(&["sources"]).then(Key::Index(translated.len()));
            let settings = match &**name {
                "k8s" => self.kubeconfig("csf.eventsources", folder)?,
                _ => file(name, folder, &config())?.map(|(file, settings)| {
                    if name == "Clair" {
                        let listen = file.display().to_string() + ": webhook_listen_addr";
                        let listen = (Place::of(&["webhooks", "listen"]), listen);
                        self.origins.push(listen);
                    }
                    self.came_from(place, &file);
                    let settings = match &**name {
                        "Clair" => self.clair(settings),
                        "k8s_imagevalidator" => self.validator(settings),
                        _ => settings,
                    };
                    self.known(&file, settings, &config())
                }),
            };
            let mut settings = settings.unwrap_or_default();
            if name == "openstack" {
                settings = modules::openstack(settings, folder, &mut self.faults);
            }
            settings.insert("id".to_owned(), name.clone().into());
            settings.insert("module".to_owned(), name.clone().into());
            translated.push(settings.into());
        }
        Ok(translated)
    }

    fn actions(&mut self, names: &[String], folder: &Path) -> Result<Map<String, Value>, Error> {
        let mut translated = Map::new();
        for name in names {
            let known = actions::ALL.iter().find(|module| module.name == *name);
            let Some(module) = known.filter(|_| ACTIONS.contains(&&**name)) else {
                self.absent("csf.actionsModules", name, &ACTIONS);
                continue;
            };
            let ActionModule { config, .. } = module;
            let schema = config();
            let settings = if name == "k8s" {
                self.kubeconfig("csf.actionsModules", folder)?
            } else {
                let own = file(name, folder, &schema)?;
                own.map(|(file, settings)| {
                    self.came_from(Place::of(&["actions", name]), &file);
                    self.known(&file, settings, &schema)
                })
            };
            let settings = settings.filter(|settings| !settings.is_empty());
            if name == "vuls" {
                let vuls = settings.unwrap_or_default();
                let vuls = modules::vuls(vuls, folder, &mut self.notes);
                translated.extend(vuls.map(|settings| (name.clone(), settings.into())));
                continue;
            }
            match settings {
                Some(settings) if name == "mail" => {
                    let mail = modules::mail(settings, &mut self.notes);
                    translated.insert(name.clone(), mail.into());
                }
                Some(settings) if name == "klar" => {
                    translated.insert(
                        name.clone(),
                        modules::klar(settings, &mut self.notes).into(),
                    );
                }
                Some(settings) => drop(translated.insert(name.clone(), settings.into())),
                // CSF set it up with nothing, so that its first use failed.
                None if schema["required"].is_array() => self.notes.push(format!(
                    "csf.actionsModules: `{name}` has no settings in {}, so its actions will fail",
                    folder.display()
                )),
                None => drop(translated.insert(name.clone(), Value::Object(Map::new()))),
            }
        }
        Ok(translated)
    }

    fn absent(&mut self, key: &str, name: &str, known: &[&str]) {
        let fault = match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) if *known == name => format!("{key}: `{name}` is not in this version"),
            Some(known) => format!("{key}: there is no `{name}`; did you mean `{known}`?"),
            None => format!(
                "{key}: there is no `{name}`; there are: {}",
                known.join(", ")
            ),
        };
        self.faults.push(fault);
    }

    /// CSF listened where Go's addresses say, and answered on any path.
    fn validator(&mut self, mut settings: Map<String, Value>) -> Map<String, Value> {
        if let Some(Value::String(address)) = settings.get("webhook_endpoint")
            && let Some(address) =
                self.address("k8s_imagevalidator webhook_endpoint", &address.clone())
        {
            settings.insert("webhook_endpoint".to_owned(), address.into());
        }
        settings.entry("image_policy_path").or_insert("*".into());
        settings
    }

    /// CSF's file of `k8s` is no settings but a kubeconfig, for the source and the actions alike.
    fn kubeconfig(
        &mut self,
        key: &str,
        folder: &Path,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let file = if folder.as_os_str().is_empty() {
            None
        } else {
            lookup::find(folder, "k8s")?
        };
        let written = match &file {
            Some(file) => !document::text(file)?.trim().is_empty(),
            None => false,
        };
        if let Some(file) = file.filter(|_| written) {
            return Ok(Some(Map::from_iter([(
                "kubeconfig".to_owned(),
                json!(file),
            )])));
        }
        self.notes.push(format!(
            "{key}: `k8s` has no kubeconfig in {}: the service account of the pod that this runs in is used",
            folder.display()
        ));
        Ok(None)
    }

    /// CSF's source had a listener for itself, and took every path.
    fn clair(&mut self, mut settings: Map<String, Value>) -> Map<String, Value> {
        let address = settings.remove("webhook_listen_addr");
        let address = address.as_ref().and_then(Value::as_str).unwrap_or_default();
        let address = self.address("webhook_listen_addr", address);
        self.webhooks = Some(listener(address.as_deref()));
        settings.entry("path").or_insert("*".into());
        settings
    }

    /// What of a module's settings our module of this name knows.
    fn known(
        &mut self,
        file: &Path,
        settings: Map<String, Value>,
        schema: &Value,
    ) -> Map<String, Value> {
        let (settings, strange): (Map<_, _>, Map<_, _>) = settings
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .partition(|(key, _)| schema["properties"].get(key).is_some());
        for key in strange.keys() {
            let file = file.display();
            self.notes.push(format!(
                "{file}: `{key}` means nothing here and is passed over"
            ));
        }
        settings
    }
}

/// A module's own file, and what it says.
type Own = (PathBuf, Map<String, Value>);

/// A module's own file, where our module of this name has settings at all.
fn file(name: &str, folder: &Path, schema: &Value) -> Result<Option<Own>, Error> {
    // What is wrong with the folder has been said.
    if folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let Some(file) = lookup::find(folder, name)? else {
        return Ok(None);
    };
    if schema["properties"].as_object().is_none_or(Map::is_empty) {
        return Ok(None);
    }
    let text = document::text(&file)?;
    let settings = document::yaml(&text).map_err(|message| Error::Syntax {
        file: file.clone(),
        message,
    })?;
    let Value::Object(settings) = settings else {
        return Err(Error::Syntax {
            file,
            message: "expected settings, `key: value` on each line".to_owned(),
        });
    };
    Ok(Some((file, settings)))
}

#[cfg(test)]
mod tests;
