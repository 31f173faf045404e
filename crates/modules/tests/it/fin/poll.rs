//! Fins that poll, over real sockets behind the hardened listener.

use std::net::SocketAddr;

use conche_modules::fins::{admin_router, router};
use conche_runtime::egress::{Request, Response};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::secrets::{PlaybookGrant, PlaybookGrants};
use conche_runtime::supervisor::Stage;
use http::Method;
use serde_json::{Value, json};

use super::{LOGIN, Served, call_of, failed, input, retried, uncertain};
use crate::running::{Log, soon, until};

const TOKEN: &str = "let-me-in-let-me-in";

/// Playbooks may have `target` handed to this fin only.
fn granted_to(capability: &str) -> PlaybookGrants {
    let grant = PlaybookGrant {
        fins: vec![capability.to_owned()],
        ..PlaybookGrant::default()
    };
    PlaybookGrants {
        secrets: [("target".to_owned(), grant)].into(),
        plain_http: Vec::new(),
    }
}

fn config(more: &Value) -> Value {
    let mut config = json!({
        "poll": {
            "registration_token": { "secret": "fins" }, "interval": "1s", "long_poll": "1s",
            "lease": "1s", "stale_after": "3s",
        },
        "wait": "200ms",
    });
    let poll = config["poll"].as_object_mut().unwrap();
    poll.extend(more.as_object().unwrap().clone());
    config
}

/// The routes, as SOARCA's listener mounts them.
struct Mounted {
    served: Served,
    address: SocketAddr,
}

impl Mounted {
    async fn start(folder: &std::path::Path, config: &Value) -> Self {
        let served = Served::start(folder, config);
        let open = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("soarca", open).await.unwrap();
        let address = listener.local_addr();
        let routes = router(served.fins.clone()).merge(admin_router(served.fins.clone()));
        listener.serve(routes, &served.supervisor.tasks(), Stage::Api);
        Self { served, address }
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &str) -> Response {
        let mut request = Request::new(method, format!("http://{}{path}", self.address));
        request.body = body.to_owned().into();
        let json = "application/json".parse().unwrap();
        request.headers.insert("content-type", json);
        if !token.is_empty() {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.headers.insert("authorization", bearer);
        }
        let answer = self.served.cx.egress.request(request);
        soon(path, answer).await.unwrap()
    }

    async fn registers(&self, kind: &str) -> Value {
        let body = json!({
            "registration_token": TOKEN, "display_name": "a fin", "protocol_version": "1.0.0",
            "capabilities": [{ "type": kind, "version": "0.1.0",
                               "step_examples": [{ "type": "action" }] }],
        });
        let body = body.to_string();
        let answer = self.send(Method::POST, "/fin/register", "", &body).await;
        assert_eq!(answer.status, 201);
        value(&answer)
    }

    async fn polls(&self, token: &str) -> Response {
        let room = r#"{"concurrency_available":1}"#;
        self.send(Method::POST, "/fin/poll", token, room).await
    }

    /// Polls until there is something to do.
    async fn fetches(&self, token: &str) -> Value {
        loop {
            let answer = self.polls(token).await;
            if answer.status == 200 {
                return value(&answer)["job"].clone();
            }
            assert_eq!(answer.status, 204);
            assert!(answer.body.is_empty());
        }
    }

    async fn reports(&self, token: &str, id: &Value, report: &Value) -> Response {
        let path = format!("/fin/jobs/{}", id.as_str().unwrap());
        self.send(Method::PUT, &path, token, &report.to_string())
            .await
    }

    async fn pings(&self, token: &str, id: &Value) -> Response {
        let path = format!("/fin/jobs/{}/status", id.as_str().unwrap());
        let progress = r#"{"progress":"half"}"#;
        self.send(Method::PATCH, &path, token, progress).await
    }
}

fn value(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Status and message, in SOARCA's form.
fn refusal(answer: &Response) -> (u16, String) {
    let body = value(answer);
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["downstream-call", "message", "original-call", "status"]
    );
    assert_eq!(body["status"], answer.status.as_u16().to_string());
    let message = body["message"].as_str().unwrap();
    (answer.status.as_u16(), message.to_owned())
}

