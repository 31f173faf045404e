//! `conche sources`: the sources of a running server, and how they stand with what they read
//! from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::{Args, Subcommand};
use reqwest::Url;
use serde_json::Value;

use super::{Ask, ServerArgs};
use crate::failure::Failure;
use crate::output;

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Sources {
    /// List the configured sources, and whether they reach what they read from
    List(List),
}

/// Lists sources.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche sources list

CONNECTED is empty for those that nothing can part from what they read, such as webhooks.")]
pub(crate) struct List {
    #[command(flatten)]
    ask: Ask,
}

/// Does it.
pub(crate) async fn run(sources: Sources) -> Result<(), Failure> {
    let Sources::List(args) = sources;
    let columns = [
        ("ID", "/id"),
        ("MODULE", "/module"),
        ("CONNECTED", "/connected"),
        ("SINCE", "/since"),
        ("LAST ERROR", "/last_error/message"),
    ];
    let table = |rows: &[Value]| output::table(rows, &columns);
    args.ask.list("sources", &[], table).await
}

/// The sources of the server that answers on this address of this machine, shown the token of
/// the environment.
pub(crate) async fn of_server_at(address: SocketAddr) -> Result<Vec<Value>, Failure> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    let server = Url::parse(&format!("http://{address}"))
        .map_err(|error| Failure::of("can't ask the server", error))?;
    let asked = ServerArgs {
        server,
        token_file: None,
    };
    let answer = asked.client()?.get(&["api", "v1", "sources"], &[]).await?;
    let sources = answer["sources"].as_array();
    Ok(sources.cloned().unwrap_or_default())
}
