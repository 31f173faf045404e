//! Commands of playbooks that are carried out over HTTP, against services that store.

mod caldera_cmd;
mod elastic;
mod grants;
mod http_api;
mod jupyter;
mod openc2_http;
mod openwhisk;

use conche_modules::Error;
use serde_json::{Value, json};

use crate::service::Service;

/// The input for a command against a target at this service, with these credentials.
fn at(service: &Service, command: Value, authentication: Option<Value>) -> Value {
    input(json!({ "url": [service.url("")] }), command, authentication)
}

/// The input for a command against a target at this address.
fn input(address: Value, command: Value, authentication: Option<Value>) -> Value {
    let mut target =
        json!({ "id": "http-api--1", "type": "http-api", "name": "service", "address": address });
    if let Some(authentication) = authentication {
        target["authentication"] = authentication;
    }
    let agent = json!({ "id": "soarca--1", "type": "soarca", "name": "soarca-http-api" });
    json!({ "command": command, "agent": agent, "target": target })
}

fn oauth2(scheme: &str, secret: &str) -> Value {
    json!({ "id": "oauth2--1", "type": "oauth2", "oauth_header": scheme, "token": { "secret": secret } })
}

fn basic(kind: &str, user: &str, secret: &str) -> Value {
    json!({ "id": "a--1", "type": kind, "user": user, "password": { "secret": secret } })
}

/// The message of a failure that the same input meets again.
fn permanent(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Permanent(message)) => message,
        other => panic!("not permanent: {other:?}"),
    }
}
