//! Slow, greedy and impolite peers against a listener, and how it stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::Response,
    routing::{get, post},
};
use conche_runtime::{
    listener::{Auth, Error, Listener, ListenerConfig, ListenerLimits, Peer, Problem},
    supervisor::{Stage, Stop},
    units::{Size, Span},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use crate::peers::{Served, Wire, plain, serve, soon};

const HELLO: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Limits short enough to wait for.
fn short() -> ListenerLimits {
    ListenerLimits {
        header_read: Span::from_millis(300),
        body_read: Span::from_millis(1_000),
        body_idle: Span::from_millis(400),
        write_idle: Span::from_millis(500),
        request: Span::from_millis(2_000),
        keep_alive: Span::from_millis(5_000),
        ..ListenerLimits::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/deaf", post(|| async { "unread" }))
        .route("/panic", get(panics))
        .route("/never", get(std::future::pending::<&str>))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { peer.address.to_string() }),
        )
}

async fn panics() -> &'static str {
    panic!("of a route")
}

async fn start(limits: ListenerLimits) -> Served {
    serve(plain(limits), router()).await
}

async fn exchange(served: &Served, request: &str) -> String {
    let mut wire = served.connect().await;
    wire.send(request).await;
    wire.rest().await
}

/// How long until the peer is closed, in milliseconds.
async fn time_to_close(mut wire: Wire) -> u128 {
    let began = Instant::now();
    wire.rest().await;
    began.elapsed().as_millis()
}

