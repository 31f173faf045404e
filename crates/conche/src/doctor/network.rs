//! What doctor sees from the outside: the ports of listeners, and the server that runs there.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use conche_runtime::listener::ListenerConfig;
use serde_json::Value;

use super::{Check, State, check};
use crate::client;

/// How long the server that runs by the configuration may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// The name of the checks of listeners' ports.
const PORT: &str = "port";

/// How the sources of the server stand that answers on the API's address; nothing where none
/// does, or where it speaks TLS, since its certificate is for another name.
pub(super) async fn sources(api: &ListenerConfig) -> Vec<Check> {
    let address = api.listen.filter(|address| address.port() != 0);
    let Some(address) = address.filter(|_| api.tls.is_none()) else {
        return Vec::new();
    };
    let connect = tokio::net::TcpStream::connect(address);
    if !matches!(tokio::time::timeout(ASK_WITHIN, connect).await, Ok(Ok(_))) {
        return Vec::new();
    }
    let asked = tokio::time::timeout(ASK_WITHIN, client::sources::of_server_at(address)).await;
    let sources = match asked {
        Ok(Ok(sources)) => sources,
        Ok(Err(error)) => return vec![check("sources", State::Warning, error.to_string())],
        Err(_elapsed) => {
            let detail = format!("what listens on {address} does not answer");
            return vec![check("sources", State::Warning, detail)];
        }
    };
    sources.iter().filter_map(source).collect()
}

/// How a source stands, as the server shows it; nothing where it has nothing to part from.
fn source(shown: &Value) -> Option<Check> {
    let id = shown["id"].as_str()?;
    let since = shown["since"].as_str().unwrap_or_default();
    Some(if shown["connected"].as_bool()? {
        check(
            "source",
            State::Ok,
            format!("{id}: connected since {since}"),
        )
    } else {
        let error = shown["last_error"]["message"].as_str();
        let error = error.unwrap_or("it was not reached yet");
        let detail = format!("{id}: not connected since {since}: {error}");
        check("source", State::Warning, detail)
    })
}

/// Whether a port can be had.
pub(super) fn port(listener: &str, address: SocketAddr) -> Check {
    let (state, what) = match TcpListener::bind(address) {
        Ok(_) => (State::Ok, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => (
            State::Warning,
            format!("{address} is in use: by a running server, or by another program"),
        ),
        Err(error) => (State::Error, format!("{address}: {error}")),
    };
    check(PORT, state, format!("{listener}: {what}"))
}
