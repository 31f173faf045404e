//! B7: how long an API server waits for the answer to a review, alone and while the engine
//! takes in four fifths of what it can.
//!
//! Open loop over kept connections, with the real source and the real action. Most images were
//! decided before, as in a cluster; one review in a hundred asks about a new one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::reaction::{Authored, Format};
use conche_modules::{BuildContext, actions, sources};
use conche_runtime::clock::SystemClock;
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::secrets::Secrets;
use conche_store::sqlite::SqliteConfig;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::client::exchange;
use super::latency::{ended, send};
use super::pace::Pace;
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Latencies, Windows, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B7"],
    summary: "admission reviews, alone and beside ingest",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Reviews a second.
const RATE: f64 = 1000.0;
/// Connections of the API server.
const CONNECTIONS: usize = 64;
/// Images that were decided before.
const KNOWN: u32 = 100;
/// One review in so many asks about a new image.
const NEW: u32 = 100;
/// Of what the engine can do, so much comes in meanwhile.
const SHARE: f64 = 0.8;
/// Lets everything in.
const REACTION: &str = "
name: admit
event: k8s_image_validation_request
script: |
  nextAction = 'answer'; result = { uuid: event.uuid, validate: true }
actions: { answer: { module: k8s_imagevalidate, action: validate_image } }
";
const OK: &[u8] = b"HTTP/1.1 200";

/// Latencies of a window.
#[derive(Default)]
struct Window {
    known: Option<Latencies>,
    new: Option<Latencies>,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let (stand, address) = start(bench).await?;
    let (most, _) = stand.saturate(bench.window()).await?;
    let ingest = most.done_per_second() * SHARE;
    for n in 0..KNOWN {
        let mut stream = connect(address).await?;
        ask(&mut stream, address, n, &mut Vec::new()).await?;
    }
    let windows = bench
        .interleave(
            async |window| {
                let both = tokio::try_join!(reviews(address, window), send(&stand, ingest, window));
                let (window, sent) = both?;
                ended(&stand, sent.len() as u32).await?;
                Ok(window)
            },
            async |window| reviews(address, window).await,
        )
        .await?;
    stand.stop().await?;
    Ok(vec![row(bench, &windows, ingest)])
}

fn row(bench: &Bench, windows: &Windows<Window>, ingest: f64) -> Row {
    let p99 = |window: &Window| window.known.as_ref().map_or(f64::NAN, |all| all.ms(0.99));
    let ratio = windows.ratios(p99);
    let alone = windows.of_b(p99).map_or(f64::NAN, |spread| spread.median);
    let goals = [
        Goal::at_most(10.0, "ms at p99 alone", alone),
        Goal::at_most(3.0, "×", ratio.map_or(f64::NAN, |ratio| ratio.median)),
    ];
    let words = |window: Option<&Window>| {
        let pair = |name: &str, all: Option<&Latencies>| {
            all.map_or_else(String::new, |all| {
                let (p50, p99) = (figure(all.ms(0.5)), figure(all.ms(0.99)));
                format!("{name} p50 {p50} ms, p99 {p99} ms")
            })
        };
        let window = window.map(|window| (window.known.as_ref(), window.new.as_ref()));
        let (known, new) = window.unwrap_or_default();
        format!("{}; {}", pair("decided before", known), pair("new", new))
    };
    let words = Words {
        id: "B7",
        what: "admission review, 1 000/s over HTTP: intended send → answer; ratio: p99 of those decided before",
        a: format!(
            "beside {} events/s: {}",
            figure(ingest),
            words(windows.a.last())
        ),
        b: format!("alone: {}", words(windows.b.last())),
        bound: "new ones run a reaction and its action, stored".to_owned(),
    };
    bench.row(words, ratio, &goals)
}

