//! The source `k8s`: what it makes of a cluster, and that nothing that goes wrong loses or
//! repeats an event.

use std::sync::Arc;
use std::time::Duration;

use conche_modules::{Connection, Source};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::apiserver::{ApiServer, Faults};
use crate::running::{PATIENCE, Running, soon, stored, until};
use crate::support::{FakeIntake, Stored, context, source};

const POD: &str = "/api/v1/namespaces/default/pods";

/// A pod as a real API server showed it.
fn pod() -> Value {
    let capture = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "creationTimestamp": "2026-11-22T01:14:01Z",
            "annotations": { "mycluster.image-policy.k8s.io/ticket-1234": "break-glass", "other": "x" },
            "managedFields": [{ "manager": "curl", "operation": "Update", "apiVersion": "v1",
                "fieldsV1": { "f:metadata": { "f:annotations": { ".": {}, "f:other": {} } } } }],
        },
        "spec": {
            "initContainers": [{ "name": "i", "image": "init:1", "resources": {} }],
            "containers": [{ "name": "c", "image": "nginx:1.25", "resources": {} }],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {},
        },
        "status": { "phase": "Pending", "qosClass": "BestEffort" },
    });
    capture
}

fn path(name: &str) -> String {
    format!("{POD}/{name}")
}

/// A source, where it stores, and its folder.
struct Rig {
    intake: Arc<FakeIntake>,
    source: Arc<dyn Source>,
    dir: TempDir,
}

impl Rig {
    fn new(server: &ApiServer, settings: &Value) -> Self {
        Self::with(server, settings, "t", None)
    }

    fn with(server: &ApiServer, settings: &Value, token: &str, authority: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = json!({ "kubeconfig": server.kubeconfig(dir.path(), token, authority) });
        let members = settings.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(members);
        let built = source("k8s", config, &context(dir.path(), &[])).unwrap();
        Self {
            intake: FakeIntake::new(),
            source: built,
            dir,
        }
    }

    fn run(&self) -> Running {
        Running::start(&self.source, &self.intake)
    }

    /// The types and subjects of what is stored, in order.
    fn told(&self) -> Vec<(String, String)> {
        told(&self.intake.stored())
    }

    async fn has(&self, event_type: &str, name: &str) {
        let wanted = (event_type.to_owned(), format!("default/{name}"));
        let what = format!("{wanted:?}");
        soon(
            &what,
            self.intake.until(|stored| told(stored).contains(&wanted)),
        )
        .await;
    }

    fn count(&self, event_type: &str, name: &str) -> usize {
        let wanted = (event_type.to_owned(), format!("default/{name}"));
        self.told().iter().filter(|one| **one == wanted).count()
    }
}

fn told(stored: &Stored) -> Vec<(String, String)> {
    let events = stored.events.iter();
    events
        .map(|(_, event)| {
            let subject = event.subject.clone().unwrap_or_default();
            (event.event_type.clone(), subject)
        })
        .collect()
}

