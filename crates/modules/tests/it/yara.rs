//! `yara` with the real program, on files of this machine and of a host behind a real SSH server.

use std::path::{Path, PathBuf};

use conche_modules::{BuildContext, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::installed;
use crate::ssh::server::{Sshd, permanent, user};
use crate::support::{action, context, invoke};

const RULE: &str = r#"
rule evil { strings: $a = "EVIL" $b = { 00 01 } condition: any of them }
rule small { condition: filesize < 3 }
"#;

struct Scans {
    folder: TempDir,
    config: Value,
    cx: BuildContext,
}

impl Scans {
    fn new() -> Option<Self> {
        let program = installed("yara")?;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("q");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        let secrets = folder.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let cx = context(&secrets, &[("key", "hunter22-hunter22")]);
        cx.secrets.get("key").unwrap();
        let config = json!({
            "program": program, "roots": [root], "user": user(), "max_file": "1KiB", "max_files": 4,
        });
        Some(Self { folder, config, cx })
    }

    /// Writes a file below the root.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("q").join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn execute(&self, input: Value) -> Result<Value, Error> {
        let module = action("yara", self.config.clone(), &self.cx).unwrap();
        invoke(&module, "execute", input).await
    }
}

fn step(rule: &str, paths: &[&Path]) -> Value {
    json!({
        "command": { "type": "yara", "command": rule, "paths": paths },
        "agent": { "id": "conche--1", "type": "conche", "name": "conche" },
    })
}

#[tokio::test]
async fn matches_are_told_with_their_strings_and_secrets_masked() {
    let Some(scans) = Scans::new() else { return };
    let bad = scans.file("bad file", b"x EVIL\x00\x01");
    let good = scans.file("good", b"nothing here");
    let rule = format!("{RULE} rule key {{ strings: $k = /hunter22-hunter22/ condition: $k }}");
    scans.file("sub/key", b"hunter22-hunter22\nevil /q/x");
    let folder = scans.folder.path().join("q/sub");
    let found = scans.execute(step(&rule, &[&bad, &good, &folder])).await;
    let found = found.unwrap();
    let string = |name: &str, offset: u64, data: &str| json!({ "name": name, "offset": offset, "data": data });
    let sub = folder.join("key");
    let mut matches = found["matches"].as_array().unwrap().clone();
    matches.sort_by_key(|one| one["rule"].to_string());
    assert_eq!(
        matches,
        [
            json!({ "rule": "evil", "file": bad, "strings": [string("$a", 2, "EVIL"), string("$b", 6, "00 01")] }),
            json!({ "rule": "key", "file": sub, "strings": [string("$k", 0, "***key***")] }),
        ]
    );
    assert_eq!(
        (&found["matched"], &found["files"], &found["skipped"]),
        (&json!(true), &json!(3), &json!([]))
    );
    let found = scans.execute(step(RULE, &[&good])).await.unwrap();
    assert_eq!(
        found,
        json!({ "matched": false, "matches": [], "files": 1, "skipped": [] })
    );
}

#[tokio::test]
async fn paths_come_from_variables_where_the_command_names_none() {
    let Some(scans) = Scans::new() else { return };
    let bad = scans.file("bad", b"EVIL");
    let mut input = step(RULE, &[]);
    input["command"].as_object_mut().unwrap().remove("paths");
    input["variables"] = json!({
        "__file__": { "type": "uri", "value": format!("file://{}", bad.display()) },
        "__host__": { "type": "string", "value": "web1" },
        "__more__": { "type": "hash", "value": "/etc/passwd" },
    });
    let found = scans.execute(input.clone()).await.unwrap();
    assert_eq!(
        (&found["files"], &found["matched"]),
        (&json!(1), &json!(true))
    );
    input["variables"] = json!({});
    let message = permanent(scans.execute(input).await);
    assert!(message.contains("no file is named"), "{message}");
}

