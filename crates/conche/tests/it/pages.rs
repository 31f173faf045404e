//! The examples on the pages of docs/: what a reader copies is in order.
//!
//! Every block that begins with a plain "```yaml" is a whole configuration, a list of sources, a
//! reaction or a recipe, and is given to `conche config check` or `conche validate`. What is
//! only a part, or another program's, says so behind the word: "```yaml fragment".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::server::Site;

/// Pages besides those of docs/integrations.
const PAGES: [&str; 6] = [
    "exec.md",
    "recipes.md",
    "sources.md",
    "storm-control.md",
    "webhooks.md",
    "moving-from-csf.md",
];

/// Pages on which a reader finds all that it takes to begin.
const WHOLE: [&str; 10] = [
    "admission.md",
    "clair.md",
    "clock.md",
    "http.md",
    "klar.md",
    "kubernetes.md",
    "mail.md",
    "openstack.md",
    "trivy.md",
    "vuls.md",
];

/// A block of a page.
struct Example {
    /// The page and the line.
    place: String,
    page: String,
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Configuration,
    Sources,
    Reactions,
    Recipe,
}

fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let integrations = std::fs::read_dir(docs.join("integrations")).unwrap();
    let integrations = integrations.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = integrations
        .chain(PAGES.iter().map(|page| docs.join(page)))
        .collect();
    pages.sort();
    pages
}

fn examples(page: &Path) -> Vec<Example> {
    let text = std::fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_str().unwrap();
    let (mut found, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line) {
            (None, "```yaml") => open = Some((number + 2, String::new())),
            (Some(_), "```") => {
                let (first, text) = open.take().unwrap();
                let place = format!("docs/…/{name}:{first}");
                let kind = kind(&place, &text);
                found.push(Example {
                    place,
                    page: name.to_owned(),
                    text,
                    kind,
                });
            }
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

fn kind(place: &str, text: &str) -> Kind {
    let first = text.split("---\n").next().unwrap();
    match serde_saphyr::from_str::<Value>(first).unwrap() {
        Value::Array(_) => Kind::Sources,
        Value::Object(members) if members.contains_key("event") => Kind::Reactions,
        Value::Object(members) if members.get("actions").is_some_and(Value::is_array) => {
            Kind::Recipe
        }
        Value::Object(members) => {
            let mut sections = members.keys();
            let known = sections.all(|key| {
                let known = [
                    "secrets", "sources", "actions", "egress", "webhooks", "limits",
                ];
                known.contains(&key.as_str())
            });
            assert!(known, "{place}: what is this?\n{text}");
            Kind::Configuration
        }
        _ => panic!("{place}: what is this?\n{text}"),
    }
}

/// The files that examples name, where the tests have them.
fn furnish(site: &Site, text: &str) -> String {
    for folder in ["etc", "recipes"] {
        std::fs::create_dir(site.path(folder)).unwrap();
    }
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    for name in [
        "cert.pem",
        "ca.pem",
        "clair-ca.pem",
        "callers.pem",
        "tls.crt",
    ] {
        site.write(&format!("etc/{name}"), &made.cert.pem());
    }
    for name in ["key.pem", "tls.key", "scan.key"] {
        site.write(&format!("etc/{name}"), &made.signing_key.serialize_pem());
    }
    site.write("etc/known_hosts", "");
    site.write(
        "etc/kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{ name: c, cluster: { server: \"https://127.0.0.1:1\" } }]\ncontexts: [{ name: c, context: { cluster: c, user: u } }]\nusers: [{ name: u, user: {} }]\n",
    );
    let etc = site.path("etc");
    let etc = etc.to_str().unwrap();
    let text = text.replace("/etc/conche/", &format!("{etc}/"));
    let text = text.replace("~/.kube/config", &format!("{etc}/kubeconfig"));
    // Users that not every machine has.
    ["user: trivy", "user: scan"]
        .iter()
        .fold(text, |text, user| text.replace(user, "user: nobody"))
}

/// Every `{ secret: NAME }` in a value.
fn secrets(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(
                members
                    .get("secret")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            members.values().for_each(|value| secrets(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| secrets(item, found)),
        _ => {}
    }
}

/// A list of sources in a configuration that has the secrets which they name.
fn around(sources: &str) -> String {
    let sources: Value = serde_saphyr::from_str(sources).unwrap();
    let mut named = BTreeSet::new();
    secrets(&sources, &mut named);
    let named = named.into_iter();
    let named: Map<String, Value> = named.map(|name| (name, json!({ "env": "ANY" }))).collect();
    json!({ "secrets": named, "sources": sources }).to_string()
}

fn refused(site: &Site, arguments: &[&str]) -> Option<String> {
    let output = site.command(arguments).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&told).into_owned())
}

fn check(example: &Example) -> Option<String> {
    let site = Site::new("");
    let text = furnish(&site, &example.text);
    match example.kind {
        Kind::Configuration => site.write("conche.yaml", &text),
        Kind::Sources => site.write("conche.yaml", &around(&text)),
        Kind::Recipe => {
            site.write("recipes/own.yaml", &text);
            site.write("conche.yaml", "recipes: { dir: recipes }\n");
        }
        Kind::Reactions => {
            // Scripts that stand elsewhere.
            for script in ["block.js", "rebuild.js"] {
                site.write(script, "nextAction = ''");
            }
            let reactions = text.split("---\n").enumerate().map(|(number, reaction)| {
                let file = format!("{number}.yaml");
                site.write(&file, reaction);
                file
            });
            let files: Vec<String> = reactions.collect();
            let verb = ["validate".to_owned()].into_iter().chain(files);
            let verb: Vec<String> = verb.collect();
            let verb: Vec<&str> = verb.iter().map(String::as_str).collect();
            return refused(&site, &verb);
        }
    }
    refused(&site, &["config", "check"])
}

#[test]
fn what_the_pages_show_is_in_order() {
    let examples: Vec<Example> = pages().iter().flat_map(|page| examples(page)).collect();
    assert!(examples.len() >= 40, "{}", examples.len());
    for page in WHOLE {
        let of_page = examples.iter().filter(|example| example.page == page);
        let kinds: Vec<Kind> = of_page.map(|example| example.kind).collect();
        assert!(kinds.contains(&Kind::Configuration), "{page}: {kinds:?}");
    }
    let faults = examples.iter().filter_map(|example| {
        let told = check(example)?;
        Some(format!("{}:\n{told}", example.place))
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
