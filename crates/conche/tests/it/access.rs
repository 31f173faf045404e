//! Tokens and the record of acts by the command line, with and without a server.

use std::process::{Command, Output};

use serde_json::Value;

use crate::server::Site;

const CONFIG: &str = "api: { listen: \"127.0.0.1:0\", auth: token }\nwebhooks: { listen: null }\n";

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `conche tokens create` on the store itself.
fn offline(site: &Site, name: &str) -> Command {
    let words = ["tokens", "create", "--config", "conche.yaml"];
    let mut command = site.command(&words);
    command.args(["--name", name, "--role", "admin", "-o", "json"]);
    command
}

#[test]
fn the_first_token_is_made_without_a_server_and_opens_it() {
    let site = Site::new("");
    site.write("conche.yaml", CONFIG);
    let first = json(&offline(&site, "ann").output().unwrap());
    let admin = first["value"].as_str().unwrap();
    let server = site.start();
    let ask = |token: &str, words: &[&str]| {
        let mut command = server.client(words);
        command.args(["-o", "json"]).env("CONCHE_TOKEN", token);
        command.output().unwrap()
    };

    // While a server has the store, a token is made through it.
    let locked = told(&offline(&site, "bob").output().unwrap());
    assert!(locked.contains("a server runs on"), "{locked}");
    let create = [
        "tokens",
        "create",
        "--name",
        "ci",
        "--role",
        "viewer",
        "--expires",
        "90d",
    ];
    let made = json(&ask(admin, &create));
    let viewer = made["value"].as_str().unwrap();
    assert!(made["expires_at"].is_string(), "{made}");
    json(&ask(viewer, &["runs", "list"]));
    assert!(told(&ask(viewer, &["tokens", "list"])).contains("403"));

    assert!(told(&ask(admin, &["tokens", "revoke", "ann"])).contains("last-admin-token"));
    json(&ask(admin, &["tokens", "revoke", "ci"]));
    assert!(told(&ask(viewer, &["runs", "list"])).contains("'ci' was revoked"));
    assert!(told(&ask(admin, &["tokens", "revoke", "ci"])).contains("no token 'ci'"));

    let acts = json(&ask(admin, &["audit", "list"]));
    let acts: Vec<&str> = acts["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["entry"]["act"]["what"].as_str().unwrap())
        .collect();
    let expected = [
        "token.create",
        "server.start",
        "token.create",
        "access.refused",
        "token.revoke",
        "token.revoke",
        "login.refused",
    ];
    assert_eq!(acts, expected);

    // The server and the store itself, which the server has open, tell the same.
    let by_server = ask(admin, &["audit", "export"]).stdout;
    let words = ["audit", "export", "--config", "conche.yaml"];
    let by_store = site.command(&words).output().unwrap().stdout;
    assert_eq!(
        String::from_utf8_lossy(&by_server),
        String::from_utf8_lossy(&by_store)
    );
    assert_eq!(
        by_store.split(|byte| *byte == b'\n').count(),
        expected.len() + 1
    );
    for secret in [admin, viewer] {
        assert!(!String::from_utf8_lossy(&by_store).contains(&secret[7..]));
    }
    let whole = json(&ask(admin, &["audit", "verify"]));
    let words = ["audit", "verify", "--config", "conche.yaml", "-o", "json"];
    assert_eq!(whole, json(&site.command(&words).output().unwrap()));
    assert_eq!(whole["head"]["seq"], 7);
    let head = format!("7:{}", whole["head"]["hash"].as_str().unwrap());
    json(&ask(admin, &["audit", "verify", "--expect", &head]));
    let wrong = format!("6{}", &head[1..]);
    let broken = ask(admin, &["audit", "verify", "--expect", &wrong]);
    assert_eq!(broken.status.code(), Some(1));
    let broken: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(broken["broken"]["seq"], 6);
}

#[test]
fn a_server_that_nobody_can_call_says_so() {
    let site = Site::new("");
    site.write("conche.yaml", CONFIG);
    let _server = site.start();
    site.logged("there is none: stop the server and make one");
}