#[tokio::test]
async fn a_route_is_answered_and_knows_its_peer() {
    let served = start(short()).await;
    let mut wire = served.connect().await;
    let own = wire.0.local_addr().unwrap().to_string();
    wire.send("GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = wire.until(&own).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn silence_and_half_sent_headers_are_cut_off() {
    let served = start(short()).await;
    let silent = served.connect().await;
    let mut half = served.connect().await;
    half.send("GET / HTTP/1.1\r\nhost: loc").await;
    let (silent, half) = tokio::join!(time_to_close(silent), time_to_close(half));
    assert!((250..4_000).contains(&silent), "{silent} ms");
    assert!((250..4_000).contains(&half), "{half} ms");
}

#[tokio::test]
async fn headers_that_drip_are_cut_off_by_their_total_time() {
    let served = start(short()).await;
    let mut wire = served.connect().await;
    wire.send("GET / HTTP/1.1\r\nx: ").await;
    let began = Instant::now();
    let mut drip = tokio::time::interval(Duration::from_millis(20));
    soon(async {
        while !wire.is_closed() {
            drip.tick().await;
            wire.0.try_write(b"x").ok();
        }
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_second_half_sent_request_is_cut_before_the_keep_alive_ends() {
    let served = start(short()).await;
    let mut idle = served.connect().await;
    let mut half = served.connect().await;
    for wire in [&mut idle, &mut half] {
        wire.send(HELLO).await;
        wire.until("hello").await;
    }
    half.send("GET").await;
    let (idle, half) = tokio::join!(time_to_close(idle), time_to_close(half));
    assert!((250..4_000).contains(&half), "{half} ms");
    assert!((4_500..15_000).contains(&idle), "{idle} ms");
}

#[tokio::test]
async fn pipelined_requests_are_all_answered() {
    let served = start(short()).await;
    let last = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&served, &[HELLO, HELLO, last].concat()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_its_length_and_by_its_chunks() {
    let limits = ListenerLimits {
        body_bytes: Size::from_bytes(10),
        ..short()
    };
    let served = start(limits).await;
    let fits = exchange(&served, "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n0123456789").await;
    assert!(fits.ends_with("10"), "{fits}");
    let chunks = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    let length = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n";
    for request in [chunks, length] {
        let answer = exchange(&served, request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains(r#""code":"body-too-large""#), "{answer}");
    }
}

#[tokio::test]
async fn a_peer_that_sends_its_whole_body_first_still_reads_why_it_was_refused() {
    let limits = ListenerLimits {
        body_bytes: Size::from_kib(64),
        ..ListenerLimits::default()
    };
    let served = start(limits).await;
    let body = "x".repeat(8 << 20);
    let length = format!("content-length: {}", body.len());
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let table = [
        ("/length", &*length, &body, "HTTP/1.1 413 "),
        (
            "/length",
            "transfer-encoding: chunked",
            &chunk,
            "HTTP/1.1 413 ",
        ),
        (
            "/absent",
            "transfer-encoding: chunked",
            &chunk,
            "HTTP/1.1 404 ",
        ),
    ];
    for (path, framing, body, expected) in table {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
        let answer = exchange(&served, &[&*head, body].concat()).await;
        assert!(answer.starts_with(expected), "{path} {framing}: {answer}");
    }
}

#[tokio::test]
async fn a_body_larger_than_the_frameworks_default_passes_when_the_limit_allows() {
    let limits = ListenerLimits {
        body_bytes: Size::from_mib(4),
        ..ListenerLimits::default()
    };
    let served = start(limits).await;
    let head =
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3145728\r\n\r\n";
    let answer = exchange(&served, &[head, &"x".repeat(3 << 20)].concat()).await;
    assert!(answer.ends_with("3145728"), "{answer}");
}

#[tokio::test]
async fn headers_over_the_limit_are_431() {
    let served = start(short()).await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    let answer = exchange(&served, &request).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_408() {
    let served = start(short()).await;
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nsome";
    let stopped = exchange(&served, head).await;
    assert!(stopped.starts_with("HTTP/1.1 408 "), "{stopped}");
    assert!(stopped.contains(r#""code":"body-too-slow""#), "{stopped}");

    let Wire(stream) = served.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    let mut drip = tokio::time::interval(Duration::from_millis(50));
    let dripping = async {
        let mut next = head.as_bytes();
        while tokio::io::AsyncWriteExt::write_all(&mut writer, next)
            .await
            .is_ok()
        {
            next = b"x";
            drip.tick().await;
        }
    };
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer);
    // The reading may end with a reset, since the writing goes on.
    drop(soon(async { tokio::join!(reading, dripping) }).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_no_route_reads_does_not_hold_the_connection() {
    let served = start(short()).await;
    let answer = exchange(
        &served,
        "POST /deaf HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nsome",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let served = start(short()).await;
    let tasks = served.supervisor.tasks();
    let mut wire = served.connect().await;
    wire.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    wire.until("\r\n\r\n").await;
    soon(async {
        // Only the accept loop is left once the connection is cut.
        while tasks.alive() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(wire.rest().await.len() < 64 << 20);
}

#[tokio::test]
async fn an_answer_that_is_taken_arrives_whole() {
    let served = start(short()).await;
    let answer = exchange(
        &served,
        "GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 64 << 20);
}

#[tokio::test]
async fn a_stream_that_waits_for_news_is_not_cut_off() {
    let news = Arc::new(Notify::new());
    let waits = Arc::clone(&news);
    let stream = move || {
        let news = Arc::clone(&waits);
        async move {
            let pieces = futures_util::stream::unfold(0, move |count| {
                let news = Arc::clone(&news);
                async move {
                    if count == 1 {
                        news.notified().await;
                    }
                    (count < 2).then(|| {
                        (
                            Ok::<_, std::io::Error>(format!("piece {count};")),
                            count + 1,
                        )
                    })
                }
            });
            Response::new(Body::from_stream(pieces))
        }
    };
    let served = serve(plain(short()), Router::new().route("/", get(stream))).await;
    let mut wire = served.connect().await;
    wire.send(HELLO).await;
    wire.until("piece 0;").await;
    // Longer than every limit of `short`: a second connection measures it.
    time_to_close(served.connect().await).await;
    let mut idle = served.connect().await;
    idle.send("GET /absent HTTP/1.1\r\nhost: x\r\n\r\n").await;
    time_to_close(idle).await;
    news.notify_one();
    wire.until("piece 1;").await;
}

#[tokio::test]
async fn a_route_without_an_answer_is_503_and_a_panic_is_500() {
    let served = start(short()).await;
    let answer = exchange(&served, "GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("within 2s"), "{answer}");
    let answer = exchange(&served, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(!answer.contains("of a route"), "{answer}");
}

#[tokio::test]
async fn problems_are_rendered_as_the_api_wants_them() {
    fn render(problem: &Problem) -> axum::response::Response {
        Response::new(format!("own {}", problem.code).into())
    }
    let supervisor = conche_runtime::supervisor::Supervisor::new();
    let limits = ListenerLimits {
        body_bytes: Size::from_bytes(1),
        ..short()
    };
    let listener = Listener::bind("test", plain(limits))
        .await
        .unwrap()
        .render(render);
    let address = listener.local_addr();
    listener.serve(router(), &supervisor.tasks(), Stage::Api);
    let served = Served {
        address,
        supervisor,
    };
    let answer = exchange(
        &served,
        "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab",
    )
    .await;
    assert!(answer.ends_with("own body-too-large"), "{answer}");
}

#[tokio::test]
async fn connections_over_the_cap_are_refused_and_the_listener_goes_on() {
    let limits = ListenerLimits {
        connections: 20,
        ..short()
    };
    let served = start(limits).await;
    let mut wires = Vec::new();
    for _ in 0..220 {
        wires.push(served.connect().await);
    }
    let refused = soon(async {
        loop {
            let closed = wires.iter().filter(|wire| wire.is_closed()).count();
            if closed >= 200 {
                return closed;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(refused <= 220);
    drop(wires);
    soon(async {
        while !exchange(&served, "GET / HTTP/1.0\r\nhost: x\r\n\r\n")
            .await
            .ends_with("hello")
        {}
    })
    .await;
}

#[tokio::test]
async fn at_the_cap_an_idle_connection_makes_room() {
    let limits = ListenerLimits {
        connections: 2,
        keep_alive: Span::from_secs(60),
        ..ListenerLimits::default()
    };
    let served = start(limits).await;
    let mut wires = [served.connect().await, served.connect().await];
    for wire in &mut wires {
        wire.send(HELLO).await;
        wire.until("hello").await;
    }
    let answer = exchange(&served, "GET / HTTP/1.0\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(wires[0].rest().await, "", "the longest idle one was closed");
}

#[tokio::test]
async fn one_peer_can_not_take_all_connections() {
    let limits = ListenerLimits {
        connections_per_ip: 1,
        ..ListenerLimits::default()
    };
    let served = start(limits).await;
    let mut first = served.connect().await;
    first.send(HELLO).await;
    first.until("hello").await;
    assert_eq!(served.connect().await.rest().await, "");
    first.send(HELLO).await;
    first.until("hello").await;
}

#[tokio::test]
async fn hundreds_of_slow_peers_do_not_keep_others_from_being_answered() {
    let served = start(short()).await;
    let mut slow = Vec::new();
    for index in 0..400 {
        let mut wire = served.connect().await;
        wire.send(if index % 2 == 0 {
            "GET / HTTP/1.1\r\nhost: lo"
        } else {
            "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nsome"
        })
        .await;
        slow.push(wire);
    }
    soon(async {
        while !slow.iter().all(Wire::is_closed) {
            let answer = exchange(&served, "GET / HTTP/1.0\r\nhost: x\r\n\r\n").await;
            assert!(answer.ends_with("hello"), "{answer}");
        }
    })
    .await;
    let tasks = served.supervisor.tasks();
    soon(async {
        while tasks.alive() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A route that says when it was entered and answers when it is let.
fn gate() -> (Router, Arc<Notify>, Arc<Semaphore>) {
    let entered = Arc::new(Notify::new());
    let open = Arc::new(Semaphore::new(0));
    let (inside, opened) = (Arc::clone(&entered), Arc::clone(&open));
    let route = get(move || async move {
        inside.notify_one();
        opened.acquire().await.unwrap().forget();
        "finished"
    });
    (Router::new().route("/", route), entered, open)
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (router, entered, open) = gate();
    let served = serve(plain(ListenerLimits::default()), router).await;
    let address = served.address;
    let mut busy = served.connect().await;
    busy.send(HELLO).await;
    soon(entered.notified()).await;
    let mut silent = served.connect().await;
    let api = served.supervisor.tasks().stop(Stage::Api);
    let (report, answer) = tokio::join!(served.shutdown(10), async {
        api.requested().await;
        soon(async {
            // The socket closes once the accept loop has seen the stop.
            while tokio::net::TcpStream::connect(address).await.is_ok() {}
        })
        .await;
        silent.rest().await;
        open.add_permits(1);
        busy.rest().await
    });
    assert!(answer.ends_with("finished"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(report.stragglers, []);
}

#[tokio::test]
async fn stopping_names_the_connections_that_do_not_end() {
    let (router, entered, _open) = gate();
    let served = serve(plain(ListenerLimits::default()), router).await;
    let mut busy = served.connect().await;
    let name = format!("test connection from {}", busy.0.local_addr().unwrap());
    busy.send(HELLO).await;
    soon(entered.notified()).await;
    let report = served.shutdown(1).await;
    let tasks: Vec<_> = report
        .stragglers
        .iter()
        .map(|straggler| &*straggler.task)
        .collect();
    assert_eq!(tasks, ["listener test", &*name]);
    assert_eq!(busy.rest().await, "");
}

#[tokio::test]
async fn a_loopback_open_listener_is_guarded_by_itself() {
    let config = ListenerConfig {
        auth: Auth::LoopbackOpen,
        ..plain(short())
    };
    let served = serve(config, router()).await;
    let foreign = exchange(&served, "GET / HTTP/1.0\r\nhost: evil.test\r\n\r\n").await;
    assert!(foreign.starts_with("HTTP/1.0 421 "), "{foreign}");
    let own = exchange(&served, "GET / HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    assert!(own.ends_with("hello"), "{own}");
}

#[tokio::test]
async fn an_open_listener_on_the_network_starts_only_if_the_configuration_says_so() {
    for auth in [Auth::None, Auth::LoopbackOpen] {
        let mut config = ListenerConfig {
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
            auth,
            ..ListenerConfig::default()
        };
        let error = Listener::bind("api", config.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }));
        assert!(
            error
                .to_string()
                .contains("\n  allow_unauthenticated: true"),
            "{error}"
        );
        config.allow_unauthenticated = true;
        assert!(Listener::bind("api", config).await.is_ok());
    }
    let off = Listener::bind("api", ListenerConfig::default()).await;
    assert!(matches!(off, Err(Error::Off { name }) if name == "api"));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = Listener::bind("one", plain(short())).await.unwrap();
    let config = ListenerConfig {
        listen: Some(first.local_addr()),
        ..plain(short())
    };
    let error = Listener::bind("two", config).await.unwrap_err().to_string();
    assert!(
        error.contains("`two`") && error.contains(&first.local_addr().to_string()),
        "{error}"
    );
}

#[test]
fn the_configuration_reads_units_and_refuses_unknown_keys() {
    let text = r#"{"listen":"127.0.0.1:8888","auth":"loopback-open","limits":{"body_bytes":"2MiB","header_read":"3s"}}"#;
    let config: ListenerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.auth, Auth::LoopbackOpen);
    assert_eq!(config.limits.body_bytes, Size::from_mib(2));
    assert_eq!(
        config.limits.connections,
        ListenerLimits::default().connections
    );
    assert!(serde_json::from_str::<ListenerConfig>(r#"{"lisen":"127.0.0.1:1"}"#).is_err());
    assert!(serde_json::from_str::<ListenerConfig>(r#"{"limits":{"body":"1MiB"}}"#).is_err());
    assert!(!Stop::new().is_requested());
}
