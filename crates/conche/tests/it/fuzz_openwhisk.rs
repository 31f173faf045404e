//! Mutated names, requests and results of OpenWhisk: nothing panics, and who calls or answers
//! can't say what is the host's to say.

use conche_openwhisk::command::Command;
use conche_openwhisk::model::{EntityPath, FullyQualifiedName, Name};
use conche_openwhisk_host::web::{Extension, WebRequest, arguments, project, raw_arguments};
use conche_testkit::fuzz;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

#[test]
fn fuzz_openwhisk_names() {
    let guest = Name::parse("guest").unwrap();
    fuzz("openwhisk-names", |input| {
        let text = String::from_utf8_lossy(input);
        let in_body = FullyQualifiedName::parse_in_body(&text).ok();
        let read = FullyQualifiedName::parse(&text).ok();
        for name in read.iter().chain(&in_body) {
            let written = name.to_string();
            assert_eq!(FullyQualifiedName::parse(&written).as_ref(), Ok(name));
            assert_eq!(
                FullyQualifiedName::parse_in_body(&written).as_ref(),
                Ok(name)
            );
            let parts = written.split('/').skip(1);
            let is_name = |part: &str| Name::parse(part).is_ok();
            assert_eq!(
                parts.clone().filter(|part| is_name(part)).count(),
                parts.count()
            );
            let path = EntityPath::try_from(name.path().to_string());
            assert_eq!(path.unwrap().entity(name.name.clone()), *name);
            assert!(!name.clone().resolve(&guest).namespace.is_own_namespace());
        }
        let command = json!({ "type": "openwhisk", "command": format!("invoke {text}") });
        if let Ok(command) = Command::parse(&command)
            && let Ok(name) = command.name()
        {
            assert_eq!(
                Ok(&name),
                FullyQualifiedName::parse(&name.to_string()).as_ref()
            );
        }
        let (name, _) = Extension::split(&text);
        assert!(text.starts_with(name) && name.is_empty() == text.is_empty());
    });
}

#[test]
fn fuzz_openwhisk_results() {
    fuzz("openwhisk-results", |input| {
        let Ok(result) = serde_json::from_slice::<Value>(input) else {
            return;
        };
        for extension in [
            Extension::Http,
            Extension::Json,
            Extension::Html,
            Extension::Svg,
            Extension::Text,
        ] {
            for failed in [false, true] {
                let Ok(answer) = project(extension, &result, failed) else {
                    continue;
                };
                assert!(!answer.status.is_informational());
                let types = |name: &&http::HeaderName| *name == header::CONTENT_TYPE;
                let names = || answer.headers.iter().map(|(name, _)| name);
                let typed = names().filter(types).count();
                assert!(typed == 1 || typed == 0 && answer.body.is_empty());
                let own = [
                    header::CONTENT_LENGTH,
                    header::TRANSFER_ENCODING,
                    header::CONNECTION,
                ];
                assert!(names().all(|name| !own.contains(name)));
                if extension == Extension::Json {
                    let shown = if failed { &result["error"] } else { &result };
                    let told: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
                    assert_eq!(told.is_object(), shown.is_object());
                }
            }
        }
    });
}

#[test]
fn fuzz_openwhisk_requests() {
    fuzz("openwhisk-requests", |input| {
        let mut parts = input.splitn(3, |byte| *byte == b'\n');
        let mut part = || parts.next().unwrap_or_default();
        let query = String::from_utf8_lossy(part()).into_owned();
        let mut headers = HeaderMap::new();
        if let Ok(kind) = HeaderValue::from_bytes(part()) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        let asked = WebRequest {
            method: "POST",
            headers: &headers,
            path: "/more",
            query: &query,
            body: part(),
            user: None,
        };
        let hosts = |given: &serde_json::Map<String, Value>| {
            given["__ow_method"] == "post"
                && given["__ow_path"] == "/more"
                && given["__ow_headers"].is_object()
                && !given.contains_key("__ow_user")
        };
        if let Ok(given) = arguments(&asked, &["fixed"]) {
            assert!(hosts(&given) && !given.contains_key("__ow_query"));
            assert!(!given.contains_key("fixed"), "it is the owner's");
        }
        let raw = raw_arguments(&asked);
        assert!(hosts(&raw) && raw["__ow_query"] == query && raw.len() == 5);
    });
}
