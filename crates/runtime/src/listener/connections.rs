//! The open connections of one listener: what each is doing since when, and
//! which of them have had their time.
//!
//! The connection's stream and service report what happens; [`sweep`] compares
//! it with the limits, once every [`period`]. One sweep for all connections
//! replaces a set of timers for each, and it is a pure function of `now`.
//!
//! [`sweep`]: Connections::sweep
//! [`period`]: Connections::period

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::config::ListenerLimits;

/// Why a new connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The listener has its number of connections, none of them idle.
    Listener,
    /// The peer has its number of connections.
    Peer,
}

/// What the limits say about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Close,
    Cut,
}

#[derive(Debug)]
pub(super) struct Connections {
    limits: ListenerLimits,
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Arc<Connection>>,
    per_peer: HashMap<IpAddr, usize>,
    next: u64,
    draining: bool,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    peer: IpAddr,
    /// Requested: finish what is in flight, then close.
    pub(super) closing: CancellationToken,
    /// Requested: drop it now.
    pub(super) cut: CancellationToken,
    activity: Mutex<Activity>,
}

#[derive(Debug)]
struct Activity {
    /// Since when no request is in flight.
    idle_since: Instant,
    /// The requests in flight, and since when each waits for its peer to take
    /// the answer; none while it waits for us.
    requests: HashMap<u64, Option<Instant>>,
    /// The number of requests begun.
    begun: u64,
    /// Since when a request's headers are on their way. Not kept for HTTP/2,
    /// whose pings can't be told from headers below the framing.
    head_since: Option<Instant>,
    /// Since when the socket takes no byte.
    blocked_since: Option<Instant>,
    closing_since: Option<Instant>,
    /// The last request was answered before its body had arrived.
    left_unread: bool,
    is_h2: bool,
}

impl Connections {
    pub(super) fn new(limits: ListenerLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            table: Mutex::default(),
            emptied: Notify::new(),
        })
    }

    /// How often to sweep: a quarter of the shortest limit, 10 ms to 1 s.
    pub(super) fn period(&self) -> Duration {
        let limits = &self.limits;
        let shortest = limits
            .header_read
            .min(limits.write_idle)
            .min(limits.keep_alive);
        (shortest.duration() / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Enters a new connection, for as long as the returned guard lives.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr, now: Instant) -> Result<Entry, Full> {
        let peer = network(peer.ip());
        let mut table = self.lock();
        if table.per_peer.get(&peer).copied().unwrap_or(0) >= self.limits.connections_per_ip {
            return Err(Full::Peer);
        }
        if table.open.len() >= self.limits.connections {
            let idle = table.longest_idle().ok_or(Full::Listener)?;
            if let Some(shed) = table.remove(idle) {
                shed.cut.cancel();
            }
        }
        let connection = Arc::new(Connection::new(peer, now));
        if table.draining {
            connection.closing.cancel();
        }
        let id = table.next;
        table.next += 1;
        *table.per_peer.entry(peer).or_default() += 1;
        table.open.insert(id, Arc::clone(&connection));
        Ok(Entry {
            connections: Arc::clone(self),
            connection,
            id,
        })
    }

    /// Closes or cuts the connections that are over a limit.
    pub(super) fn sweep(&self, now: Instant) {
        for connection in self.lock().open.values() {
            match connection.verdict(&self.limits, now) {
                Verdict::Keep => {}
                Verdict::Close => connection.close(now),
                Verdict::Cut => connection.cut.cancel(),
            }
        }
    }

    /// Closes each connection as soon as its requests in flight are answered.
    pub(super) fn drain(&self, now: Instant) {
        let mut table = self.lock();
        table.draining = true;
        for connection in table.open.values() {
            connection.close(now);
        }
    }

    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.lock().open.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn longest_idle(&self) -> Option<u64> {
        self.open
            .iter()
            .filter_map(|(id, connection)| Some((connection.idle_since()?, *id)))
            .min()
            .map(|(_, id)| id)
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        if let Some(count) = self.per_peer.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&connection.peer);
            }
        }
        Some(connection)
    }
}

/// Keeps a connection in the table.
#[derive(Debug)]
pub(super) struct Entry {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.remove(self.id);
        if table.open.is_empty() {
            self.connections.emptied.notify_waiters();
        }
    }
}

impl Connection {
    fn new(peer: IpAddr, now: Instant) -> Self {
        Self {
            peer,
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
            activity: Mutex::new(Activity {
                idle_since: now,
                requests: HashMap::new(),
                begun: 0,
                head_since: None,
                blocked_since: None,
                closing_since: None,
                left_unread: false,
                is_h2: false,
            }),
        }
    }

    pub(super) fn speaks_h2(&self) {
        self.lock().is_h2 = true;
    }

    /// Bytes arrived.
    pub(super) fn has_read(&self) {
        let mut activity = self.lock();
        if activity.requests.is_empty() && !activity.is_h2 && activity.head_since.is_none() {
            activity.head_since = Some(Instant::now());
        }
    }

    /// The socket took bytes, or would take no byte.
    pub(super) fn has_written(&self, blocked: bool) {
        let mut activity = self.lock();
        match (blocked, activity.blocked_since) {
            (true, None) => activity.blocked_since = Some(Instant::now()),
            (false, Some(_)) => activity.blocked_since = None,
            _ => {}
        }
    }

