//! Who may call what: every route with everything that a caller could show.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use axum::body::Body;
use conche_api::{Access, Authorizer, Caller, Role, routes};
use conche_runtime::clock::Clock as _;
use conche_runtime::listener::Auth;
use conche_runtime::listener::guard::TokenSet;
use conche_store::TokenRow;
use conche_testkit::SimClock;
use http::Method;
use secrecy::SecretString;

use crate::server::{Server, Wanted};

/// What each route needs, and what it answers to who may call it, has no body and names
/// nothing that is there. A new route belongs here, or the test below fails.
#[rustfmt::skip]
const EXPECTED: &[(&str, &str, Access, u16)] = &[
    ("DELETE", "/api/v1/lists/{name}/entries", Access::Operate, 400),
    ("DELETE", "/api/v1/playbooks/{id}",    Access::Define,     404),
    ("DELETE", "/api/v1/reactions/{name}",  Access::Define,     404),
    ("DELETE", "/api/v1/tokens/{id}",       Access::Administer, 404),
    ("DELETE", "/v1/events/{event}/reactions/{name}", Access::Define, 200),
    ("GET",    "/api/v1/approvals",         Access::Read,       200),
    ("GET",    "/api/v1/audit",             Access::Administer, 200),
    ("GET",    "/api/v1/events",            Access::Read,       200),
    ("GET",    "/api/v1/events/{id}",       Access::Read,       404),
    ("GET",    "/api/v1/lists",             Access::Read,       200),
    ("GET",    "/api/v1/lists/{name}/entries", Access::Read,    200),
    ("GET",    "/api/v1/modules",           Access::Read,       200),
    ("GET",    "/api/v1/playbooks",         Access::Read,       200),
    ("GET",    "/api/v1/playbooks-folder",  Access::Read,       200),
    ("GET",    "/api/v1/playbooks/{id}",    Access::Read,       404),
    ("GET",    "/api/v1/playbooks/{id}/versions", Access::Read, 404),
    ("GET",    "/api/v1/reactions",         Access::Read,       200),
    ("GET",    "/api/v1/reactions-folder",  Access::Read,       200),
    ("GET",    "/api/v1/reactions/{name}",  Access::Read,       404),
    ("GET",    "/api/v1/runs",              Access::Read,       200),
    ("GET",    "/api/v1/runs/{id}",         Access::Read,       404),
    ("GET",    "/api/v1/runs/{id}/journal", Access::Read,       404),
    ("GET",    "/api/v1/runs/{id}/tail",    Access::Read,       404),
    ("GET",    "/api/v1/sources",           Access::Read,       200),
    ("GET",    "/api/v1/tail",              Access::Read,       200),
    ("GET",    "/api/v1/tokens",            Access::Administer, 200),
    ("GET",    "/errors/{code}",            Access::Anyone,     404),
    ("GET",    "/healthz",                  Access::Anyone,     200),
    ("GET",    "/metrics",                  Access::Read,       200),
    ("GET",    "/openapi.json",             Access::Read,       200),
    ("GET",    "/readyz",                   Access::Read,       200),
    ("GET",    "/v1/actions",               Access::Read,       200),
    ("GET",    "/v1/events",                Access::Read,       200),
    ("GET",    "/v1/events/{event}/reactions", Access::Read,    200),
    ("GET",    "/v1/events/{event}/reactions/{name}", Access::Read, 404),
    ("GET",    "/v1/reactions",             Access::Read,       200),
    ("GET",    "/version",                  Access::Anyone,     200),
    ("POST",   "/api/v1/events",            Access::Send,       415),
    ("POST",   "/api/v1/playbooks",         Access::Define,     415),
    ("POST",   "/api/v1/playbooks/check",   Access::Read,       415),
    ("POST",   "/api/v1/playbooks/{id}/runs", Access::Operate,  404),
    ("POST",   "/api/v1/reactions/check",   Access::Read,       415),
    ("POST",   "/api/v1/runs/{id}/answers", Access::Approve,    415),
    ("POST",   "/api/v1/runs/{id}/cancel",  Access::Operate,    404),
    ("POST",   "/api/v1/runs/{id}/pause",   Access::Operate,    404),
    ("POST",   "/api/v1/runs/{id}/resume",  Access::Operate,    404),
    ("POST",   "/api/v1/runs/{id}/retry",   Access::Operate,    404),
    ("POST",   "/api/v1/tokens",            Access::Administer, 415),
    ("POST",   "/v1/events/{event}/reactions", Access::Define,  400),
    ("PUT",    "/api/v1/lists/{name}/entries", Access::Operate, 415),
    ("PUT",    "/api/v1/reactions/{name}",  Access::Define,     415),
];