#[tokio::test]
async fn a_fin_that_polls_carries_out_commands() {
    let (folder, log) = (tempfile::tempdir().unwrap(), Log::new());
    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    let fin = mounted.registers("custom-ssh").await;
    assert_eq!(fin["poll_interval_seconds"], 1);
    assert_eq!(fin["long_poll_timeout_seconds"], 1);
    assert_eq!(fin["job_lease_seconds"], 1);
    let token = fin["fin_token"].as_str().unwrap();

    // With nothing to do a poll is held, and then empty.
    assert_eq!(mounted.polls(token).await.status, 204);

    let mut asked = input("custom-ssh", "an agent", "restart nginx");
    let known = json!({ "id": "auth--1", "type": "user-auth", "user": "deploy", "password": { "secret": "target" } });
    asked["target"] = json!({ "type": "linux", "name": "web", "address": { "ipv4": ["10.0.0.5"] }, "authentication": known });
    // What is not granted to this fin never leaves.
    let secrets = &mounted.served.cx.secrets;
    secrets.grant_to_playbooks(granted_to("another-fin"));
    let refused = mounted.served.carry_out(&call_of(&asked, 10)).await;
    let refused = format!("{refused:?}");
    assert!(
        refused.contains("is not for the fin `custom-ssh`"),
        "{refused}"
    );
    secrets.grant_to_playbooks(granted_to("custom-ssh"));
    let call = call_of(&asked, 10);
    let works = async {
        let job = mounted.fetches(token).await;
        assert_eq!(job["run_id"], call.run.to_string());
        assert_eq!(job["execution_id"], job["run_id"]);
        assert_eq!(job["capability_type"], "custom-ssh");
        assert_eq!(job["lease_expires_in_seconds"], 1);
        assert_eq!(job["commands"][0]["command"], "restart nginx");
        assert_eq!(
            job["targets"][0]["target"]["address"]["ipv4"][0],
            "10.0.0.5"
        );
        let login = &job["targets"][0]["authentication"];
        assert_eq!(
            (&login["username"], &login["password"]),
            (&json!("deploy"), &json!(LOGIN))
        );
        assert!(!job["targets"][0]["target"].to_string().contains("secret"));
        assert_eq!(job["variables"]["__word__"]["value"], "word");
        let report = json!({
            "state": "success",
            "variables": { "__out__": { "type": "string", "value": LOGIN } },
            "target_results": [{ "target_index": 0, "state": "success" }],
        });
        let answer = mounted.reports(token, &job["job_id"], &report).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        // It is used once.
        let again = mounted.reports(token, &job["job_id"], &report).await;
        assert_eq!(refusal(&again), (404, "Job not found".to_owned()));
    };
    let (done, ()) = tokio::join!(mounted.served.carry_out(&call), works);
    let expected = json!({
        "variables": { "__out__": "***target***" },
        "target_results": [{ "target_index": 0, "state": "success" }],
    });
    assert_eq!(done.unwrap(), expected);

    let call = call_of(&input("soarca-fin", "custom-ssh", "x"), 10);
    let fails = async {
        let job = mounted.fetches(token).await;
        let report = json!({ "state": "failure", "error": format!("no {LOGIN}") });
        mounted.reports(token, &job["job_id"], &report).await;
    };
    let (done, ()) = tokio::join!(mounted.served.carry_out(&call), fails);
    assert!(failed(done).ends_with("reports a failure: no ***target***"));
    let text = log.text();
    assert!(
        !text.contains(LOGIN) && !text.contains(token) && !text.contains(TOKEN),
        "{text}"
    );
    mounted.served.stop().await;
}

