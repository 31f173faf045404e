//! What a server takes up while it runs: its TLS files on SIGHUP, and a rotated secret.

use std::fs;

use reqwest::{Certificate, Client, StatusCode};

use crate::server::{Server, Site, eventually};

/// What a server says when it was told to read again.
const HEARD: &str = "SIGHUP: TLS files are read again; the configuration waits for a restart";

/// Writes a new certificate with its key; a client that trusts it alone.
fn issue(site: &Site) -> Client {
    let names = vec!["127.0.0.1".to_owned()];
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = issued.cert.pem();
    site.write("key.pem", &issued.signing_key.serialize_pem());
    site.write("certificate.pem", &certificate);
    let root = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    client.tls_certs_only([root]).build().unwrap()
}

/// Whether a client trusts what the server shows.
fn trusts(client: &Client, server: &Server) -> bool {
    let url = format!("https://{}/healthz", server.api);
    let answer = block_on(client.get(url).send());
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

#[test]
fn sighup_takes_up_new_tls_files_and_keeps_the_old_ones_where_they_are_wrong() {
    conche_runtime::tls::install_crypto_provider();
    let site = Site::new("");
    let first = issue(&site);
    let tls = "{ certificate: certificate.pem, key: key.pem }";
    let config =
        format!("api: {{ listen: \"127.0.0.1:0\", tls: {tls} }}\nwebhooks: {{ listen: null }}\n");
    site.write("conche.yaml", &config);
    let mut server = site.start();
    assert!(trusts(&first, &server));

    let second = issue(&site);
    server.signal("HUP");
    eventually("the new certificate", || {
        trusts(&second, &server).then_some(())
    });
    assert!(!trusts(&first, &server));

    site.write("certificate.pem", "nonsense");
    // What the configuration says now counts at the next start only, wrong as it is.
    site.write("conche.yaml", "nonsense: 1\n");
    server.signal("HUP");
    site.logged("the TLS files do not fit: the ones before stay in use");
    site.logged(HEARD);
    assert!(trusts(&second, &server));
    assert!(server.has_ended().is_none());
}

#[test]
fn sighup_ends_no_server_and_a_rotated_secret_counts_at_its_next_use() {
    conche_runtime::tls::install_crypto_provider();
    let source =
        "{ id: s, module: webhook, path: /s, event_type: s, auth: { bearer: { secret: s } } }";
    let site = Site::new(&format!(
        "secrets: {{ s: {{ file: secret }} }}\nsources: [{source}]\n"
    ));
    site.write("secret", "old-secret-of-sender\n");
    restrict(&site);
    let mut server = site.start();
    let send = |token: &str| {
        let client = Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/s", server.webhooks);
        let request = client.post(url).bearer_auth(token);
        let request = request
            .header("content-type", "application/json")
            .body("{}");
        block_on(request.send()).unwrap().status().as_u16()
    };
    assert_eq!(send("old-secret-of-sender"), 202);
    site.write("secret", "new-secret-of-sender\n");
    restrict(&site);
    assert_eq!(send("old-secret-of-sender"), 401);
    assert_eq!(send("new-secret-of-sender"), 202);
    server.signal("HUP");
    site.logged(HEARD);
    assert_eq!(send("new-secret-of-sender"), 202);
    assert!(server.has_ended().is_none());
}

/// As a secret's file is kept.
fn restrict(site: &Site) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(site.path("secret"), mode).unwrap();
}
