//! What Node's runtime answers, row by row, and the ways to bring code.

use serde_json::{Value, json};

use super::rig::{
    NODE, Rig, binary, error, is_developer_error, lines, main, named, returned, rig, tarred, text,
    zipped,
};
use conche_openwhisk_host::runtimes::Runtimes as _;

async fn error_of(rig: &Rig, code: &str) -> (&'static str, Value, bool) {
    let ran = rig.run(named(code, text(NODE, code))).await;
    let (class, error) = error(&ran);
    let error = error.clone();
    let again = rig.run(named(code, text(NODE, code))).await;
    (class, error, again.init.is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_does_not_load_is_a_developer_error_that_says_why() {
    let Some(rig) = rig(NODE).await else { return };
    let rows = [
        (
            "function main( {",
            "Initialization has failed due to: SyntaxError: ",
        ),
        (
            "throw new RangeError('R')",
            "Initialization has failed due to: RangeError: R\n",
        ),
        (
            "const x = 1",
            "Initialization has failed due to: Action entrypoint 'main' is not a function.",
        ),
        (
            "require('nothing-of-the-kind')",
            "Initialization has failed due to: Error: Cannot find module 'nothing-of-the-kind'",
        ),
    ];
    for (code, beginning) in rows {
        let (class, error, _) = error_of(&rig, code).await;
        assert_eq!(class, "action developer error");
        assert!(
            error.as_str().unwrap().starts_with(beginning),
            "{code}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_returned_decides_the_class_and_whether_the_process_stays() {
    let Some(rig) = rig(NODE).await else { return };
    assert_eq!(
        returned(
            rig.run(named("u", text(NODE, "const main = () => {}")))
                .await
        ),
        json!({})
    );
    let application = "application error";
    let developer = "action developer error";
    let rows = [
        (
            "const main = () => ({ error: 'x' })",
            application,
            json!("x"),
            true,
        ),
        (
            "const main = () => ({ error: null, a: 1 })",
            application,
            json!(null),
            true,
        ),
        (
            "const main = () => Promise.reject('x')",
            application,
            json!("x"),
            true,
        ),
        (
            "const main = () => Promise.reject()",
            application,
            json!({}),
            true,
        ),
        (
            "const main = async () => { throw { a: 1 } }",
            application,
            json!({ "a": 1 }),
            true,
        ),
        (
            "const main = async () => 'x'",
            developer,
            json!("The action did not return a dictionary."),
            false,
        ),
        (
            "const main = () => { throw new Error('T') }",
            developer,
            json!("An error has occurred: Error: T"),
            false,
        ),
        (
            "const main = () => ({ a: 1n })",
            developer,
            json!("An error has occurred: TypeError: Do not know how to serialize a BigInt"),
            false,
        ),
        (
            "const main = () => null",
            developer,
            json!("The action did not produce a valid JSON or JSON Array response: null"),
            false,
        ),
        (
            "const main = () => process.exit(0)",
            developer,
            json!("The action did not produce a valid response and exited unexpectedly."),
            false,
        ),
        (
            "const main = () => new Promise(() => setTimeout(() => { throw 1 }, 1))",
            developer,
            json!("The action did not produce a valid response and exited unexpectedly."),
            false,
        ),
    ];
    for (code, class, text, stays) in rows {
        assert_eq!(error_of(&rig, code).await, (class, text, stays), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_error_is_told_with_name_message_stack_and_its_own_properties() {
    let Some(rig) = rig(NODE).await else { return };
    let code = "async function main() { const e = new TypeError('A'); e.code = 7; throw e }";
    let (class, error, _) = error_of(&rig, code).await;
    assert_eq!(class, "application error");
    let told = [&error["name"], &error["message"], &error["code"]];
    assert_eq!(told, [&json!("TypeError"), &json!("A"), &json!(7)]);
    let stack = error["stack"].as_str().unwrap();
    assert!(
        stack.starts_with("TypeError: A\n") && stack.contains("action.js:1"),
        "{stack}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_its_start_is_told_so() {
    let Some(rig) = rig(NODE).await else { return };
    let ran = rig
        .run(text(NODE, "console.log('going'); process.exit(1)"))
        .await;
    is_developer_error(
        &ran,
        "The action did not initialize and exited unexpectedly.",
    );
    let doubt =
        "stderr: The action did not initialize or run as expected. Log data might be missing.";
    assert_eq!(lines(&ran), ["stdout: going", doubt]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_the_module_survives_warm_calls() {
    let Some(rig) = rig(NODE).await else { return };
    for count in 1..=3 {
        let ran = rig
            .run(text(NODE, "let n = 0; const main = () => ({ n: ++n })"))
            .await;
        assert_eq!(returned(ran), json!({ "n": count }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_may_export_its_entry_point_and_load_what_node_has() {
    let Some(rig) = rig(NODE).await else { return };
    let codes = [
        "exports.main = () => ({ sep: require('path').sep })",
        "module.exports = { main: () => ({ sep: require('node:path').sep }) }",
        "exports.main = async () => ({ sep: (await import('path')).sep })",
        "const { sep } = require('path'); let main = function () { return { sep } } // end",
    ];
    for code in codes {
        let ran = rig.run(named(code, text(NODE, code))).await;
        assert_eq!(returned(ran), json!({ "sep": "/" }), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_may_have_a_package_modules_and_files() {
    let Some(rig) = rig(NODE).await else { return };
    let index = "exports.main = (args) => ({ from: 'index' });";
    let archives = [
        ("index", None, zipped(&[("index.js", index)])),
        ("index", None, tarred(&[("./index.js", index)])),
        (
            "package",
            None,
            zipped(&[
                ("package.json", r#"{ "main": "lib/start.js" }"#),
                ("lib/start.js", "exports.main = () => ({ from: 'package' })"),
            ]),
        ),
        (
            "module",
            None,
            zipped(&[
                (
                    "index.js",
                    "exports.main = () => ({ from: require('left').name })",
                ),
                ("node_modules/left/index.js", "exports.name = 'module'"),
            ]),
        ),
        (
            "file",
            Some("lib/other.go"),
            zipped(&[
                ("index.js", index),
                ("lib/other.js", "exports.go = () => ({ from: 'file' })"),
            ]),
        ),
        (
            "file read",
            None,
            zipped(&[
                (
                    "index.js",
                    "exports.main = () => ({ from: require('fs').readFileSync('data.txt', 'utf8') })",
                ),
                ("data.txt", "file read"),
            ]),
        ),
        (
            "esm",
            None,
            zipped(&[
                ("package.json", r#"{ "type": "module", "main": "x.js" }"#),
                ("x.js", "export const main = () => ({ from: 'esm' })"),
            ]),
        ),
    ];
    for (number, (from, entry, archive)) in archives.into_iter().enumerate() {
        let mut run = named(&number.to_string(), binary(NODE, &archive));
        run.code.main = entry.map(str::to_owned);
        assert_eq!(
            returned(rig.run(run).await),
            json!({ "from": from }),
            "{number}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_can_not_be_used_say_why() {
    let Some(rig) = rig(NODE).await else { return };
    let empty = rig
        .run(named("empty", binary(NODE, &zipped(&[("x.js", "")]))))
        .await;
    is_developer_error(
        &empty,
        "Initialization has failed due to: Zipped actions must contain either package.json or \
         index.js at the root.",
    );
    let broken = "There was an error uncompressing the action archive.";
    is_developer_error(
        &rig.run(named("none", binary(NODE, b"nothing"))).await,
        broken,
    );
    let outside = zipped(&[("../x.js", ""), ("index.js", "")]);
    is_developer_error(&rig.run(named("out", binary(NODE, &outside))).await, broken);
    let mut not_base64 = text(NODE, "exports.main = 1");
    not_base64.code.binary = true;
    is_developer_error(&rig.run(not_base64).await, broken);
    let no_entry = main(
        "other",
        named("no", binary(NODE, &zipped(&[("index.js", "")]))),
    );
    is_developer_error(
        &rig.run(no_entry).await,
        "Initialization has failed due to: Action entrypoint 'other' is not a function.",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_carried_out_by_the_one_that_is_there_and_that_is_told() {
    let Some(rig) = rig(NODE).await else { return };
    let kinds = rig.kinds();
    let default = kinds
        .iter()
        .find(|kind| kind.default && kind.family == "nodejs")
        .unwrap();
    assert_eq!(default.carried_out_by, None);
    let other = kinds
        .iter()
        .find(|kind| kind.family == "nodejs" && !kind.default)
        .unwrap();
    let ran = rig
        .run(text(&other.kind, "const main = () => process.versions"))
        .await;
    let told = ran.carried_out_by.clone().unwrap();
    let version = returned(ran)["node"].as_str().unwrap().to_owned();
    assert_eq!(told, format!("node {version}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_of_the_host_can_be_loaded_where_it_has_some() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let modules = folder.path().join("node_modules");
    std::fs::create_dir_all(modules.join("shared")).unwrap();
    std::fs::write(modules.join("shared/index.js"), "exports.name = 'shared'").unwrap();
    open(folder.path());
    let mut settings = super::rig::settings_for(NODE);
    settings.programs.node_modules = Some(modules);
    let Some(rig) = super::rig::rig_with(NODE, settings).await else {
        return;
    };
    let code = "const main = () => ({ name: require('shared').name })";
    assert_eq!(
        returned(rig.run(text(NODE, code)).await),
        json!({ "name": "shared" })
    );
}

/// Lets other users in.
fn open(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
