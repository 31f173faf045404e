//! Which host a name stands for, and what is wrong with a list of hosts.

use conche_openwhisk::client::{Failure, Request, Response};
use conche_runtime::secrets::Receiver;
use serde_json::json;

use super::*;
use crate::command::CommandInput;
use crate::commands::openwhisk::party::Shown;

/// A host that nobody calls.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Transport for Silent {
    async fn send(&self, _request: Request) -> Result<Response, Failure> {
        Err(Failure::NotSent("it is silent".to_owned()))
    }
}

#[async_trait]
impl Embedded for Silent {
    async fn known(
        &self,
        _verb: Verb,
        _name: &FullyQualifiedName,
        _key: &str,
    ) -> Result<Option<ActivationId>, String> {
        Ok(None)
    }
}

fn hosts(named: serde_json::Value, has_local: bool) -> Hosts {
    let hosts = Hosts::new(serde_json::from_value(named).unwrap(), has_local);
    if has_local {
        hosts.open(Arc::new(Silent));
    }
    hosts
}

fn root(place: Result<Place, Error>) -> String {
    match place {
        Ok(Place::Network(network)) => network.root,
        Ok(Place::Local(_)) => LOCAL.to_owned(),
        Err(error) => panic!("{error}"),
    }
}

fn of(agent: serde_json::Value, hosts: &Hosts) -> Result<Place, Error> {
    let given = json!({ "command": {}, "agent": agent });
    let given: CommandInput = serde_json::from_value(given).unwrap();
    Place::of(&given, hosts)
}

#[test]
fn a_configured_host_is_that_of_the_agents_name_or_the_only_one() {
    let prod = json!({ "url": "https://p.example.com", "auth": { "secret": "k" } });
    let lab = json!({ "url": "https://l.example.com" });
    let both = hosts(json!({ "prod": prod, "lab": lab }), false);
    assert_eq!(root(both.place(Some("lab"))), "https://l.example.com");
    assert!(both.place(None).is_err() && both.place(Some("x")).is_err());
    let one = hosts(json!({ "lab": lab }), false);
    assert_eq!(
        root(of(json!({ "name": "x" }), &one)),
        "https://l.example.com"
    );
    let Ok(Place::Network(network)) = of(json!({ "name": "prod" }), &both) else {
        panic!("it is configured");
    };
    assert_eq!(network.receiver, Receiver::Configured);
    assert!(matches!(network.authentication, Shown::Key(_)));
}

#[test]
fn an_agent_with_the_name_of_a_host_and_an_address_is_shown_no_configured_credentials() {
    let prod = json!({ "url": "https://p.example.com", "auth": { "secret": "k" } });
    let hosts = hosts(json!({ "prod": prod }), true);
    for name in ["prod", LOCAL] {
        let agent = json!({ "name": name, "address": { "url": ["https://elsewhere.example"] } });
        let Ok(Place::Network(network)) = of(agent, &hosts) else {
            panic!("it has an address");
        };
        assert!(matches!(network.authentication, Shown::Nothing));
        assert_eq!(network.receiver.to_string(), "elsewhere.example");
    }
}

#[test]
fn the_embedded_host_is_called_local_and_is_the_only_one_where_no_other_is_configured() {
    let alone = hosts(json!({}), true);
    for agent in [json!({ "name": LOCAL }), json!({ "name": "x" })] {
        assert_eq!(root(of(agent, &alone)), LOCAL);
    }
    let beside = hosts(json!({ "prod": { "url": "https://p.example.com" } }), true);
    assert_eq!(root(beside.place(Some(LOCAL))), LOCAL);
    let error = beside.place(None).unwrap_err().to_string();
    assert!(error.contains("local, prod"), "{error}");
}

#[test]
fn an_embedded_host_that_is_off_or_not_of_this_process_says_what_to_do() {
    let off = hosts(json!({}), false).place(Some(LOCAL)).unwrap_err();
    assert!(off.to_string().contains("openwhisk.host.listen"), "{off}");
    let elsewhere = Hosts::new(BTreeMap::new(), true);
    let elsewhere = elsewhere.place(Some(LOCAL)).unwrap_err();
    assert!(
        elsewhere.to_string().contains("conche playbooks run"),
        "{elsewhere}"
    );
}

#[test]
fn a_configured_host_can_not_be_called_local() {
    let hosts = hosts(
        json!({ "local": { "url": "https://p.example.com" } }),
        false,
    );
    let flaws = hosts.check(&Secrets::load(BTreeMap::new()));
    assert_eq!(flaws[0].place, "openwhisk.hosts.local");
}
