//! Which hosts are believed, and how they are reached.

use serde_json::json;

use super::server::{Sshd, execute, make_key, permanent, retried, step, tool, user};
use crate::peers::port;

#[tokio::test]
async fn a_host_is_known_by_any_of_the_places_for_its_key() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let cx = sshd.context();
    let keys = json!({ user(): { "key": { "secret": "user" } } });
    std::fs::write(sshd.path("plain"), sshd.known_as(&sshd.names())).unwrap();
    std::fs::write(sshd.path("hashed"), sshd.known_as(&sshd.names())).unwrap();
    tool(
        sshd.folder.path(),
        "ssh-keygen",
        &["-q", "-H", "-f", "hashed"],
    );
    assert!(sshd.read("hashed").starts_with("|1|"));
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let fingerprint = sshd.fingerprint("host");
    for config in [
        json!({ "keys": keys, "known_hosts": sshd.path("plain") }),
        json!({ "keys": keys, "known_hosts": sshd.path("hashed") }),
        json!({ "keys": keys, "host_keys": { &name: [&fingerprint] } }),
        json!({ "keys": keys, "host_keys": { &name: [sshd.read("host.pub")] } }),
    ] {
        let done = execute(&config, &cx, &step("echo in", &sshd.target())).await;
        assert_eq!(done.unwrap()["stdout"], "in\n", "{config}");
    }
    let config = json!({ "keys": keys });
    for own in [
        json!({ "host_key": fingerprint }),
        json!({ "agent_target_extensions": { "extension-definition--1": { "host_key": [fingerprint] } } }),
    ] {
        let mut target = sshd.target();
        let own = own.as_object().unwrap().clone();
        target.as_object_mut().unwrap().extend(own);
        let done = execute(&config, &cx, &step("echo in", &target)).await;
        assert_eq!(done.unwrap()["stdout"], "in\n", "{target}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_what_it_offered_and_how_to_accept_it() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let config = json!({ "keys": { user(): { "key": { "secret": "user" } } } });
    let message = permanent(execute(&config, &sshd.context(), &step("id", &sshd.target())).await);
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let fingerprint = sshd.fingerprint("host");
    let advice = format!("`host_keys`: {{ \"{name}\": [\"{fingerprint}\"] }}");
    assert!(message.contains(&advice), "{message}");
    // What it says can be written as it is.
    let config = json!({ "keys": config["keys"], "host_keys": { name: [fingerprint] } });
    execute(&config, &sshd.context(), &step("id", &sshd.target()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_before_anybody_logs_in() {
    let Some(sshd) = Sshd::start("LogLevel VERBOSE").await else {
        return;
    };
    let config = sshd.config();
    make_key(sshd.folder.path(), "other", "ed25519", "");
    let line = format!("{} {}", sshd.names(), sshd.read("other.pub"));
    std::fs::write(sshd.path("known"), line).unwrap();
    let message = permanent(execute(&config, &sshd.context(), &step("id", &sshd.target())).await);
    let offered = format!(
        "is not the one on record in `known_hosts` {}: it offered ssh-ed25519 {}",
        sshd.path("known").display(),
        sshd.fingerprint("host")
    );
    assert!(message.contains(&offered), "{message}");
    let log = sshd.read("output");
    assert!(
        !log.contains("Accepted") && !log.contains("publickey"),
        "{log}"
    );
    // The playbook can't make up for it.
    let mut target = sshd.target();
    target["host_key"] = sshd.fingerprint("host").into();
    permanent(execute(&config, &sshd.context(), &step("id", &target)).await);
}

#[tokio::test]
async fn of_several_host_keys_the_one_on_record_is_asked_for() {
    let Some(mut sshd) = Sshd::start("").await else {
        return;
    };
    make_key(sshd.folder.path(), "rsa", "rsa", "");
    let more = format!("HostKey {}", sshd.path("rsa").display());
    sshd.restart(&more).await;
    let config = sshd.config();
    let line = format!("{} {}", sshd.names(), sshd.read("rsa.pub"));
    std::fs::write(sshd.path("known"), line).unwrap();
    let done = execute(&config, &sshd.context(), &step("echo in", &sshd.target())).await;
    assert_eq!(done.unwrap()["stdout"], "in\n");
}

#[tokio::test]
async fn a_host_is_vouched_for_by_an_authority_on_record() {
    let folder = tempfile::tempdir().unwrap();
    make_key(folder.path(), "ca", "ed25519", "");
    let certificate = folder.path().join("host-cert.pub");
    let more = format!("HostCertificate {}", certificate.display());
    // The certificate is there before the server, which needs its host key first.
    let Some(mut sshd) = Sshd::start("").await else {
        return;
    };
    let host = sshd.path("host.pub");
    for (principal, valid, vouched) in [
        ("127.0.0.1", "-1h:+1h", true),
        ("other.example", "-1h:+1h", false),
        ("127.0.0.1", "-2h:-1h", false),
    ] {
        std::fs::copy(&host, folder.path().join("host.pub")).unwrap();
        let args = [
            "-q", "-s", "ca", "-I", "t", "-h", "-n", principal, "-V", valid, "host.pub",
        ];
        tool(folder.path(), "ssh-keygen", &args);
        sshd.restart(&more).await;
        let authority = std::fs::read_to_string(folder.path().join("ca.pub")).unwrap();
        let config = sshd.config();
        std::fs::write(sshd.path("known"), format!("@cert-authority * {authority}")).unwrap();
        let done = execute(&config, &sshd.context(), &step("echo in", &sshd.target())).await;
        if vouched {
            assert_eq!(done.unwrap()["stdout"], "in\n");
        } else {
            let message = permanent(done);
            assert!(message.contains("is not the one on record"), "{message}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_address_leads_to_the_host_and_a_dead_one_does_not_matter() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let (config, cx) = (sshd.config(), sshd.context());
    let dead = port();
    for address in [
        json!({ "ipv6": ["::1"] }),
        json!({ "dname": ["localhost"] }),
        json!({ "url": [format!("ssh://{}@[::1]:{}", user(), sshd.port)] }),
        json!({ "ipv4": ["127.0.0.9", "127.0.0.1"] }),
        json!({ "url": [format!("ssh://127.0.0.1:{dead}"), format!("ssh://127.0.0.1:{}", sshd.port)] }),
    ] {
        let mut target = sshd.target();
        target["address"] = address;
        let done = execute(&config, &cx, &step("echo in", &target)).await;
        assert_eq!(done.unwrap()["stdout"], "in\n", "{target}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_a_forbidden_address_never() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let mut target = sshd.target();
    target["port"] = port().to_string().into();
    let message = retried(execute(&sshd.config(), &sshd.context(), &step("id", &target)).await);
    assert!(message.contains("can't connect"), "{message}");
    target["address"] = json!({ "ipv4": ["169.254.169.254"] });
    let message = permanent(execute(&sshd.config(), &sshd.context(), &step("id", &target)).await);
    assert!(message.contains("is refused: 169.254.169.254"), "{message}");
}

#[tokio::test]
async fn a_host_that_says_nothing_is_left_and_tried_again() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = sshd.target();
    let port = silent.local_addr().unwrap().port();
    target["port"] = port.to_string().into();
    let mut config = sshd.config();
    config["connect_timeout"] = "300ms".into();
    let message = retried(execute(&config, &sshd.context(), &step("id", &target)).await);
    assert!(message.contains("nothing was done"), "{message}");
}
