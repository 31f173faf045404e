//! The two lists that everything else is made from.

use conche_core::run::{OnUncertain, Repeat};
use conche_modules::{actions, sources};

use crate::support::{action, context, source};

#[test]
fn the_lists_are_in_order_and_describe_themselves() {
    let names: Vec<_> = actions::ALL.iter().map(|module| module.name).collect();
    assert_eq!(
        names,
        [
            "alertmanager",
            "bash",
            "caldera-cmd",
            "dummy",
            "elastic",
            "emit",
            "exec",
            "fin",
            "github",
            "gitlab",
            "http",
            "http-api",
            "jira",
            "jira_dc",
            "jupyter",
            "k8s",
            "k8s_imagevalidate",
            "kestrel",
            "klar",
            "list",
            "log",
            "mail",
            "misp",
            "openc2-http",
            "openwhisk",
            "pagerduty",
            "playbook",
            "powershell",
            "publish",
            "respond",
            "run_reaction",
            "sigma",
            "slack",
            "ssh",
            "teams",
            "thehive",
            "trivy",
            "vuls",
            "yara",
        ]
    );
    let names: Vec<_> = sources::ALL.iter().map(|module| module.name).collect();
    assert_eq!(
        names,
        [
            "Clair",
            "amqp",
            "dummy",
            "file",
            "k8s",
            "k8s_imagevalidator",
            "mqtt",
            "nats",
            "onetime",
            "openstack",
            "schedule",
            "syslog",
            "webhook"
        ]
    );
    for module in actions::ALL.iter() {
        assert!(
            (module.config)().is_object() && !module.summary.is_empty(),
            "{}",
            module.name
        );
        for spec in module.actions {
            assert_eq!(
                (spec.input)()["type"],
                "object",
                "{}.{}",
                module.name,
                spec.name
            );
            assert_eq!(
                (spec.output)()["type"],
                "object",
                "{}.{}",
                module.name,
                spec.name
            );
        }
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let schemas = actions::ALL
        .iter()
        .map(|module| (module.name, (module.config)()))
        .chain(
            sources::ALL
                .iter()
                .map(|module| (module.name, (module.config)())),
        );
    for (module, schema) in schemas {
        assert_eq!(schema["additionalProperties"], false, "{module}");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
            let text = setting["description"].as_str().unwrap_or_default();
            let has_default =
                text.contains("Default: ") || required.contains(&name.as_str().into());
            assert!(has_default, "{module}.{name}: {text}");
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_a_repeat_means_is_said_of_every_action() {
    let table = [
        (
            "alertmanager.silence",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("bash.execute", Repeat::Unsafe, OnUncertain::Attention),
        ("caldera-cmd.execute", Repeat::Probe, OnUncertain::Repeat),
        (
            "dummy.dummy_action",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("elastic.execute", Repeat::Idempotent, OnUncertain::Repeat),
        ("emit.emit", Repeat::Keyed, OnUncertain::Repeat),
        ("exec.run", Repeat::Unsafe, OnUncertain::Attention),
        ("fin.execute", Repeat::Unsafe, OnUncertain::Attention),
        (
            "github.create_issue",
            Repeat::Unsafe,
            OnUncertain::Attention,
        ),
        (
            "gitlab.create_issue",
            Repeat::Unsafe,
            OnUncertain::Attention,
        ),
        ("http.get", Repeat::Idempotent, OnUncertain::Repeat),
        ("http.request", Repeat::Unsafe, OnUncertain::Attention),
        ("http.request_keyed", Repeat::Keyed, OnUncertain::Repeat),
        ("http-api.execute", Repeat::Unsafe, OnUncertain::Attention),
        ("http-api.read", Repeat::Idempotent, OnUncertain::Repeat),
        ("jira.create_issue", Repeat::Unsafe, OnUncertain::Attention),
        (
            "jira_dc.create_issue",
            Repeat::Unsafe,
            OnUncertain::Attention,
        ),
        ("jupyter.execute", Repeat::Unsafe, OnUncertain::Attention),
        (
            "k8s.is_image_deployed",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        (
            "k8s.is_image_in_pods",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        (
            "k8s.find_workloads",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("k8s.label", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.annotate", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.scale", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.delete_pod", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.evict_pod", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.cordon", Repeat::Idempotent, OnUncertain::Repeat),
        ("k8s.quarantine", Repeat::Idempotent, OnUncertain::Repeat),
        (
            "k8s_imagevalidate.validate_image",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        (
            "k8s_imagevalidate.forget_decisions",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("kestrel.execute", Repeat::Unsafe, OnUncertain::Attention),
        ("klar.scan_image", Repeat::Idempotent, OnUncertain::Repeat),
        ("klar.scan_images", Repeat::Idempotent, OnUncertain::Repeat),
        ("list.add", Repeat::Idempotent, OnUncertain::Repeat),
        ("list.remove", Repeat::Idempotent, OnUncertain::Repeat),
        ("log.write", Repeat::Idempotent, OnUncertain::Repeat),
        ("mail.send_mail", Repeat::Unsafe, OnUncertain::Repeat),
        ("misp.add_event", Repeat::Probe, OnUncertain::Repeat),
        (
            "openc2-http.execute",
            Repeat::Unsafe,
            OnUncertain::Attention,
        ),
        ("openwhisk.execute", Repeat::Probe, OnUncertain::Attention),
        (
            "openwhisk.execute_keyed",
            Repeat::Keyed,
            OnUncertain::Repeat,
        ),
        ("openwhisk.fire", Repeat::Probe, OnUncertain::Attention),
        ("openwhisk.invoke", Repeat::Probe, OnUncertain::Attention),
        ("pagerduty.trigger", Repeat::Keyed, OnUncertain::Repeat),
        (
            "pagerduty.acknowledge",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("pagerduty.resolve", Repeat::Idempotent, OnUncertain::Repeat),
        ("playbook.run", Repeat::Keyed, OnUncertain::Repeat),
        ("powershell.execute", Repeat::Unsafe, OnUncertain::Attention),
        ("publish.mqtt", Repeat::Unsafe, OnUncertain::Attention),
        ("publish.nats", Repeat::Keyed, OnUncertain::Repeat),
        ("publish.amqp", Repeat::Unsafe, OnUncertain::Attention),
        ("respond.respond", Repeat::Idempotent, OnUncertain::Repeat),
        ("run_reaction.run", Repeat::Keyed, OnUncertain::Repeat),
        ("sigma.execute", Repeat::Idempotent, OnUncertain::Repeat),
        ("slack.post", Repeat::Unsafe, OnUncertain::Repeat),
        ("slack.message", Repeat::Unsafe, OnUncertain::Repeat),
        ("ssh.execute", Repeat::Unsafe, OnUncertain::Attention),
        ("teams.post", Repeat::Unsafe, OnUncertain::Repeat),
        ("thehive.create_alert", Repeat::Keyed, OnUncertain::Repeat),
        ("trivy.image", Repeat::Idempotent, OnUncertain::Repeat),
        ("trivy.fs", Repeat::Idempotent, OnUncertain::Repeat),
        ("trivy.sbom", Repeat::Idempotent, OnUncertain::Repeat),
        (
            "vuls.scan_instance",
            Repeat::Idempotent,
            OnUncertain::Repeat,
        ),
        ("yara.execute", Repeat::Idempotent, OnUncertain::Repeat),
    ];
    let found: Vec<_> = actions::ALL
        .iter()
        .flat_map(|module| {
            module
                .actions
                .iter()
                .map(|spec| (format!("{}.{}", module.name, spec.name), spec))
        })
        .map(|(name, spec)| (name, spec.repeat, spec.on_uncertain))
        .collect();
    let table: Vec<_> = table
        .map(|(name, repeat, uncertain)| (name.to_owned(), repeat, uncertain))
        .into();
    assert_eq!(found, table);
}

#[test]
fn a_misspelt_setting_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for module in actions::ALL.iter() {
        let refused = action(module.name, serde_json::json!({ "sevrer": 1 }), &cx)
            .err()
            .unwrap();
        assert_eq!(refused.place, format!("actions.{}", module.name));
        assert!(refused.message.contains("sevrer"), "{refused}");
    }
    for module in sources::ALL {
        let refused = source(module.name, serde_json::json!({ "sevrer": 1 }), &cx)
            .err()
            .unwrap();
        assert_eq!(refused.place, "sources.s");
        assert!(refused.message.contains("sevrer"), "{refused}");
    }
}

#[test]
fn a_secret_that_is_not_configured_is_refused_when_building() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let http = serde_json::json!({ "secrets": { "nope": { "hosts": ["*"] } } });
    let mail =
        serde_json::json!({ "server": "x", "user": "a@b.c", "password": { "secret": "nope" } });
    let webhook = serde_json::json!({ "path": "/x", "event_type": "t", "auth": { "bearer": { "secret": "nope" } } });
    let pair = serde_json::json!({ "path": "/x", "event_type": "t", "auth": { "bearer": [{ "secret": "nope" }] } });
    for refused in [
        action("http", http, &cx).err(),
        action("mail", mail, &cx).err(),
        source("webhook", webhook, &cx).err(),
        source("webhook", pair, &cx).err(),
    ] {
        assert!(refused.unwrap().message.contains("no secret `nope`"));
    }
    for (bearer, expected) in [
        (serde_json::json!([]), "one token, or a list of two"),
        (
            serde_json::json!([{ "secret": "a" }, { "secret": "b" }, { "secret": "c" }]),
            "one token, or a list of two",
        ),
        (
            serde_json::json!("nope"),
            "expected `{ secret: NAME }` or a list",
        ),
    ] {
        let config =
            serde_json::json!({ "path": "/x", "event_type": "t", "auth": { "bearer": bearer } });
        let refused = source("webhook", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
}