#[tokio::test]
async fn a_fin_that_falls_silent_leaves_its_command_to_a_person_or_to_another_fin() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    let fin = mounted.registers("t").await;
    let token = fin["fin_token"].as_str().unwrap();
    let call = call_of(&input("t", "", "x"), 20);
    let silent = async {
        let job = mounted.fetches(token).await;
        // As long as it says that it is at it, it has it: longer than a lease.
        let begun = tokio::time::Instant::now();
        let lease = std::time::Duration::from_millis(1500);
        until("more than a lease to pass", async || {
            let answer = mounted.pings(token, &job["job_id"]).await;
            assert_eq!(value(&answer), json!({ "action": "" }));
            begun.elapsed() > lease
        })
        .await;
        job
    };
    let (result, job) = tokio::join!(mounted.served.carry_out(&call), silent);
    assert!(uncertain(result).contains("fell silent"));
    // Whoever comes back late is told.
    let answer = mounted.pings(token, &job["job_id"]).await;
    assert!(answer.status == 404 || value(&answer) == json!({ "action": "cancel" }));

    // Nobody fetches it: nothing has happened.
    let result = mounted
        .served
        .carry_out(&call_of(&input("t", "", "x"), 1))
        .await;
    assert!(retried(result).contains("fetched the command in time"));

    // It is not heard of any more: nothing is given to it, until it is back.
    until("the fin to be stale", async || {
        mounted.served.fins.list()[0].stale
    })
    .await;
    let result = mounted
        .served
        .carry_out(&call_of(&input("t", "", "x"), 5))
        .await;
    assert!(failed(result).contains("was heard of for"));
    mounted.polls(token).await;
    assert!(!mounted.served.fins.list()[0].stale);
    mounted.served.stop().await;

    let requeue = config(&json!({ "requeue": true }));
    let mounted = Mounted::start(folder.path(), &requeue).await;
    let (one, two) = (mounted.registers("t").await, mounted.registers("t").await);
    let (one, two) = (
        one["fin_token"].as_str().unwrap(),
        two["fin_token"].as_str().unwrap(),
    );
    let call = call_of(&input("t", "", "x"), 20);
    let handed_on = async {
        let first = mounted.fetches(one).await;
        let second = mounted.fetches(two).await;
        assert_eq!(first["job_id"], second["job_id"]);
        let report = json!({ "state": "success" });
        let late = mounted.reports(one, &first["job_id"], &report).await;
        assert_eq!(
            refusal(&late),
            (403, "Job is not leased to this fin".to_owned())
        );
        mounted.reports(two, &second["job_id"], &report).await;
    };
    let (done, ()) = tokio::join!(mounted.served.carry_out(&call), handed_on);
    assert_eq!(done.unwrap(), json!({ "variables": {} }));
    mounted.served.stop().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "two tables")]
async fn who_shows_no_right_token_or_sends_nonsense_is_refused_as_soarca_does() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::start(folder.path(), &config(&json!({ "body_bytes": "4KiB" }))).await;
    let register = |body: Value| {
        let mounted = &mounted;
        async move {
            let body = body.to_string();
            refusal(&mounted.send(Method::POST, "/fin/register", "", &body).await)
        }
    };
    let offers = json!([{ "type": "t" }]);
    for (body, status, message) in [
        (json!([]), 400, "Failed to parse registration request"),
        (
            json!({ "capabilities": offers }),
            403,
            "invalid or missing registration token",
        ),
        (
            json!({ "registration_token": "let-me-in", "capabilities": offers }),
            403,
            "invalid or missing registration token",
        ),
        (
            json!({ "registration_token": TOKEN }),
            400,
            "At least one capability is required",
        ),
        (
            json!({ "registration_token": TOKEN, "capabilities": [{}] }),
            400,
            "Every capability requires a non-empty type",
        ),
        (
            json!({ "registration_token": "x".repeat(5000) }),
            413,
            "The request is too large",
        ),
    ] {
        assert_eq!(register(body).await, (status, message.to_owned()));
    }
    let fin = mounted.registers("t").await;
    let token = fin["fin_token"].as_str().unwrap();
    let known = "/fin/jobs/018f0000-0000-7000-8000-000000000000";
    let ping = format!("{known}/status");
    for (method, path, token, body, status, message) in [
        (
            Method::POST,
            "/fin/poll",
            "",
            "",
            401,
            "Missing or malformed Authorization header",
        ),
        (
            Method::POST,
            "/fin/poll",
            "x",
            "",
            401,
            "Invalid or unknown fin token",
        ),
        (
            Method::POST,
            "/fin/poll",
            TOKEN,
            "",
            401,
            "Invalid or unknown fin token",
        ),
        (
            Method::POST,
            "/fin/poll",
            token,
            "[",
            400,
            "Failed to parse poll request",
        ),
        (
            Method::PUT,
            "/fin/jobs/1",
            token,
            "{}",
            400,
            "Failed to parse job ID",
        ),
        (
            Method::PUT,
            known,
            token,
            "{}",
            400,
            "Failed to parse job result",
        ),
        (
            Method::PUT,
            known,
            token,
            r#"{"state":"maybe"}"#,
            400,
            "state must be \"success\" or \"failure\"",
        ),
        (
            Method::PUT,
            known,
            token,
            r#"{"state":"success"}"#,
            404,
            "Job not found",
        ),
        (Method::PATCH, &ping, token, "", 404, "Job not found"),
        (
            Method::PATCH,
            &ping,
            token,
            "{",
            400,
            "Failed to parse status ping",
        ),
        (
            Method::DELETE,
            "/fin/",
            "x",
            "",
            401,
            "Invalid or unknown fin token",
        ),
    ] {
        let answer = mounted.send(method, path, token, body).await;
        assert_eq!(refusal(&answer), (status, message.to_owned()), "{path}");
    }
    mounted.served.stop().await;

    // Without the section nobody gets in.
    let broker = json!({ "mqtt": { "url": "mqtt://127.0.0.1:1" } });
    let mounted = Mounted::start(folder.path(), &broker).await;
    let answer = mounted.send(Method::POST, "/fin/register", "", "{}").await;
    assert_eq!(
        refusal(&answer),
        (503, "Fin registration is not configured".to_owned())
    );
    mounted.served.stop().await;
}