fn gaps(stored: &Stored) -> Vec<Value> {
    let gaps = stored
        .events
        .iter()
        .filter(|(_, event)| event.event_type == "k8s.gap");
    gaps.map(|(_, event)| event.data.read().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_come_and_go_become_events_once() {
    let server = ApiServer::start().await;
    server.put(&path("before"), pod());
    let rig = Rig::new(&server, &json!({}));
    let running = rig.run();
    rig.has("k8s.pod.created", "before").await;
    server.put(&path("web"), pod());
    rig.has("k8s.pod.created", "web").await;
    // A change of status, as there are many, is no event unless one asks for it.
    server.put(&path("web"), pod());
    server.remove(&path("web"));
    rig.has("k8s.pod.deleted", "web").await;
    running.stop().await;
    let expected = [
        ("new_pod", "default/before"),
        ("k8s.pod.created", "default/before"),
        ("new_pod", "default/web"),
        ("k8s.pod.created", "default/web"),
        ("k8s.pod.deleted", "default/web"),
    ];
    let expected = expected.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    assert_eq!(rig.told(), expected);
    let data: Value = rig.intake.stored().events[0].1.data.read().unwrap();
    assert_eq!(data["pod"]["kind"], "Pod");
    assert_eq!(data["pod"]["spec"]["containers"][0]["image"], "nginx:1.25");
    assert_eq!(data["pod"]["metadata"].get("managedFields"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_is_told_with_the_reason_until_it_is_back() {
    let mut server = ApiServer::start().await;
    let rig = Rig::new(&server, &json!({ "initial": "skip" }));
    server.down().await;
    let running = rig.run();
    let noted = |what: &'static str, wanted: fn(&Connection) -> bool| {
        let intake = rig.intake.clone();
        until(what, async move || {
            let noted = intake.connections();
            noted.last().is_some_and(|(_, state)| wanted(state))
        })
    };
    noted(
        "the failure",
        |state| matches!(state, Connection::Broken(why) if !why.is_empty()),
    )
    .await;
    assert_eq!(rig.intake.connections()[0].1, Connection::Awaited);
    server.up().await;
    noted("the watch", |state| *state == Connection::Open).await;
    server.down().await;
    noted("the break", |state| matches!(state, Connection::Broken(_))).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_cannot_be_kept_is_left_out_and_the_event_is_not() {
    let server = ApiServer::start().await;
    let mut odd = pod();
    odd["metadata"]["creationTimestamp"] = "9999-12-30T10:00:00Z".into();
    server.put(&path("odd"), odd);
    server.put(&path("web"), pod());
    let rig = Rig::new(&server, &json!({ "events": ["new_pod"] }));
    let running = rig.run();
    let all = stored(&rig.intake, 2).await;
    running.stop().await;
    let times = all.events.iter().map(|(_, event)| event.time.is_some());
    assert_eq!(times.collect::<Vec<_>>(), [false, true]);
    assert!(all.events[0].1.data.as_str().contains("9999-12-30"));
    assert!(rig.intake.refusals().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_is_read_page_by_page() {
    let server = ApiServer::start().await;
    for number in 0..1100 {
        server.put(&path(&format!("pod-{number}")), pod());
    }
    let rig = Rig::new(&server, &json!({ "events": ["new_pod"] }));
    let running = rig.run();
    stored(&rig.intake, 1100).await;
    running.stop().await;
    let pages = server.seen();
    let pages = pages.iter().filter(|seen| seen.path.contains("limit=500"));
    assert_eq!(pages.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_too_large_is_read_in_parts_and_an_object_is_told_of() {
    let server = ApiServer::start().await;
    for number in 0..7 {
        server.put(&path(&format!("pod-{number}")), pod());
    }
    server.put(&path("giant"), pod());
    server.fail(Faults {
        page_items: Some(2),
        giant: Some("giant"),
        ..Faults::default()
    });
    let rig = Rig::new(&server, &json!({ "events": ["new_pod", "deleted"] }));
    let running = rig.run();
    for number in 0..7 {
        rig.has("new_pod", &format!("pod-{number}")).await;
    }
    // It is known to be there, and so is what happens to it.
    server.remove(&path("giant"));
    rig.has("k8s.pod.deleted", "giant").await;
    running.stop().await;
    let all = rig.intake.stored();
    let [gap] = &gaps(&all)[..] else {
        panic!("{:?}", rig.told());
    };
    assert_eq!(gap["reason"], "object_too_large");
    assert_eq!(gap["object"], "default/giant");
    assert_eq!(all.events.len(), 9, "{:?}", rig.told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_it_goes_on_where_it_left_off() {
    let server = ApiServer::start().await;
    server.put(&path("a"), pod());
    let rig = Rig::new(&server, &json!({}));
    let running = rig.run();
    rig.has("k8s.pod.created", "a").await;
    running.stop().await;
    let lists = |server: &ApiServer| {
        let seen = server.seen();
        seen.iter()
            .filter(|seen| seen.path.contains("limit="))
            .count()
    };
    let before = lists(&server);
    server.put(&path("b"), pod());
    server.remove(&path("a"));
    let running = rig.run();
    rig.has("k8s.pod.deleted", "a").await;
    rig.has("k8s.pod.created", "b").await;
    running.stop().await;
    assert_eq!(rig.count("new_pod", "a"), 1);
    assert_eq!(
        lists(&server),
        before,
        "the history was there: nothing was listed"
    );
    assert_eq!(gaps(&rig.intake.stored()), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_gone_is_told_as_a_gap_and_nothing_is_new_twice() {
    let server = ApiServer::start().await;
    server.put(&path("stays"), pod());
    server.put(&path("goes"), pod());
    let rig = Rig::new(&server, &json!({}));
    let running = rig.run();
    rig.has("k8s.pod.created", "stays").await;
    running.stop().await;
    server.remove(&path("goes"));
    server.put(&path("comes"), pod());
    server.change(super::objects::Objects::compact);
    server.put(&path("later"), pod());
    let running = rig.run();
    rig.has("k8s.pod.created", "later").await;
    running.stop().await;
    for (name, count) in [("stays", 1), ("goes", 1), ("comes", 1), ("later", 1)] {
        assert_eq!(rig.count("new_pod", name), count, "{name}");
    }
    assert_eq!(rig.count("k8s.pod.deleted", "goes"), 1);
    let gaps = gaps(&rig.intake.stored());
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["reason"], "history_expired");
    assert_eq!(gaps[0]["vanished"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csf_bug_17_existing_pods_are_skipped_where_asked_and_deletions_missed_meanwhile_are_told()
{
    let server = ApiServer::start().await;
    server.put(&path("old"), pod());
    let rig = Rig::new(&server, &json!({ "initial": "skip" }));
    let running = rig.run();
    let watching = || {
        server
            .seen()
            .iter()
            .any(|seen| seen.path.contains("watch=1"))
    };
    until("the watch", async || watching()).await;
    server.put(&path("new"), pod());
    rig.has("new_pod", "new").await;
    server.remove(&path("old"));
    rig.has("k8s.pod.deleted", "old").await;
    running.stop().await;
    assert_eq!(rig.count("new_pod", "old"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_and_breaks_later_loses_nothing() {
    let mut server = ApiServer::start().await;
    server.down().await;
    let rig = Rig::new(&server, &json!({}));
    let running = rig.run();
    server.put(&path("a"), pod());
    server.up().await;
    rig.has("k8s.pod.created", "a").await;
    for round in 0..3 {
        server.down().await;
        let name = format!("while-away-{round}");
        server.put(&path(&name), pod());
        server.up().await;
        rig.has("k8s.pod.created", &name).await;
    }
    running.stop().await;
    assert_eq!(rig.told().len(), 8, "{:?}", rig.told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_lines_are_read_again_whole() {
    let server = ApiServer::start().await;
    let rig = Rig::new(&server, &json!({ "events": ["new_pod"] }));
    server.fail(Faults {
        half_after: Some(1),
        ..Faults::default()
    });
    let running = rig.run();
    for number in 0..4 {
        server.put(&path(&format!("pod-{number}")), pod());
    }
    let found = stored(&rig.intake, 4).await;
    running.stop().await;
    assert_eq!(found.events.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_no_event_and_no_end() {
    let server = ApiServer::start().await;
    server.put(&path("a"), pod());
    let rig = Rig::new(&server, &json!({}));
    server.fail(Faults {
        nonsense: true,
        ..Faults::default()
    });
    let running = rig.run();
    until("three tries", async || server.seen().len() >= 3).await;
    assert_eq!(rig.told(), []);
    server.fail(Faults::default());
    rig.has("k8s.pod.created", "a").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_on_which_nothing_comes_is_begun_anew() {
    let server = ApiServer::start().await;
    let rig = Rig::new(&server, &json!({ "idle_timeout": "300ms" }));
    let running = rig.run();
    let watches = || {
        let seen = server.seen();
        seen.iter()
            .filter(|seen| seen.path.contains("watch=1"))
            .count()
    };
    until("the watch", async || watches() == 1).await;
    server.fail(Faults {
        silent: true,
        ..Faults::default()
    });
    server.put(&path("a"), pod());
    until("another watch", async || watches() >= 2).await;
    assert_eq!(rig.told(), []);
    server.fail(Faults::default());
    rig.has("k8s.pod.created", "a").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_expired_is_read_again_from_its_file() {
    let mut server = ApiServer::start().await;
    let guarded = |token: &str| Faults {
        token: Some(token.to_owned()),
        ..Faults::default()
    };
    server.fail(guarded("first"));
    let rig = Rig::with(&server, &json!({}), "first", None);
    let running = rig.run();
    server.put(&path("a"), pod());
    rig.has("k8s.pod.created", "a").await;
    server.fail(guarded("second"));
    server.kubeconfig(rig.dir.path(), "second", None);
    server.down().await;
    server.up().await;
    server.put(&path("b"), pod());
    rig.has("k8s.pod.created", "b").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let server = ApiServer::start().await;
    server.put(&path("a"), pod());
    server.fail(Faults {
        status: Some((429, Some(60))),
        ..Faults::default()
    });
    let rig = Rig::new(&server, &json!({}));
    let running = rig.run();
    until("the first try", async || !server.seen().is_empty()).await;
    let mut stored = std::pin::pin!(rig.intake.until(|stored| !stored.events.is_empty()));
    server.fail(Faults::default());
    let waited = tokio::time::timeout(Duration::from_millis(900), &mut stored).await;
    assert!(waited.is_err(), "it has come back within the minute");
    assert_eq!(server.seen().len(), 1);
    running.stop().await;
}

fn certificates() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = conche_runtime::tls::provider();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_the_wrong_certificate_is_never_told_our_token() {
    conche_runtime::tls::install_crypto_provider();
    let (tls, right) = certificates();
    let (_, wrong) = certificates();
    let server = ApiServer::start_with(Some(tls)).await;
    server.put(&path("a"), pod());
    let rig = Rig::with(&server, &json!({}), "t", Some(&wrong));
    let running = rig.run();
    let mut stored = std::pin::pin!(rig.intake.until(|stored| !stored.events.is_empty()));
    let waited = tokio::time::timeout(Duration::from_millis(700), &mut stored).await;
    assert!(waited.is_err());
    assert_eq!(server.seen(), [], "no request has come through");
    // The authority is put right: no restart is needed.
    server.kubeconfig(rig.dir.path(), "t", Some(&right));
    tokio::time::timeout(PATIENCE, stored).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_kind_is_watched_by_its_name_and_narrowed_by_selectors() {
    let server = ApiServer::start().await;
    let labelled = |app: &str| {
        json!({ "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": { "labels": { "app": app } } })
    };
    let at = |name: &str| format!("/apis/apps/v1/namespaces/default/deployments/{name}");
    server.put(&at("web"), labelled("web"));
    server.put(&at("db"), labelled("db"));
    server.put(
        "/api/v1/nodes/n1",
        json!({ "kind": "Node", "apiVersion": "v1" }),
    );
    let watch = json!([
        { "api_version": "apps/v1", "kind": "Deployment", "label_selector": "app=web",
          "namespaces": ["default"] },
        { "api_version": "v1", "kind": "Node" },
    ]);
    let rig = Rig::new(&server, &json!({ "pods": false, "watch": watch }));
    let running = rig.run();
    stored(&rig.intake, 2).await;
    server.put(&at("web2"), labelled("web"));
    rig.has("k8s.deployment.created", "web2").await;
    running.stop().await;
    let mut told = rig.told();
    told.sort();
    let expected = [
        ("k8s.deployment.created", "default/web"),
        ("k8s.deployment.created", "default/web2"),
        ("k8s.node.created", "n1"),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, name)| (kind.to_owned(), name.to_owned()))
    );
    let stored = rig.intake.stored();
    let node = stored
        .events
        .iter()
        .find(|(_, event)| event.event_type == "k8s.node.created");
    let node: Value = node.unwrap().1.data.read().unwrap();
    assert_eq!(node["node"]["kind"], "Node");
}