    /// A request's headers are complete. It is in flight while the guard lives.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut activity = self.lock();
        activity.head_since = None;
        activity.left_unread = false;
        activity.begun += 1;
        let id = activity.begun;
        activity.requests.insert(id, None);
        InFlight {
            connection: Arc::clone(self),
            id,
        }
    }

    /// The request's body is given up before its end.
    pub(super) fn leaves_unread(&self) {
        self.lock().left_unread = true;
    }

    pub(super) fn has_left_unread(&self) -> bool {
        self.lock().left_unread
    }

    fn close(&self, now: Instant) {
        self.lock().closing_since.get_or_insert(now);
        self.closing.cancel();
    }

    /// Since when it is kept open for a further request only.
    fn idle_since(&self) -> Option<Instant> {
        let activity = self.lock();
        let is_idle = activity.requests.is_empty() && activity.begun > 0;
        is_idle.then_some(activity.idle_since)
    }

    fn verdict(&self, limits: &ListenerLimits, now: Instant) -> Verdict {
        let activity = self.lock();
        let over = |since: Option<Instant>, limit: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        let (head, write) = (limits.header_read.duration(), limits.write_idle.duration());
        if over(activity.blocked_since, write)
            || activity.requests.values().any(|since| over(*since, write))
        {
            return Verdict::Cut;
        }
        if !activity.requests.is_empty() {
            return Verdict::Keep;
        }
        let silent = (activity.begun == 0).then_some(activity.idle_since);
        if over(activity.head_since, head)
            || over(silent, head)
            || over(activity.closing_since, head)
        {
            return Verdict::Cut;
        }
        if over(Some(activity.idle_since), limits.keep_alive.duration()) {
            return Verdict::Close;
        }
        Verdict::Keep
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight: from its headers to the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: Arc<Connection>,
    id: u64,
}

impl InFlight {
    /// A piece of the answer is ready and waits for the peer, or has been taken.
    pub(super) fn waits_for_peer(&self, waits: bool) {
        if let Some(since) = self.connection.lock().requests.get_mut(&self.id) {
            *since = waits.then(Instant::now);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut activity = self.connection.lock();
        activity.requests.remove(&self.id);
        activity.idle_since = Instant::now();
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6
/// customer gets at the least.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn connections(total: usize, per_ip: usize) -> Arc<Connections> {
        Connections::new(ListenerLimits {
            connections: total,
            connections_per_ip: per_ip,
            ..ListenerLimits::default()
        })
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_connection_is_cut_after_the_header_limit() {
        let connections = connections(2, 2);
        let entry = connections
            .admit(peer("127.0.0.1:1"), Instant::now())
            .unwrap();
        connections.sweep(after(4));
        assert!(!entry.connection.cut.is_cancelled());
        connections.sweep(after(6));
        assert!(entry.connection.cut.is_cancelled());
    }

    #[test]
    fn an_idle_connection_is_closed_after_the_keep_alive_and_a_half_head_is_cut_before() {
        let connections = connections(2, 2);
        let idle = connections
            .admit(peer("127.0.0.1:1"), Instant::now())
            .unwrap();
        let half = connections
            .admit(peer("127.0.0.1:2"), Instant::now())
            .unwrap();
        drop(idle.connection.begin());
        drop(half.connection.begin());
        half.connection.has_read();
        connections.sweep(after(6));
        assert!(!idle.connection.closing.is_cancelled());
        assert!(half.connection.cut.is_cancelled());
        connections.sweep(after(61));
        assert!(idle.connection.closing.is_cancelled());
        assert!(!idle.connection.cut.is_cancelled());
    }

    #[test]
    fn a_request_that_waits_for_us_is_kept_and_one_that_waits_for_its_peer_is_cut() {
        let connections = connections(2, 2);
        let entry = connections
            .admit(peer("127.0.0.1:1"), Instant::now())
            .unwrap();
        let request = entry.connection.begin();
        connections.sweep(after(3600));
        assert!(!entry.connection.cut.is_cancelled());
        request.waits_for_peer(true);
        connections.sweep(after(31));
        assert!(entry.connection.cut.is_cancelled());
    }

    #[test]
    fn at_the_cap_the_longest_idle_connection_goes_first() {
        let connections = connections(2, 9);
        let first = connections
            .admit(peer("127.0.0.1:1"), Instant::now())
            .unwrap();
        let second = connections
            .admit(peer("127.0.0.1:2"), Instant::now())
            .unwrap();
        assert_eq!(
            connections.admit(peer("127.0.0.1:3"), Instant::now()).err(),
            Some(Full::Listener)
        );
        drop(second.connection.begin());
        drop(first.connection.begin());
        let third = connections.admit(peer("127.0.0.1:3"), Instant::now());
        assert!(third.is_ok());
        assert!(second.connection.cut.is_cancelled());
        assert!(!first.connection.cut.is_cancelled());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_peer() {
        let connections = connections(9, 1);
        let _one = connections
            .admit(peer("[2001:db8::1]:1"), Instant::now())
            .unwrap();
        assert_eq!(
            connections
                .admit(peer("[2001:db8::ffff]:1"), Instant::now())
                .err(),
            Some(Full::Peer)
        );
        assert!(
            connections
                .admit(peer("[2001:db8:0:1::1]:1"), Instant::now())
                .is_ok()
        );
    }

    #[test]
    fn a_connection_that_has_left_is_not_counted() {
        let connections = connections(1, 1);
        drop(
            connections
                .admit(peer("10.0.0.1:1"), Instant::now())
                .unwrap(),
        );
        assert!(
            connections
                .admit(peer("10.0.0.1:2"), Instant::now())
                .is_ok()
        );
    }

    #[test]
    fn the_sweep_is_frequent_enough_for_the_shortest_limit() {
        let connections = Connections::new(ListenerLimits {
            header_read: Span::from_millis(200),
            ..ListenerLimits::default()
        });
        assert_eq!(connections.period(), Duration::from_millis(50));
    }
}