#[tokio::test]
async fn administrators_see_and_remove_fins_and_a_restart_forgets_none() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    let (one, two) = (mounted.registers("a").await, mounted.registers("b").await);
    mounted.served.stop().await;

    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    until("what is kept to be read", async || {
        mounted.served.fins.list().len() == 2
    })
    .await;
    let kept = std::fs::read_to_string(folder.path().join("fins.json")).unwrap();
    for fin in [&one, &two] {
        assert!(!kept.contains(fin["fin_token"].as_str().unwrap()));
    }
    for path in ["/fin/", "/fin"] {
        let all = value(&mounted.send(Method::GET, path, "", "").await);
        assert_eq!(all["fins"].as_array().unwrap().len(), 2);
        let first = &all["fins"][0];
        assert_eq!(first["display_name"], "a fin");
        assert_eq!(first["stale"], false);
        assert_eq!(first["capabilities"][0]["type"], "a");
        assert_eq!(
            first["capabilities"][0]["step_examples"][0]["type"],
            "action"
        );
        assert!(!all.to_string().contains("token"));
    }
    let path = format!("/fin/{}", one["fin_id"].as_str().unwrap());
    let shown = value(&mounted.send(Method::GET, &path, "", "").await);
    assert_eq!(shown["fin_id"], one["fin_id"]);
    let token = one["fin_token"].as_str().unwrap();
    let waits = mounted.polls(token);
    let removed = mounted.send(Method::DELETE, &path, "", "");
    let (_, removed) = tokio::join!(waits, removed);
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    assert_eq!(mounted.polls(token).await.status, 401);
    for method in [Method::GET, Method::DELETE] {
        let answer = mounted.send(method, &path, "", "").await;
        assert_eq!(refusal(&answer), (404, "Fin not found".to_owned()));
    }
    let token = two["fin_token"].as_str().unwrap();
    let left = mounted.send(Method::DELETE, "/fin/", token, "").await;
    assert_eq!(left.status, 204);
    assert!(mounted.served.fins.list().is_empty());
    mounted.served.stop().await;

    // What was removed is not there after a restart either.
    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    assert_eq!(mounted.polls(token).await.status, 401);
    mounted.served.stop().await;
}

#[tokio::test]
async fn a_file_of_registrations_that_makes_no_sense_is_told_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fins.json");
    std::fs::write(&file, "{ half of it").unwrap();
    let log = Log::new();
    let mounted = Mounted::start(folder.path(), &config(&json!({}))).await;
    let fin = mounted.registers("t").await;
    assert_eq!(
        mounted
            .polls(fin["fin_token"].as_str().unwrap())
            .await
            .status,
        204
    );
    assert!(log.text().contains("can't be read"), "{}", log.text());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{ half of it");
    mounted.served.stop().await;
}

#[tokio::test]
async fn polls_end_when_conche_stops() {
    let folder = tempfile::tempdir().unwrap();
    let long = json!({ "long_poll": "100s", "stale_after": "200s" });
    let mounted = Mounted::start(folder.path(), &config(&long)).await;
    let fin = mounted.registers("t").await;
    let url = format!("http://{}/fin/poll", mounted.address);
    let mut request = Request::new(Method::POST, url);
    let bearer = format!("Bearer {}", fin["fin_token"].as_str().unwrap());
    request
        .headers
        .insert("authorization", bearer.parse().unwrap());
    let egress = mounted.served.cx.egress.clone();
    let before = mounted.served.fins.list()[0].last_seen;
    let stops = async {
        until("the poll to be held", async || {
            mounted.served.fins.list()[0].last_seen > before
        })
        .await;
        mounted.served.supervisor.tasks().stop(Stage::Api).request();
    };
    let (answer, ()) = tokio::join!(egress.request(request), stops);
    assert_eq!(answer.unwrap().status, 204);
}