#[tokio::test]
async fn nothing_outside_of_the_folders_is_scanned() {
    let Some(scans) = Scans::new() else { return };
    let inside = scans.folder.path().join("q");
    let outside = scans.folder.path().join("outside");
    std::fs::write(&outside, "EVIL").unwrap();
    let link = inside.join("link");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let up = inside.join("../outside");
    for (path, expected) in [
        (outside.as_path(), "none of the folders"),
        (&link, "none of the folders"),
        (&up, "is no absolute path"),
        (Path::new("q"), "is no absolute path"),
        (&inside.join("absent"), "can't scan"),
    ] {
        let message = permanent(scans.execute(step(RULE, &[path])).await);
        assert!(message.contains(expected), "{message}");
    }
    // In a folder a link is passed by.
    let found = scans.execute(step(RULE, &[&inside])).await.unwrap();
    assert_eq!(
        (&found["files"], &found["matched"]),
        (&json!(0), &json!(false))
    );
    let mut off = scans.config.clone();
    off["roots"] = json!([]);
    let module = action("yara", off, &scans.cx).unwrap();
    let message = permanent(invoke(&module, "execute", step(RULE, &[&inside])).await);
    assert!(message.contains("nothing may be scanned"), "{message}");
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_left_out_and_said_so() {
    let Some(scans) = Scans::new() else { return };
    for name in ["a", "b", "c", "d", "e"] {
        scans.file(name, b"EVIL");
    }
    scans.file("0 large", &[b'x'; 1025]);
    scans.file("1 odd\nevil x", b"EVIL");
    let root = scans.folder.path().join("q");
    let found = scans.execute(step(RULE, &[&root])).await.unwrap();
    let reasons: Vec<_> = found["skipped"].as_array().unwrap().iter().collect();
    let told: Vec<_> = reasons
        .iter()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "it is larger than 1KiB",
            "its name is no line of text",
            "there are more than `max_files`"
        ]
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_rule_that_is_wrong_or_reads_other_files_is_refused() {
    let Some(scans) = Scans::new() else { return };
    let file = scans.file("f", b"x");
    for (rule, expected) in [
        ("rule {", "syntax error"),
        (
            "include \"/etc/passwd\"\nrule a { condition: true }",
            "an `include`",
        ),
        (
            "rule a{condition:true}include/* \n */ // x\n\"/etc/passwd\"",
            "an `include`",
        ),
        ("", "no command"),
    ] {
        let message = permanent(scans.execute(step(rule, &[&file])).await);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn files_of_a_host_are_fetched_from_below_the_folders_and_scanned() {
    let Some(mut scans) = Scans::new() else {
        return;
    };
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let bad = scans.file("it's $(bad)", b"\x00\x01 EVIL");
    let large = scans.file("large", &[b'x'; 2000]);
    let outside = scans.folder.path().join("outside");
    std::fs::write(&outside, "EVIL").unwrap();
    let link = scans.folder.path().join("q/link");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    scans.config["ssh"] = sshd.config();
    scans.cx = sshd.context();
    // An address as that of another machine.
    let mut target = sshd.target();
    target["address"] = json!({ "url": [format!("ssh://127.0.0.1:{}", sshd.port)] });
    let step = |path: &Path, more: &Path| {
        let mut input = step(RULE, &[path, more]);
        input["target"] = target.clone();
        input
    };
    let found = scans.execute(step(&bad, &large)).await.unwrap();
    assert_eq!(found["matches"][0]["file"], json!(bad));
    assert_eq!(found["matches"][0]["strings"][1]["offset"], 0);
    assert_eq!(
        found["skipped"],
        json!([{ "file": large, "reason": "it is larger than 1KiB" }])
    );
    for (path, expected) in [
        (&outside, "none of the folders"),
        (&link, "none of the folders"),
        (&bad.join("x"), "gives no file"),
    ] {
        let message = permanent(scans.execute(step(path, path)).await);
        assert!(message.contains(expected), "{message}");
    }
}
