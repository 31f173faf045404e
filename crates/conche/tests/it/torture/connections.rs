//! R8, R9: thousands of peers at once, idle or slow on purpose. Slow ones are cut off in time,
//! others are answered meanwhile, and everything is given back afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::plant::Plant;
use super::proc::{descriptors, used};
use super::receiver::Receiver;
use super::{count, tell};

/// Memory of the server for one idle connection: the goal. About 13 KiB are used, most of it
/// for the two buffers of 8 KiB that hyper holds, as far as they were touched.
const EACH: u64 = 20 << 10;
/// Nothing takes longer on a machine that is only busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// Files that are open besides connections, in either process.
const SPARE: u64 = 500;

/// Lets this process and its servers have as many connections as wanted, or as many as the
/// system allows.
fn connections(wanted: u64) -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let needed = (wanted + SPARE).min(hard);
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard).expect("below the hard limit");
    }
    wanted.min(needed - SPARE) as usize
}

/// Times of events that are sent one after another while something else goes on.
struct Senders<'a> {
    plant: &'a Plant,
    receiver: SocketAddr,
    next: u64,
}

impl Senders<'_> {
    /// Sends one event; how long until it was acknowledged.
    async fn one(&mut self) -> Duration {
        let began = Instant::now();
        self.next += 1;
        assert!(
            self.plant.send(self.next, self.receiver).await,
            "{}",
            self.plant.log()
        );
        began.elapsed()
    }

    /// The 99th percentile of so many.
    async fn p99(&mut self, times: usize) -> Duration {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            took.push(self.one().await);
        }
        p99(took)
    }
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// A connection that has been answered once and is kept.
async fn kept(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = b"GET /absent HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("it is taken");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 404 "));
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_cost_little_and_are_given_back() {
    let many = connections(count("CONNECTIONS", 2_000, 10_000));
    let (_, receiver) = Receiver::start().await;
    let limits = format!(
        "{{ connections: {0}, connections_per_ip: {0}, keep_alive: 10m }}",
        many + 50
    );
    let mut plant = Plant::limited(&limits);
    assert!(plant.start(None), "{}", plant.log());
    let (pid, address) = (plant.pid(), plant.webhooks());
    let next = 0;
    let mut senders = Senders {
        plant: &plant,
        receiver,
        next,
    };
    let alone = senders.p99(300).await;
    let (before, open) = (used(pid).expect("a live server"), descriptors(pid));

    let mut idle = Vec::with_capacity(many);
    while idle.len() < many {
        let some = (many - idle.len()).min(200);
        idle.extend(join_all((0..some).map(|_| kept(address))).await);
    }
    let held = descriptors(pid);
    let after = used(pid).expect("a live server");
    let each = after.resident.saturating_sub(before.resident) / many as u64;
    let beside = senders.p99(300).await;
    drop(idle);
    let end = Instant::now() + PATIENCE;
    while descriptors(pid) > open + 5 {
        assert!(Instant::now() < end, "{} files stay open", descriptors(pid));
        tokio::time::sleep(Duration::from_millis(20)).await; // poll
    }
    tell(&format!(
        "torture R8: {many} connections at once, {:.1} KiB each; p99 of an event beside them {beside:.1?}, alone {alone:.1?}; open files {open} before, {} at the peak, {} after",
        each as f64 / 1024.0,
        held,
        descriptors(pid),
    ));
    assert!(held >= many, "only {held} of them are open");
    assert!(each <= EACH, "{each} bytes for each connection");
}

/// Sends a part of a request and waits to be cut off; how long that takes.
async fn slow(address: SocketAddr, part: &str) -> Duration {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream
        .write_all(part.as_bytes())
        .await
        .expect("it is taken");
    let began = Instant::now();
    let mut answer = Vec::new();
    // A reset ends it as well.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is cut off")
        .ok();
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_peers_are_cut_off_while_others_are_answered() {
    let many = connections(count("SLOW", 200, 4_000)) / 2;
    let (_, receiver) = Receiver::start().await;
    // The times are those of the defaults: 5 s for headers, 10 s for a pause in a body.
    let limits = format!(
        "{{ connections: {0}, connections_per_ip: {0} }}",
        2 * many + 50
    );
    let mut plant = Plant::limited(&limits);
    assert!(plant.start(None), "{}", plant.log());
    let address = plant.webhooks();
    let mut senders = Senders {
        plant: &plant,
        receiver,
        next: 0,
    };
    let alone = senders.p99(300).await;

    let header = "POST /torture HTTP/1.1\r\nhost: localhost\r\nx: ";
    let body = "POST /torture HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    let headers = join_all((0..many).map(|_| slow(address, header)));
    let bodies = join_all((0..many).map(|_| slow(address, body)));
    let mut attack = std::pin::pin!(futures_util::future::join(headers, bodies));
    let mut took = Vec::new();
    let (headers, bodies) = loop {
        tokio::select! {
            done = &mut attack => break done,
            one = senders.one() => took.push(one),
        }
    };
    let sent = took.len();
    let (header, body) = (headers.into_iter().max(), bodies.into_iter().max());
    let (header, body) = (header.expect("some"), body.expect("some"));
    tell(&format!(
        "torture R9: {many} half-sent headers, the last cut off after {header:.1?}; {many} half-sent bodies, the last after {body:.1?}; {sent} events acknowledged meanwhile, p99 {:.1?}, alone {alone:.1?}",
        p99(took),
    ));
    assert!(header <= Duration::from_secs(10), "{header:?}");
    assert!(body <= Duration::from_secs(30), "{body:?}");
}
