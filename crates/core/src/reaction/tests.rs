//! What is read as a reaction, and what is refused.

use super::*;

fn resolve(text: &str, format: Format) -> Result<Reaction, Error> {
    Authored::parse(text, format)?.resolve(&mut |path| match path {
        "decide.js" => Ok("nextAction = 'x'".to_owned()),
        _ => Err("no such file".to_owned()),
    })
}

#[test]
fn csf_json_and_yaml_of_the_same_reaction_have_one_digest() {
    let json = r#"{"name":"r","event":"e","script":"nextAction = 'x'","actions":{"x":{"module":"dummy","action":"dummy_action","script":""}}}"#;
    let yaml = "name: r\nevent: e\nscript_file: decide.js\nactions:\n  x: {module: dummy, action: dummy_action}\n";
    let (json, yaml) = (
        resolve(json, Format::Json).unwrap(),
        resolve(yaml, Format::Yaml).unwrap(),
    );
    assert_eq!(json.digest(), yaml.digest());
    assert_eq!(Reaction::from_text(&json.to_text()).unwrap(), json);
}

#[test]
fn csf_null_actions_mean_none() {
    let reaction = resolve(
        r#"{"actions":null,"name":"r","event":"e","script":""}"#,
        Format::Json,
    )
    .unwrap();
    assert!(reaction.actions.is_empty());
}

#[test]
fn errors_name_the_place_and_the_fault() {
    let error = resolve("name: r\nevent: e\nscrpt: x\n", Format::Yaml).unwrap_err();
    let Error::Syntax { line, message, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*line, 3, "{error}");
    assert!(
        message.contains("scrpt") && message.contains("script_file"),
        "{error}"
    );
    let error = resolve("{\"name\":\"r\",\n \"event\": 7}", Format::Json).unwrap_err();
    assert!(error.to_string().starts_with("line 2, column "), "{error}");
    assert!(!error.to_string().contains(" at line "), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, part) in [
        ("name: ' '\nevent: e\nscript: ''\n", "'name' is empty"),
        ("name: r\nscript: ''\n", "event types"),
        ("name: r\nevent: e\n", "needs a 'script'"),
        (
            "name: r\nevent: e\nscript: a\nscript_file: decide.js\n",
            "not both",
        ),
        ("name: r\nevent: e\nscript_file: gone.js\n", "no such file"),
        (
            "name: r\nevent: e\nscript: ''\nactions: {a: {module: m, action: b, retry: {attempts: 0}}}\n",
            "at least 1",
        ),
        (
            "name: r\nevent: e\nscript: ''\nactions: {a: {module: m, action: b, timeout: 0s}}\n",
            "'timeout' is longer than nothing",
        ),
        (
            "name: r\nevent: e\nscript: ''\nlimits: {deadline: 0s}\n",
            "'limits.deadline' is longer than nothing",
        ),
        (
            "name: r\nevent: e\nscript: ''\nlimits: {steps: 0}\n",
            "'limits.steps' is at least 1",
        ),
        (
            "name: r\nevent: e\nscript: ''\ndedup: {window: 8d}\n",
            "'dedup.window' is longer than nothing and at most 7d",
        ),
        (
            "name: r\nevent: e\nscript: ''\nthrottle: {limit: 0, per: 1m}\n",
            "'throttle.limit' is a whole number from 1 to 1000",
        ),
        (
            "name: r\nevent: e\nscript: ''\ndebounce: {wait: 1m, max_wait: 1s}\n",
            "'debounce.max_wait'",
        ),
        (
            "name: r\nevent: e\nscript: ''\ndebounce: {wait: 1m}\ngroup: {window: 1m}\n",
            "not both",
        ),
        (
            "name: r\nevent: e\nscript: ''\nlists: [fine, 'a b']\n",
            "'lists' names 'a b': the name of a list has",
        ),
        (
            "name: r\nevent: e\nscript: ''\nlists: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]\n",
            "'lists' names 17 lists; a reaction reads at most 16",
        ),
    ] {
        let error = resolve(text, Format::Yaml).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn odd_names_are_refused_where_they_stand() {
    let json = |name: &str| {
        let name = serde_json::Value::from(name);
        format!("{{\"event\":\"e\",\n\"script\":\"\",\"name\":{name}}}")
    };
    // JSON is YAML, but for one escape that we do not need here.
    for format in [Format::Json, Format::Yaml] {
        for name in ["", "..", "a/b", "a\nb", "a\u{202E}b", &"x".repeat(201)] {
            let error = resolve(&json(name), format).unwrap_err();
            let Error::Syntax { line, message, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(*line, 2, "{error}");
            assert!(message.contains("'name'"), "{error}");
        }
        let fine = resolve(&json("Prüfung des 安全 (prod)"), format).unwrap();
        assert_eq!(fine.name, "Prüfung des 安全 (prod)");
    }
}

#[test]
fn yaml_alias_bombs_are_refused() {
    let mut text = "name: r\nevent: e\nscript: ''\nwhen: &a0 aaaaaaaaaa\n".to_owned();
    text.push_str("events: [");
    text.push_str(&"*a0,".repeat(2_000_000));
    text.push_str("]\n");
    assert!(resolve(&text, Format::Yaml).is_err());
}

#[test]
fn storm_controls_are_read_in_order_and_leave_other_digests_alone() {
    let plain = "name: r\nevent: e\nscript: ''\n";
    let text = format!(
        "{plain}throttle: {{key: event.subject, limit: 5, per: 1m}}\ndedup: {{window: 10m}}\ngroup: {{key: event.data.ip, window: 1m}}\n"
    );
    let reaction = resolve(&text, Format::Yaml).unwrap();
    let controls = reaction.controls();
    let order: Vec<&str> = controls
        .watches
        .iter()
        .map(|(watch, _)| watch.control().as_str())
        .collect();
    assert_eq!(order, ["dedup", "throttle"]);
    let window = std::time::Duration::from_mins(1);
    let (gather, key) = controls.gather.unwrap();
    assert_eq!(gather, crate::storm::Gather::Group { window, max: 100 });
    assert_eq!(key.as_deref(), Some("event.data.ip"));
    assert_eq!(Reaction::from_text(&reaction.to_text()).unwrap(), reaction);
    let plain = resolve(plain, Format::Yaml).unwrap();
    assert!(!plain.to_text().contains("dedup"), "{}", plain.to_text());
}

#[test]
fn lists_are_kept_once_each_and_leave_other_digests_alone() {
    let plain = "name: r\nevent: e\nscript: ''\n";
    let listed = |lists: &str| resolve(&format!("{plain}lists: {lists}\n"), Format::Yaml).unwrap();
    let reaction = listed("[b, a, b]");
    assert_eq!(reaction, listed("[a, b]"));
    assert_eq!(Reaction::from_text(&reaction.to_text()).unwrap(), reaction);
    let plain = resolve(plain, Format::Yaml).unwrap();
    assert_eq!(listed("[]").to_text(), plain.to_text());
    assert!(!plain.to_text().contains("lists"), "{}", plain.to_text());
}
