//! CSF's folder and calls, replayed against ours: nothing but the address differs.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::server::{PATIENCE, Server, Site, conche, eventually};

/// A record of tiedot's: twice as much room as the document needs, padded with spaces.
fn record(document: &Value) -> Vec<u8> {
    let document = document.to_string();
    let room = document.len() * 2;
    let mut raw = (room as u64) << 1;
    let mut bytes = vec![1];
    while raw >= 0x80 {
        bytes.push((raw as u8 & 0x7f) | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
    bytes.resize(11, 0);
    bytes.extend(document.as_bytes());
    bytes.resize(11 + room, b' ');
    bytes
}

fn reaction(name: &str, event: &str, script: &str) -> Value {
    let action = json!({ "module": "dummy", "action": "dummy_action", "script": "" });
    json!({ "actions": { "d": action }, "name": name, "event": event, "script": script })
}

/// CSF's folder, with a database of two reactions.
fn site() -> Site {
    let site = Site::new("");
    for folder in ["csf_config", "config", "db", "db/reactions"] {
        std::fs::create_dir(site.path(folder)).unwrap();
    }
    site.write(
        "csf_config/config.yaml",
        "api: {bindAddress: '127.0.0.1:0'}
webUI: {enabled: false}
storage: {provider: localdb, config: {path: ./db}}
configProvider: {provider: localfiles, config: {path: ./config}}
csf: {logLevel: INFO, logFormat: logfmt, eventsBufferSize: 10, eventsources: [onetime], actionsModules: [dummy, mail]}
metrics: {prometheusEndpoint: '127.0.0.1:0'}
arbitrary_key: x
",
    );
    let decide = "nextAction = 'd'; result = {dummy_string: event.timestamp}";
    let stored = [
        record(&reaction("greet", "onetime", decide)),
        record(&reaction("quiet", "onetime", "nextAction = ''")),
    ];
    let mut file = stored.concat();
    file.resize(file.len() + 65536, 0);
    std::fs::write(site.path("db/reactions/dat_0"), file).unwrap();
    site
}

fn start(site: &Site) -> Server {
    site.start_with(|command| command.args(["--csf-config", "csf_config"]))
}

/// A request as `curl` makes it: a form's content type where there is a body.
fn call(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let content = match length {
        0 => String::new(),
        _ => format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
        ),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/7.61\r\nAccept: */*\r\nConnection: close\r\n{content}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

fn json_of(address: &str, path: &str) -> Value {
    let (status, body) = call(address, "GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn csfs_folder_is_served_unchanged_with_its_reactions_calls_and_metrics() {
    let site = site();
    let server = start(&site);
    // The database was imported before the first event came.
    server.run_with("greet", "succeeded");
    server.run_with("quiet", "succeeded");
    let names = |reactions: Value| -> Vec<String> {
        let reactions = reactions.as_array().unwrap().iter();
        reactions
            .map(|reaction| reaction["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_event = json_of(&server.api, "/v1/events/onetime/reactions");
    assert_eq!(names(of_event), ["greet", "quiet"]);

    let posted = reaction("new", "dummy_event", "nextAction = ''").to_string();
    let path = "/v1/events/dummy_event/reactions";
    let answer = call(&server.api, "POST", path, &posted);
    assert_eq!(answer, (200, String::new()));
    let (status, shown) = call(&server.api, "GET", &format!("{path}/new"), "");
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&shown).unwrap()["name"],
        "new"
    );
    let gone = call(
        &server.api,
        "DELETE",
        "/v1/events/onetime/reactions/quiet",
        "",
    );
    assert_eq!(gone, (200, String::new()));

    let metrics = eventually("CSF's metrics", || {
        let (_, text) = call(&server.metrics, "GET", "/metrics", "");
        let whole = text.contains("csf_reactions_count{status=\"done\"} 1")
            && text.contains("csf_reactions_count{status=\"not launched\"} 1");
        whole.then_some(text)
    });
    for line in [
        "csf_events_count{matched=\"true\"} 1",
        "# TYPE csf_events_count counter",
        "# TYPE runtime_csf_goroutines_count gauge",
        "# TYPE runtime_csf_mem_allocated_mb gauge",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }

    // What was deleted since does not come back from the database.
    drop(server);
    let server = start(&site);
    assert_eq!(
        names(json_of(&server.api, "/v1/reactions")),
        ["greet", "new"]
    );
    let record = std::fs::read_to_string(site.path("db/conche/csf-import.json")).unwrap();
    assert!(record.contains("greet"), "{record}");
}

#[test]
fn a_page_in_a_browser_cannot_post_to_csfs_api() {
    let site = site();
    let server = start(&site);
    let body = reaction("evil", "onetime", "1").to_string();
    for browser in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let mut stream = TcpStream::connect(&server.api).unwrap();
        let (host, length) = (&server.api, body.len());
        let request = format!(
            "POST /v1/events/e/reactions HTTP/1.1\r\nHost: {host}\r\n{browser}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{browser}{answer}");
    }
    let reactions = json_of(&server.api, "/v1/reactions");
    assert_eq!(reactions.as_array().unwrap().len(), 2);
}

#[test]
fn an_address_for_everyone_needs_a_word_of_its_owner() {
    let site = site();
    let config = std::fs::read_to_string(site.path("csf_config/config.yaml")).unwrap();
    let open = config.replace("'127.0.0.1:0'", "':0'");
    site.write("csf_config/config.yaml", &open);
    let refused = site
        .command(&["serve", "--csf-config", "csf_config"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("--allow-unauthenticated"), "{error}");
    let checked = site
        .command(&[
            "config",
            "check",
            "--csf-config",
            "csf_config",
            "--allow-unauthenticated",
        ])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn what_is_wrong_in_csfs_folder_is_named_as_it_is_written_there() {
    let site = site();
    let config = std::fs::read_to_string(site.path("csf_config/config.yaml")).unwrap();
    let config = config.replace(
        "[onetime], actionsModules: [dummy, mail]",
        "[onetime, Clair, openstack, k8s_imagevalidator], actionsModules: [mail, klar]",
    );
    site.write("csf_config/config.yaml", &config);
    for (file, text) in [
        ("Clair.yml", "webhook_listen_addr: '127.0.0.1:0'\n"),
        ("openstack.yml", "rabbit_url: nowhere\n"),
        (
            "k8s_imagevalidator.yml",
            "webhook_endpoint: '127.0.0.1:0'\ncertificate: gone.crt\nkey: gone.key\n",
        ),
        (
            "mail.yml",
            "server: s\nport: 99999\nuser: ops\npassword: pw\n",
        ),
        ("klar.yml", "clairAddress: c\nclairTimeout: abc\n"),
    ] {
        site.write(&format!("config/{file}"), text);
    }
    let told = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        let refused = command.args(["--csf-config", "csf_config"]).output();
        let refused = refused.unwrap();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let text = told(&["config", "check"]);
    for expected in [
        "config/Clair.yml: missing key `notification_endpoint`",
        "config/openstack.yml: ",
        "config/mail.yml: `port`: ",
        "config/klar.yml: `clairTimeout`: ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert_eq!(text, told(&["serve"]));

    // What only a server would find, alone.
    for file in ["Clair.yml", "openstack.yml"] {
        std::fs::remove_file(site.path(&format!("config/{file}"))).unwrap();
    }
    let config = config
        .replace("Clair, openstack, ", "")
        .replace("[mail, klar]", "[dummy]")
        .replace(
            "api: {bindAddress: '127.0.0.1:0'}",
            "api: {bindAddress: ':0'}",
        );
    site.write("csf_config/config.yaml", &config);
    let text = told(&["config", "check"]);
    assert!(
        text.contains("config.yaml: api.bindAddress: listener `api`"),
        "{text}"
    );
    assert_eq!(text, told(&["serve"]));
    let text = told(&["config", "check", "--allow-unauthenticated"]);
    for file in [
        "certificate: can't read gone.crt",
        "key: can't read gone.key",
    ] {
        let expected = format!("config/k8s_imagevalidator.yml: {file}");
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    assert_eq!(text, told(&["serve", "--allow-unauthenticated"]));
}

#[test]
fn a_database_is_imported_into_a_server_or_a_folder() {
    let site = site();
    let into_folder = site
        .command(&["import", "tiedot", "db", "--to", "new/out"])
        .output()
        .unwrap();
    assert!(
        into_folder.status.success(),
        "{}",
        String::from_utf8_lossy(&into_folder.stderr)
    );
    let valid = site
        .command(&["validate", "new/out/greet.json", "new/out/quiet.json"])
        .output()
        .unwrap();
    assert!(
        valid.status.success(),
        "{}",
        String::from_utf8_lossy(&valid.stdout)
    );
    let again = site
        .command(&["import", "tiedot", "db", "--to", "new/out"])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    let told = String::from_utf8_lossy(&again.stdout);
    assert_eq!(told.matches("greet.json").count(), 1, "{told}");
    assert!(again.stderr.is_empty(), "{again:?}");

    let server = site.start();
    let imported = server.ask(&["import", "tiedot", site.path("db").to_str().unwrap()]);
    assert_eq!(imported["reactions"], json!(["greet", "quiet"]));
    assert_eq!(server.ask(&["reactions", "show", "greet"])["name"], "greet");
}

#[test]
fn the_example_folder_is_in_order() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = "examples/csf/csf_config";
    let run = |arguments: &[&str]| {
        let output = conche()
            .current_dir(&root)
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let checked = run(&["config", "check", "--csf-config", folder]);
    assert!(checked.contains("sources: 3"), "{checked}");
    let printed = run(&["config", "print", "--csf-config", folder]);
    assert!(printed.contains("port: 2525"), "{printed}");
    for reaction in ["reaction", "mail-on-new-vuln", "scan-image"] {
        run(&["validate", &format!("examples/csf/{reaction}.json")]);
    }
}
