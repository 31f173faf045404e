//! The generated description: true to the routes, and the same as the copy in `docs/`.

use std::collections::BTreeSet;
use std::path::Path;

use conche_api::{Access, openapi_document, routes};

use crate::server::Server;

#[test]
fn the_openapi_copy_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = openapi_document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("CONCHE_REWRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let copy = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        copy == text,
        "docs/openapi.json is out of date: CONCHE_REWRITE_GOLDEN=1 cargo test -p conche-api openapi"
    );
}

#[test]
fn every_route_is_described_and_every_description_is_routed() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert((method.to_uppercase(), path.clone()));
            let at = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{at}");
            assert!(operation["operationId"].is_string(), "{at}");
            assert!(operation["responses"]["default"].is_object(), "{at}");
        }
    }
    let native = || routes().into_iter().filter(|route| !route.is_foreign());
    let routed: BTreeSet<_> = native()
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(described, routed);
    for route in native() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let open = operation["security"] == serde_json::json!([]);
        assert_eq!(open, route.access == Access::Anyone, "{}", route.path);
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let text = document.to_string();
    let mut count = 0;
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn the_server_gives_the_same_document() {
    let served = Server::start().await.get("/openapi.json").await.ok(200);
    assert_eq!(served, serde_json::to_value(openapi_document()).unwrap());
}
