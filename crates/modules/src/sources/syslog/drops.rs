//! How many datagrams the kernel threw away because nobody fetched them in time.
//!
//! Linux counts them for each socket, in the last column of `/proc/net/udp` and `udp6`.
//! Where that cannot be read nothing is told.

use std::os::fd::AsRawFd as _;

use tokio::net::UdpSocket;

/// The counter of one socket.
#[derive(Debug)]
pub(super) struct Drops {
    inode: Option<String>,
    known: u64,
}

impl Drops {
    pub(super) fn new(socket: &UdpSocket) -> Self {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let link = link.ok().and_then(|link| link.to_str().map(str::to_owned));
        let inode = link.and_then(|link| {
            let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        });
        Self { inode, known: 0 }
    }

    /// Those since the last call.
    pub(super) fn new_ones(&mut self) -> u64 {
        let Some(inode) = &self.inode else {
            return 0;
        };
        let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
        let count = tables.iter().find_map(|path| {
            let table = std::fs::read_to_string(path).ok()?;
            counted(&table, inode)
        });
        let now = count.unwrap_or(self.known);
        let new = now.saturating_sub(self.known);
        self.known = now;
        new
    }
}

/// The last column of the line whose tenth is the inode.
pub(super) fn counted(table: &str, inode: &str) -> Option<u64> {
    table.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let is_ours = columns.get(9) == Some(&inode);
        is_ours.then(|| columns.last()?.parse().ok()).flatten()
    })
}
