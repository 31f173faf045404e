//! Whole folders of CSF's, and what becomes of them.

use super::*;

fn folder(config: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Translated, Error>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let config = config.replace("DIR", dir.path().to_str().unwrap());
    std::fs::write(dir.path().join("config.yaml"), config).unwrap();
    let translated = crate::csf::read(dir.path());
    (dir, translated)
}

const WHOLE: &str = "
api: {bindAddress: '127.0.0.1:8080'}
webUI: {enabled: true, bindAddress: '127.0.0.1:8888'}
storage: {provider: localdb, config: {path: DIR/db}}
configProvider: {provider: localfiles, config: {path: DIR}}
csf:
  logLevel: DEBUG
  logFormat: json
  eventsBufferSize: 10
  eventsources: [onetime, dummy]
  actionsModules: [mail, dummy]
metrics: {prometheusEndpoint: '127.0.0.1:8042'}
arbitrary_key: 1
";

#[test]
fn a_whole_folder_becomes_a_configuration() {
    let mail =
        "server: smtp.example.com\nport: '587'\nuser: soc@example.com\npassword: pw\nodd: 1\n";
    let (dir, translated) = folder(WHOLE, &[("mail.yml", mail)]);
    let translated = translated.unwrap();
    let expected = json!({
        "data_dir": dir.path().join("db/conche"),
        "api": { "listen": "127.0.0.1:8080", "auth": "loopback-open" },
        "webhooks": { "listen": null },
        "metrics": { "listen": "127.0.0.1:8042" },
        "sources": [
            { "id": "onetime", "module": "onetime" },
            { "id": "dummy", "module": "dummy" },
        ],
        "actions": {
            "mail": { "server": "smtp.example.com", "port": 587, "user": "soc@example.com",
                      "password": "pw", "tls": "opportunistic" },
            "dummy": {},
        },
    });
    assert_eq!(translated.config, expected);
    assert_eq!((translated.log, translated.log_json), ("debug", true));
    assert_eq!(translated.database, dir.path().join("db"));
    let notes = translated.notes.join("\n");
    assert!(notes.contains("`odd` means nothing here"), "{notes}");
    assert!(notes.contains("webUI"), "{notes}");
}

#[test]
fn clair_and_klar_are_served_with_csfs_files() {
    let config = WHOLE
        .replace("[onetime, dummy]", "[Clair]")
        .replace("[mail, dummy]", "[klar]");
    let clair =
        "notification_endpoint: http://localhost:6060/notifications\nwebhook_listen_addr: :4242\n";
    let klar = "clairAddress: localhost\nclairOutput: Low\nthreshold: 0\nclairTimeout: 60\ndockerConfig:\n  user: u\n  password: pw\n  token: ''\n  insecureTLS: false\n  timeout: 60\n";
    let (_dir, translated) = folder(&config, &[("clair.yml", clair), ("klar.yml", klar)]);
    let translated = translated.unwrap();
    let source = json!({
        "id": "Clair", "module": "Clair", "path": "*",
        "notification_endpoint": "http://localhost:6060/notifications",
    });
    assert_eq!(translated.config["sources"], json!([source]));
    let webhooks = &translated.config["webhooks"];
    assert!(webhooks["listen"].as_str().unwrap().ends_with(":4242"));
    assert_eq!(webhooks["auth"], "none");
    let klar = &translated.config["actions"]["klar"];
    assert_eq!(
        (&klar["clairAddress"], &klar["dockerConfig"]["hosts"]),
        (&json!("localhost"), &json!(["*"]))
    );
    let notes = translated.notes.join("\n");
    assert!(notes.contains("every registry"), "{notes}");
    assert!(!notes.contains("means nothing"), "{notes}");
}

#[test]
fn an_address_for_everyone_asks_for_authentication_to_be_settled() {
    let open = WHOLE.replace("'127.0.0.1:8080'", "':8080'");
    let (_dir, translated) = folder(&open, &[]);
    let translated = translated.unwrap();
    assert_eq!(translated.config["api"]["auth"], "none");
    let notes = translated.notes.join("\n");
    assert!(notes.contains("`mail` has no settings"), "{notes}");
    assert!(translated.config["actions"].get("mail").is_none());
}

