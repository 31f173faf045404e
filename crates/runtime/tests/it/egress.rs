//! Refused destinations, and what is known after each kind of failure.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    extract::Request as Incoming,
    http::{HeaderMap, Response as Answer},
    response::Redirect,
    routing::{any, get},
};
use conche_runtime::{
    egress::{Egress, EgressConfig, Error, Request, Resolve, Scope},
    listener::ListenerLimits,
    units::{Size, Span},
};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::peers::{Served, plain, serve, soon};

/// Answers every name with the next of these sets of addresses; the last stays.
#[derive(Debug)]
struct Zone(Mutex<Vec<Vec<IpAddr>>>);

#[async_trait]
impl Resolve for Zone {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        Ok(if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        })
    }
}

fn allowing(rules: &[&str]) -> EgressConfig {
    EgressConfig {
        allow: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..EgressConfig::default()
    }
}

fn local() -> Egress {
    Egress::new(&allowing(&["127.0.0.1"])).unwrap()
}

fn resolving(config: &EgressConfig, answers: &[&[&str]]) -> Egress {
    let answers = answers
        .iter()
        .map(|set| set.iter().map(|address| address.parse().unwrap()).collect())
        .collect();
    Egress::with_resolver(config, Arc::new(Zone(Mutex::new(answers)))).unwrap()
}

/// A server that hands each connection to the test.
async fn raw_server() -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let supervisor = conche_runtime::supervisor::Supervisor::new();
    supervisor.tasks().detach(
        "raw server",
        conche_runtime::supervisor::Stage::Api,
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        },
    );
    (address, receiver)
}