fn token_of(access: Access) -> String {
    format!("token-{access:?}")
}

/// One configured token for each kind of access, and one for all of them.
pub(crate) async fn server() -> Server {
    let mut tokens = TokenSet::new();
    for access in Access::ALL {
        let caller = Caller {
            name: format!("only {access:?}").into(),
            may: BTreeSet::from([access]),
            token: None,
        };
        tokens.insert(&SecretString::from(token_of(access)), caller);
    }
    let all = SecretString::from("token-all".to_owned());
    tokens.insert(&all, Caller::unlimited("all"));
    Server::with(Wanted {
        auth: Authorizer::Tokens(tokens),
        listener: Auth::Token,
        ..Wanted::default()
    })
    .await
}

/// What a caller shows, and what that allows; none where it lets nobody in.
struct Credential {
    name: String,
    token: Option<String>,
    allows: Option<BTreeSet<Access>>,
}

impl Credential {
    fn new(name: &str, token: Option<&str>, allows: Option<BTreeSet<Access>>) -> Self {
        Self {
            name: name.to_owned(),
            token: token.map(str::to_owned),
            allows,
        }
    }

    /// What a route answers that needs this and else answers that.
    fn expected(&self, needed: Access, otherwise: u16) -> u16 {
        match &self.allows {
            _ if needed == Access::Anyone => otherwise,
            None => 401,
            Some(allowed) if allowed.contains(&needed) => otherwise,
            Some(_) => 403,
        }
    }
}

/// Everything that anybody could show: nothing, what is no token, tokens that are over, a
/// stored one of each role, configured ones.
async fn credentials(server: &Server) -> Vec<Credential> {
    fn none(name: &str, token: Option<&str>) -> Credential {
        Credential::new(name, token, None)
    }
    let lookalike = conche_api::generate().unwrap();
    let mut credentials = vec![
        none("nothing", None),
        none("a wrong one", Some("wrong")),
        none("an empty one", Some("")),
        none("two", Some("token-all, x")),
        none("half of one", Some("token-al")),
        none("one of another server", Some(&lookalike)),
    ];
    let now = SimClock::default().now();
    for role in Role::ALL {
        let stored = server.token(role.as_str(), role, |_| {}).await;
        let name = format!("the role {}", role.as_str());
        credentials.push(Credential::new(&name, Some(&stored), Some(role.allows())));
        let damaged = format!("{}x", &stored[..stored.len() - 1]);
        credentials.push(none("a damaged one", Some(&damaged)));
    }
    let expired = |row: &mut TokenRow| row.expires_at = Some(now);
    let token = server.token("expired", Role::Admin, expired).await;
    credentials.push(none("an expired one", Some(&token)));
    let revoked = |row: &mut TokenRow| row.revoked_at = Some(now);
    let token = server.token("revoked", Role::Admin, revoked).await;
    credentials.push(none("a revoked one", Some(&token)));
    let strange = |row: &mut TokenRow| "root".clone_into(&mut row.role);
    let token = server.token("strange", Role::Admin, strange).await;
    let nothing = Some(BTreeSet::new());
    credentials.push(Credential::new("an unknown role", Some(&token), nothing));
    for access in Access::ALL {
        let only = Some(BTreeSet::from([access]));
        let name = format!("only {access:?}");
        credentials.push(Credential::new(&name, Some(&token_of(access)), only));
    }
    let all = Some(Access::ALL.into());
    credentials.push(Credential::new("all", Some("token-all"), all));
    credentials
}

/// The path with something in place of its parameters that is well-formed and not there.
fn filled(path: &str) -> String {
    path.replace("{id}", &uuid::Uuid::now_v7().to_string())
        .replace("{name}", "gone")
        .replace("{event}", "gone")
        .replace("{code}", "gone")
}

async fn status(server: &Server, method: &Method, path: &str, token: Option<&str>) -> u16 {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|value| ("authorization", &**value))
        .collect();
    let answer = server
        .open(method.clone(), path, &headers, Body::empty())
        .await;
    if answer.status() == 401 {
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    }
    answer.status().as_u16()
}