#[test]
fn csfs_file_of_k8s_is_the_kubeconfig_itself() {
    let config = WHOLE.replace("[onetime, dummy]", "[k8s]");
    let (dir, translated) = folder(&config, &[("k8s.yaml", "apiVersion: v1\nkind: Config\n")]);
    let source = &translated.unwrap().config["sources"][0];
    let file = dir.path().join("k8s.yaml");
    assert_eq!(
        *source,
        json!({ "id": "k8s", "module": "k8s", "kubeconfig": file })
    );
    let both = config.replace("[mail, dummy]", "[k8s, k8s_imagevalidate]");
    let (_dir, translated) = folder(&both, &[("k8s", "kind: Config\n")]);
    let actions = &translated.unwrap().config["actions"];
    assert!(actions["k8s"]["kubeconfig"].is_string(), "{actions}");
    assert_eq!(actions["k8s_imagevalidate"], json!({}));
    let (_dir, translated) = folder(&config, &[("k8s.yaml", "\n")]);
    let translated = translated.unwrap();
    assert_eq!(
        translated.config["sources"][0],
        json!({ "id": "k8s", "module": "k8s" })
    );
    let notes = translated.notes.join("\n");
    assert!(notes.contains("service account of the pod"), "{notes}");
}

#[test]
fn csfs_files_of_openstack_and_vuls_are_taken_as_they_are() {
    let config = WHOLE
        .replace("[onetime, dummy]", "[openstack]")
        .replace("[mail, dummy]", "[vuls]");
    let openstack = "rabbit_url: amqp://u:p@rabbit:5672//\n";
    let vuls = "db_path: /srv/db\nlogs_path: ''\nssh_key_path: /srv/key\n\
                use_host_docker_socket: false\ndocker_endpoint: unix:///var/run/docker.sock\n";
    let files = [("openstack.yml", openstack), ("vuls.yml", vuls)];
    let (_dir, translated) = folder(&config, &files);
    let translated = translated.unwrap().config;
    let source = json!({
        "id": "openstack", "module": "openstack", "rabbit_url": "amqp://u:p@rabbit:5672//",
        "topics": ["versioned_notifications"],
    });
    assert_eq!(translated["sources"], json!([source]));
    let action = json!({ "vuls": {
        "db_path": "/srv/db", "ssh_key_path": "/srv/key", "use_host_docker_socket": false,
        "docker_endpoint": "unix:///var/run/docker.sock",
    } });
    assert_eq!(translated["actions"], action);

    let (_dir, without) = folder(&config, &files[1..]);
    let refused = without.unwrap_err().to_string();
    assert!(refused.contains("no `rabbit_url`"), "{refused}");
    let (_dir, without) = folder(&config, &files[..1]);
    let notes = without.unwrap().notes.join("\n");
    assert!(notes.contains("no `docker_endpoint`"), "{notes}");
}

#[test]
fn csfs_validator_listens_where_it_did_and_on_any_path() {
    let config = WHOLE.replace("[onetime, dummy]", "[k8s_imagevalidator]");
    let file = "webhook_endpoint: '127.0.0.1:1323'\ncertificate: a.crt\nkey: a.key\n";
    let (_dir, translated) = folder(&config, &[("k8s_imagevalidator.yml", file)]);
    let expected = json!({
        "id": "k8s_imagevalidator", "module": "k8s_imagevalidator",
        "webhook_endpoint": "127.0.0.1:1323", "certificate": "a.crt", "key": "a.key",
        "image_policy_path": "*",
    });
    assert_eq!(translated.unwrap().config["sources"][0], expected);
}

#[test]
fn what_cannot_be_honoured_is_refused_all_at_once() {
    let wrong = "
csf: {logLevel: debug, logFormat: xml, eventsources: [clair, falco], actionsModules: [Mail]}
api: {bindAddress: nowhere}
storage: {provider: etcd}
configProvider: {provider: localfiles, config: {path: DIR}}
";
    let (_dir, translated) = folder(wrong, &[]);
    let refused = translated.unwrap_err().to_string();
    for expected in [
        "csf.logLevel: `debug` is none of",
        "csf.logFormat: `xml`",
        "no `clair`; did you mean `Clair`?",
        "no `falco`; there are: onetime,",
        "no `Mail`; did you mean `mail`?",
        "api.bindAddress: `nowhere`",
        "storage.provider: `etcd`",
        "storage.config.path: is missing",
    ] {
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}

#[test]
fn a_folder_without_a_configuration_says_what_it_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let refused = crate::csf::read(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("no config.yaml in"), "{refused}");
}