/// Reads one request up to the end of its headers and `body`.
async fn read_request(stream: &mut TcpStream, body: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with(&format!("\r\n\r\n{body}")) {
        read.push(soon(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn literal_addresses_are_refused_however_they_are_written() {
    let egress = Egress::new(&EgressConfig::default()).unwrap();
    let table = [
        ("http://127.0.0.1:1/", Scope::Loopback),
        ("http://localhost:1/", Scope::Loopback),
        ("http://[::1]:1/", Scope::Loopback),
        ("http://2130706433:1/", Scope::Loopback),
        ("http://0x7f000001:1/", Scope::Loopback),
        ("http://0177.0.0.1:1/", Scope::Loopback),
        ("http://127.1:1/", Scope::Loopback),
        ("http://[::ffff:127.0.0.1]:1/", Scope::Loopback),
        ("http://[::ffff:7f00:1]:1/", Scope::Loopback),
        ("http://[64:ff9b::7f00:1]:1/", Scope::Loopback),
        ("http://[2002:7f00:1::]:1/", Scope::Loopback),
        ("http://１２７.0.0.1:1/", Scope::Loopback),
        ("http://10.0.0.1:1/", Scope::Private),
        ("http://100.64.0.1:1/", Scope::Private),
        ("http://[fd00::1]:1/", Scope::Private),
        ("http://169.254.169.254/latest/meta-data/", Scope::LinkLocal),
        ("http://[fd00:ec2::254]/", Scope::Metadata),
        ("http://0.0.0.0:1/", Scope::Reserved),
        ("http://0:1/", Scope::Reserved),
        ("http://[::]:1/", Scope::Reserved),
        ("http://224.0.0.1:1/", Scope::Multicast),
    ];
    for (url, expected) in table {
        let error = soon(egress.request(Request::get(url))).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { scope, .. } if scope == expected),
            "{url}: {error}"
        );
        assert!(!error.may_be_delivered());
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_with_both_named() {
    let egress = resolving(&EgressConfig::default(), &[&["10.1.2.3", "127.0.0.1"]]);
    let error = soon(egress.request(Request::get("http://api.test:8080/")))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "egress to api.test is refused: 10.1.2.3:8080 is a private address; an `allow` entry under `egress:` opens it"
    );
}

#[tokio::test]
async fn only_the_allowed_addresses_of_a_name_are_connected_to() {
    let served = hello().await;
    let rule = served.address.to_string();
    let egress = resolving(
        &allowing(&[&rule]),
        &[&["169.254.169.254", "127.0.0.2", "127.0.0.1"]],
    );
    let addresses = egress
        .resolve_and_check("api.test", served.address.port())
        .await
        .unwrap();
    assert_eq!(addresses, [served.address]);
    let url = format!("http://api.test:{}/", served.address.port());
    assert_eq!(
        soon(egress.request(Request::get(url))).await.unwrap().body,
        "hello"
    );
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_at_each_connection() {
    let served = hello().await;
    let rule = served.address.to_string();
    let url = format!("http://api.test:{}/", served.address.port());
    let egress = resolving(&allowing(&[&rule]), &[&["127.0.0.1"], &["127.0.0.2"]]);
    let close = || {
        let mut request = Request::get(&url);
        request
            .headers
            .insert("x-close", HeaderValue::from_static("1"));
        request
    };
    assert!(soon(egress.request(close())).await.is_ok());
    let error = soon(egress.request(close())).await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { address, .. } if address.ip().to_string() == "127.0.0.2"),
        "{error}"
    );
}

/// Answers `hello`, and closes the connection where the request asks for it.
async fn hello() -> Served {
    let route = any(|headers: HeaderMap| async move {
        let mut answer = Answer::new("hello".to_owned());
        if headers.contains_key("x-close") {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    });
    serve(
        plain(ListenerLimits::default()),
        Router::new().route("/", route),
    )
    .await
}

#[tokio::test]
async fn invalid_requests_are_told_apart_and_not_sent() {
    let egress = local();
    for url in [
        "",
        "/path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://user@127.0.0.1/",
        "http://:pw@127.0.0.1/",
        "http://",
    ] {
        let error = soon(egress.request(Request::get(url))).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{url}: {error}");
    }
    let mut request = Request::get("http://127.0.0.1:1/");
    request
        .headers
        .insert(header::HOST, HeaderValue::from_static("other.test"));
    assert!(matches!(
        egress.request(request).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_mean_not_sent() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = soon(local().request(Request::post(format!("http://{closed}/"), "x")))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    let nowhere = resolving(&EgressConfig::default(), &[&[]]);
    let error = soon(nowhere.request(Request::get("http://api.test/")))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_is_resolved_too_slowly_means_not_sent_whichever_limit_is_shorter() {
    #[derive(Debug)]
    struct Deaf;
    #[async_trait]
    impl Resolve for Deaf {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            std::future::pending().await
        }
    }
    for (connect, total) in [(50, 60_000), (60_000, 50)] {
        let config = EgressConfig {
            connect_timeout: Span::from_millis(connect),
            timeout: Span::from_millis(total),
            ..EgressConfig::default()
        };
        let egress = Egress::with_resolver(&config, Arc::new(Deaf)).unwrap();
        let error = soon(egress.request(Request::post("http://api.test/", "x")))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_it_uncertain() {
    let (address, mut connections) = raw_server().await;
    let mut request = Request::post(format!("http://{address}/"), "work");
    request.timeout = Some(Duration::from_millis(300));
    let egress = local();
    let (answer, _held) = tokio::join!(soon(egress.request(request)), async {
        let mut stream = soon(connections.recv()).await.unwrap();
        read_request(&mut stream, "work").await;
        stream
    });
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Uncertain { .. }), "{error}");
    assert!(error.may_be_delivered());
}

#[tokio::test]
async fn a_server_that_closes_after_reading_leaves_it_uncertain_and_is_not_asked_again() {
    let (address, mut connections) = raw_server().await;
    let egress = local();
    let request = Request::post(format!("http://{address}/"), "work");
    let (answer, ()) = tokio::join!(soon(egress.request(request)), async {
        let mut stream = soon(connections.recv()).await.unwrap();
        read_request(&mut stream, "work").await;
    });
    assert!(matches!(answer, Err(Error::Uncertain { .. })), "{answer:?}");
    assert!(connections.try_recv().is_err(), "the request was sent once");
}

#[tokio::test]
async fn requests_of_one_connection_go_by_it_until_it_has_ended() {
    let (address, mut connections) = raw_server().await;
    let url = format!("http://{address}/a?b");
    let mut connection = soon(local().open(&url)).await.unwrap();
    let mut peer = soon(connections.recv()).await.unwrap();
    for (body, end) in [("1", ""), ("2", "connection: close\r\n")] {
        let request = connection.request(Request::post(&url, body));
        let (answer, ()) = tokio::join!(soon(request), async {
            read_request(&mut peer, body).await;
            let answer = format!("HTTP/1.1 401 No\r\n{end}content-length: 1\r\n\r\n{body}");
            peer.write_all(answer.as_bytes()).await.unwrap();
        });
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::UNAUTHORIZED, body.as_bytes())
        );
    }
    // The server has said that there is nothing more.
    let ended = soon(connection.request(Request::post(&url, "3"))).await;
    assert!(matches!(ended, Err(Error::NotSent { .. })), "{ended:?}");
    let other = soon(connection.request(Request::get("http://127.0.0.1:1/"))).await;
    assert!(matches!(other, Err(Error::Invalid(_))), "{other:?}");
    assert!(connections.try_recv().is_err(), "there was one connection");
    let shut = Egress::new(&EgressConfig::default()).unwrap();
    let refused = soon(shut.open(&url)).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_connection_on_which_an_answer_is_owed_is_not_used_again() {
    let (address, mut connections) = raw_server().await;
    let url = format!("http://{address}/");
    let mut connection = soon(local().open(&url)).await.unwrap();
    let mut peer = soon(connections.recv()).await.unwrap();
    let mut request = Request::post(&url, "work");
    request.timeout = Some(Duration::from_millis(200));
    let (answer, ()) = tokio::join!(soon(connection.request(request)), async {
        read_request(&mut peer, "work").await;
    });
    assert!(matches!(answer, Err(Error::Uncertain { .. })), "{answer:?}");
    let late = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    peer.write_all(late).await.unwrap();
    let again = soon(connection.request(Request::post(&url, "more"))).await;
    assert!(matches!(again, Err(Error::NotSent { .. })), "{again:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_stalls_leaves_it_uncertain() {
    for stalls in [false, true] {
        let (address, mut connections) = raw_server().await;
        let mut request = Request::post(format!("http://{address}/"), "work");
        request.timeout = Some(Duration::from_millis(500));
        let egress = local();
        let (answer, _held) = tokio::join!(soon(egress.request(request)), async {
            let mut stream = soon(connections.recv()).await.unwrap();
            read_request(&mut stream, "work").await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                .await
                .unwrap();
            stalls.then_some(stream)
        });
        assert!(matches!(answer, Err(Error::Uncertain { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_with_and_without_its_length() {
    for head in ["content-length: 5000000000\r\n", "connection: close\r\n"] {
        let (address, mut connections) = raw_server().await;
        let mut request = Request::get(format!("http://{address}/"));
        request.max_response = Some(Size::from_kib(64));
        let egress = local();
        let sent = AtomicUsize::new(0);
        let (answer, ()) = tokio::join!(soon(egress.request(request)), async {
            let mut stream = soon(connections.recv()).await.unwrap();
            read_request(&mut stream, "").await;
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())
                .await
                .unwrap();
            // It ends because the client hangs up.
            while soon(stream.write_all(&[b'x'; 16 << 10])).await.is_ok() {
                sent.fetch_add(16 << 10, Ordering::Relaxed);
            }
        });
        let error = answer.unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    status: StatusCode::OK,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.may_be_delivered());
        assert!(sent.load(Ordering::Relaxed) < 64 << 20);
    }
}

#[tokio::test]
async fn compressed_answers_stay_as_they_are() {
    let route = get(|| async { ([(header::CONTENT_ENCODING, "gzip")], vec![0x1f, 0x8b, 0x08]) });
    let served = serve(
        plain(ListenerLimits::default()),
        Router::new().route("/", route),
    )
    .await;
    let response = soon(local().request(Request::get(format!("http://{}/", served.address))))
        .await
        .unwrap();
    assert_eq!(*response.body, [0x1f, 0x8b, 0x08]);
}

#[tokio::test]
async fn framing_headers_of_the_caller_are_not_sent() {
    let route = any(|request: Incoming| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 100).await.unwrap();
        format!(
            "{} {:?} {:?}",
            body.len(),
            parts.headers.get("content-length"),
            parts.headers.get("x-kept")
        )
    });
    let served = serve(
        plain(ListenerLimits::default()),
        Router::new().route("/", route),
    )
    .await;
    let mut request = Request::post(format!("http://{}/", served.address), "12345");
    for (name, value) in [
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-kept"),
        ("x-kept", "yes"),
    ] {
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
    }
    let response = soon(local().request(request)).await.unwrap();
    assert_eq!(response.body, "5 Some(\"5\") Some(\"yes\")");
}

#[tokio::test]
async fn redirects_are_answers_unless_they_are_turned_on() {
    let served = serve(plain(ListenerLimits::default()), redirecting("/end")).await;
    let url = format!("http://{}/start", served.address);
    let response = soon(local().request(Request::get(&url))).await.unwrap();
    assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);

    let following = Egress::new(&EgressConfig {
        redirects: 1,
        ..allowing(&["127.0.0.1"])
    })
    .unwrap();
    let response = soon(following.request(Request::get(&url))).await.unwrap();
    assert_eq!(
        (response.status, &*response.body),
        (StatusCode::OK, &b"none"[..])
    );
    let response = soon(following.request(Request::post(&url, "x")))
        .await
        .unwrap();
    assert_eq!(
        response.status,
        StatusCode::TEMPORARY_REDIRECT,
        "only GET and HEAD are followed"
    );
}

fn redirecting(target: &str) -> Router {
    let target = target.to_owned();
    let key = any(|headers: HeaderMap| async move {
        let key = headers.get("x-key").and_then(|key| key.to_str().ok());
        key.unwrap_or("none").to_owned()
    });
    Router::new()
        .route(
            "/start",
            any(move || async move { Redirect::temporary(&target) }),
        )
        .route("/end", key)
}

#[tokio::test]
async fn each_hop_is_checked_and_credentials_stay_with_their_origin() {
    let other = serve(plain(ListenerLimits::default()), redirecting("")).await;
    let foreign = format!("http://{}/end", other.address);
    let config = EgressConfig {
        redirects: 5,
        ..allowing(&["127.0.0.1"])
    };
    for (target, expected) in [("/end", "secret"), (&*foreign, "none")] {
        let served = serve(plain(ListenerLimits::default()), redirecting(target)).await;
        let mut request = Request::new(Method::GET, format!("http://{}/start", served.address));
        request
            .headers
            .insert("x-key", HeaderValue::from_static("secret"));
        let response = soon(Egress::new(&config).unwrap().request(request))
            .await
            .unwrap();
        assert_eq!(response.body, expected);
    }
    for (target, refused) in [
        ("http://127.0.0.2:1/", true),
        ("http://[::ffff:10.0.0.1]/", true),
        ("file:///etc/passwd", false),
    ] {
        let served = serve(plain(ListenerLimits::default()), redirecting(target)).await;
        let request = Request::get(format!("http://{}/start", served.address));
        let error = soon(Egress::new(&config).unwrap().request(request))
            .await
            .unwrap_err();
        assert_eq!(matches!(error, Error::Refused { .. }), refused, "{error}");
        assert_eq!(matches!(error, Error::Invalid(_)), !refused, "{error}");
    }
}

#[tokio::test]
async fn errors_and_debug_output_hold_no_secret_of_the_request() {
    let mut request = Request::post(
        "http://127.0.0.1:1/path-secret?key=query-secret",
        "body-secret",
    );
    request
        .headers
        .insert("x-key", HeaderValue::from_static("header-secret"));
    let shown = format!("{request:?}");
    let error = soon(local().request(request)).await.unwrap_err();
    assert!(!format!("{shown} {error} {error:?}").contains("secret"));
}

#[test]
fn the_configuration_refuses_unknown_keys_and_bad_rules() {
    let read = |text| serde_json::from_str::<EgressConfig>(text);
    assert_eq!(
        read(r#"{"allow":["10.0.0.0/8"],"timeout":"5s"}"#)
            .unwrap()
            .timeout,
        Span::from_secs(5)
    );
    assert!(read(r#"{"alow":[]}"#).is_err());
    let error = read(r#"{"allow":["10.0.0"]}"#).unwrap_err().to_string();
    assert!(error.contains("*.svc.cluster.local"), "{error}");
}