#[test]
fn every_route_has_a_row_here() {
    let mut table: Vec<_> = routes()
        .into_iter()
        .map(|route| (route.method.to_string(), route.path, route.access))
        .collect();
    table.sort();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(method, path, access, _)| ((*method).to_owned(), *path, *access))
        .collect();
    assert_eq!(table, expected);
}

#[tokio::test]
async fn every_route_lets_in_exactly_whom_it_should() {
    let server = server().await;
    let credentials = credentials(&server).await;
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for (method, path, needed, otherwise) in EXPECTED {
        let method: Method = method.parse().unwrap();
        let path = filled(path);
        for credential in &credentials {
            let status = status(&server, &method, &path, credential.token.as_deref()).await;
            let expected = credential.expected(*needed, *otherwise);
            assert_eq!(status, expected, "{method} {path} with {}", credential.name);
            *answers.entry(status).or_default() += 1;
        }
    }
    let refused = [401, 403].map(|status| answers.get(&status).copied().unwrap_or(0));
    // Not by `println!`, which the test harness keeps to itself.
    writeln!(
        std::io::stdout(),
        "torture R19: {} routes × {} callers = {} cells, each answered as it should be: {} times 401, {} times 403",
        EXPECTED.len(),
        credentials.len(),
        answers.values().sum::<usize>(),
        refused[0],
        refused[1],
    )
    .unwrap();
}

#[tokio::test]
async fn nothing_but_a_bearer_token_counts() {
    let server = server().await;
    for headers in [
        vec![("authorization", "token-all")],
        vec![("authorization", "Basic token-all")],
        vec![
            ("authorization", "Bearer token-all"),
            ("authorization", "Bearer token-all"),
        ],
        vec![("cookie", "token=token-all")],
        vec![("x-api-key", "token-all")],
    ] {
        let answer = server
            .call(Method::GET, "/api/v1/runs", &headers, Body::empty())
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (401, "unauthorized"),
            "{headers:?}"
        );
        assert!(!answer.text.contains("token-all"), "{}", answer.text);
    }
    let answer = server.get("/api/v1/runs?token=token-all").await;
    assert_eq!(answer.status, 401);
    // Odd spellings of a path are other paths, never the same route without its check.
    for path in [
        "/api/v1/runs/",
        "//api/v1/runs",
        "/api/v1//runs",
        "/API/v1/runs",
        "/healthz/../api/v1/runs",
        "/api/v1/runs;/healthz",
        "/api/v1/runs%2fhealthz",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "unknown-path"),
            "{path}"
        );
    }
    // A path that only looks like an open one is still the route that it matches.
    let answer = server.get("/api/v1/reactions/healthz").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn who_acts_is_recorded_by_the_name_of_the_token() {
    let server = server().await;
    let headers = [
        ("authorization", "Bearer token-all"),
        ("content-type", "application/json"),
    ];
    let reaction = r#"{"name":"r","event":"e","script":"next a {}","actions":{"a":{"module":"test","action":"unsafe"}}}"#;
    let put = server
        .call(Method::PUT, "/api/v1/reactions/r", &headers, reaction)
        .await;
    assert_eq!(put.status, 201);
    server
        .actions
        .plan("unsafe", [conche_testkit::Behaviour::Hang]);
    let event = server
        .call(Method::POST, "/api/v1/events", &headers, r#"{"type":"e"}"#)
        .await
        .ok(202);
    server.actions.called(1).await;
    let path = format!("/api/v1/events/{}", event["event_id"].as_str().unwrap());
    let shown = server
        .call(Method::GET, &path, &headers, Body::empty())
        .await
        .ok(200);
    let run = shown["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let cancel = format!("/api/v1/runs/{run}/cancel");
    server
        .call(Method::POST, &cancel, &headers, "{}")
        .await
        .ok(202);
    let journal = format!("/api/v1/runs/{run}/journal");
    conche_testkit::until("the cancellation to be recorded", || async {
        let journal = server
            .call(Method::GET, &journal, &headers, Body::empty())
            .await;
        journal
            .text
            .contains(r#""cancel_requested":{"by":"all""#)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_open_listener_on_loopback_refuses_web_pages() {
    let server = Server::start().await;
    for (headers, code) in [
        (vec![("host", "evil.example")], "host-refused"),
        (vec![("origin", "https://evil.example")], "origin-refused"),
    ] {
        let answer = server
            .call(Method::GET, "/api/v1/runs", &headers, Body::empty())
            .await;
        assert_eq!(answer.code(), code);
    }
}
