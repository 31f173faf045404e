//! The functions folder of a server: what is in it is on the embedded host, and follows it.

use std::fs;

use serde_json::{Value, json};

use crate::openwhisk::Host;
use crate::server::{Site, eventually};

const HOST: &str = "openwhisk: { host: { listen: \"127.0.0.1:0\" } }\n";

/// A site with one function, which says a word.
fn site() -> Site {
    let site = Site::new(HOST);
    fs::create_dir(site.path("functions")).unwrap();
    site.write("functions/greet.js", &says("one"));
    site
}

fn says(word: &str) -> String {
    format!("function main() {{ return {{ said: '{word}' }} }}")
}

/// Waits until a function says something.
fn said(host: &Host, name: &str, word: &str) {
    eventually(&format!("{name} saying {word}"), || {
        let answer = host.invoke(name, &json!({}));
        (answer == (200, json!({ "said": word }))).then_some(())
    });
}

fn status(host: &Host, name: &str) -> u16 {
    host.ask("GET", &format!("actions/{name}"), &Value::Null).0
}

fn gone(host: &Host, name: &str) {
    eventually(&format!("the end of {name}"), || {
        (status(host, name) == 404).then_some(())
    });
}

#[test]
fn functions_of_the_folder_are_there_at_the_start_and_follow_it() {
    let site = site();
    let server = site.start();
    let host = Host::of(&site);
    // Not eventually: they are there before anything can call them.
    assert_eq!(
        host.invoke("greet", &json!({})),
        (200, json!({ "said": "one" }))
    );
    site.logged("functions loaded");

    host.action("own", "quickjs:1", &says("own"));
    site.write("functions/greet.js", &says("another"));
    site.write("functions/more.js", &says("more"));
    said(&host, "greet", "another");
    said(&host, "more", "more");
    fs::remove_file(site.path("functions/greet.js")).unwrap();
    gone(&host, "greet");
    assert_eq!(status(&host, "own"), 200, "what others made stays");

    // What changes while the server is away is taken up when it is back.
    drop(server);
    fs::remove_file(site.path("functions/more.js")).unwrap();
    site.write("functions/late.js", &says("late"));
    let _server = site.start();
    let host = Host::of(&site);
    said(&host, "late", "late");
    assert_eq!((status(&host, "more"), status(&host, "own")), (404, 200));
}

#[test]
fn what_is_wrong_in_the_folder_is_told_and_the_last_good_version_stays() {
    let site = site();
    let _server = site.start();
    let host = Host::of(&site);
    let refused = "function refused: what was there of it stays";
    // No archive any more, a kind that no host here has, a file from elsewhere, and one that is
    // good beside them.
    site.write("elsewhere.js", &says("elsewhere"));
    let link = site.path("functions/outside.js");
    std::os::unix::fs::symlink(site.path("elsewhere.js"), link).unwrap();
    site.write("functions/greet.zip", "no archive");
    fs::remove_file(site.path("functions/greet.js")).unwrap();
    site.write("functions/old.rb", "def main(args)\n  {}\nend\n");
    site.write("functions/good.js", &says("good"));
    said(&host, "good", "good");
    site.logged(refused);
    site.logged("greet.zip: ");
    site.logged("outside.js: it is outside of the folder");
    site.logged("action /guest/old: rejected with 400");
    assert_eq!(host.invoke("greet", &json!({})).1, json!({ "said": "one" }));
    assert_eq!(status(&host, "old"), 404);

    // A manifest says it all; one that is wrong changes nothing.
    let manifest = |key: &str| {
        format!(
            "packages:\n  default:\n    actions:\n      greet:\n        {key}: greet.js\n        \
             runtime: quickjs:1\n    triggers: {{ t: }}\n    rules: {{ r: {{ trigger: t, action: greet }} }}\n"
        )
    };
    site.write("functions/manifest.yaml", &manifest("functoin"));
    site.logged("manifest.yaml:5:9: /packages/default/actions/greet/functoin: ");
    assert_eq!(host.invoke("greet", &json!({})).1, json!({ "said": "one" }));
    assert_eq!(host.invoke("good", &json!({})).1, json!({ "said": "good" }));
    site.write("functions/greet.js", &says("two"));
    site.write("functions/manifest.yaml", &manifest("function"));
    said(&host, "greet", "two");
    gone(&host, "good");
    let (status, fired) = host.ask("POST", "triggers/t", &json!({}));
    assert_eq!(status, 202, "{fired}");
}