/// An engine that admits, and where it is asked.
async fn start(bench: &mut Bench) -> Result<(Stand, SocketAddr), Error> {
    let failed = |cause: &dyn std::fmt::Display| Error::of("the admission source", cause);
    let egress = Egress::new(&EgressConfig::default()).map_err(|cause| failed(&cause))?;
    let cx = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(BTreeMap::new())),
        egress: Arc::new(egress),
        clock: Arc::new(SystemClock),
        json: conche_core::json::Limits::default(),
    };
    let name = "k8s_imagevalidate";
    let module = actions::ALL.iter().find(|module| module.name == name);
    let module = module.ok_or_else(|| failed(&"no action"))?;
    let action = (module.build)(serde_json::Value::Null, &cx).map_err(|cause| failed(&cause))?;
    let actions = BTreeMap::from([(name.to_owned(), (action, *module, 0))]);
    let stand = Stand::with(SqliteConfig::new(bench.folder("admission")), actions).await?;
    stand.react("first", "last").await?;
    let reaction = Authored::parse(REACTION, Format::Yaml)
        .and_then(|authored| authored.resolve(&mut |path| Err(format!("no file {path}"))))
        .map_err(|cause| failed(&cause))?;
    let put = stand.engine.put_reaction(reaction).await;
    put.map_err(|cause| failed(&cause))?;
    let module = sources::ALL
        .iter()
        .find(|module| module.name == "k8s_imagevalidator");
    let module = module.ok_or_else(|| failed(&"no source"))?;
    let config = serde_json::json!({ "webhook_endpoint": "127.0.0.1:0" });
    let source = (module.build)("reviews", config, &cx).map_err(|cause| failed(&cause))?;
    let routes = source.routes(stand.engine.intake());
    let address = stand
        .listen(routes.ok_or_else(|| failed(&"no routes"))?)
        .await?;
    Ok((stand, address))
}

/// Asks at an even pace for a window.
async fn reviews(address: SocketAddr, window: Duration) -> Result<Window, Error> {
    let pace = Arc::new(Mutex::new(Pace::start(RATE, window)?));
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(ask_on(address, pace.clone()));
    }
    let (mut known, mut new) = (Latencies::new(), Latencies::new());
    while let Some(done) = connections.join_next().await {
        let (some, more) = done.map_err(|cause| Error::of("a connection", cause))??;
        known.add(&some);
        new.add(&more);
    }
    if let Some(pace) = Arc::into_inner(pace) {
        pace.into_inner().end()?;
    }
    Ok(Window {
        known: Some(known),
        new: Some(new),
    })
}

async fn ask_on(
    address: SocketAddr,
    pace: Arc<Mutex<Pace>>,
) -> Result<(Latencies, Latencies), Error> {
    let (mut known, mut new) = (Latencies::new(), Latencies::new());
    let (mut stream, mut buffer) = (connect(address).await?, Vec::new());
    loop {
        let next = pace.lock().await.next().await;
        let Some((n, intended)) = next else {
            return Ok((known, new));
        };
        let is_new = n % NEW == 0;
        // No image of one window is known in the next.
        let image = if is_new { fresh() } else { n % KNOWN };
        ask(&mut stream, address, image, &mut buffer).await?;
        let all = if is_new { &mut new } else { &mut known };
        all.record(Instant::now().saturating_duration_since(intended));
    }
}

/// The number of an image that nobody has asked about.
fn fresh() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    let connected = connected.await;
    connected.map_err(|cause| Error::of("a connection", cause))
}

async fn ask(
    stream: &mut TcpStream,
    address: SocketAddr,
    image: u32,
    buffer: &mut Vec<u8>,
) -> Result<(), Error> {
    let body = format!(
        r#"{{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","metadata":{{"creationTimestamp":null}},"spec":{{"containers":[{{"image":"r.example/app@sha256:{image:064x}"}}],"namespace":"default"}},"status":{{"allowed":false}}}}"#
    );
    let request = format!(
        "POST /image_policy?timeout=30s HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(stream, request.as_bytes(), OK, buffer)
        .await
        .map_err(|cause| Error::of("a review", cause))?;
    let allowed = buffer.windows(14).any(|part| part == b"\"allowed\":true");
    if allowed {
        return Ok(());
    }
    let text = String::from_utf8_lossy(buffer).into_owned();
    Err(Error::of("a review", format!("is not let in: {text}")))
}
