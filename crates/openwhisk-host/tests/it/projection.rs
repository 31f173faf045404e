//! What results of web actions become, row by row and for anything at all.

use axum::http::{HeaderMap, StatusCode};
use conche_openwhisk_host::web::{
    Extension, ProjectError, Projected, WebRequest, arguments, project, raw_arguments,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const ALL: [Extension; 5] = [
    Extension::Http,
    Extension::Json,
    Extension::Html,
    Extension::Svg,
    Extension::Text,
];

fn of(extension: Extension, result: &Value) -> Result<Projected, ProjectError> {
    project(extension, result, false)
}

/// Status, content type and body.
#[track_caller]
fn shows(extension: Extension, result: &Value, wanted: (u16, Option<&str>, &str)) {
    let got = of(extension, result).unwrap_or_else(|error| panic!("{result}: {error}"));
    let kind = got.headers.iter().find(|(name, _)| name == "content-type");
    let kind = kind.map(|(_, value)| value.to_str().expect("text"));
    let body = String::from_utf8_lossy(&got.body);
    assert_eq!((got.status.as_u16(), kind, &*body), wanted, "{result}");
}

#[track_caller]
fn refuses(extension: Extension, result: &Value, status: u16, text: &str) {
    let error = of(extension, result).expect_err("a refusal");
    assert_eq!(
        (error.status().as_u16(), error.to_string().as_str()),
        (status, text),
        "{result}"
    );
}

const HTML: Option<&str> = Some("text/html; charset=UTF-8");
const JSON: Option<&str> = Some("application/json");

#[test]
fn http_results_are_answers_by_their_members() {
    let http = |result: Value, wanted| shows(Extension::Http, &result, wanted);
    http(json!({}), (204, None, ""));
    http(json!({ "any": 1 }), (204, None, ""));
    for empty in [json!(""), json!(null)] {
        http(json!({ "body": empty }), (204, None, ""));
        http(
            json!({ "body": empty, "statusCode": 201, "headers": { "content-type": "text/css" } }),
            (201, None, ""),
        );
    }
    http(json!({ "body": "<b>" }), (200, HTML, "<b>"));
    http(
        json!({ "body": "x", "statusCode": "404" }),
        (404, HTML, "x"),
    );
    http(
        json!({ "body": "x", "statusCode": 500.0 }),
        (500, HTML, "x"),
    );
    for (body, text) in [
        (json!({ "a": 1 }), "{\"a\":1}"),
        (json!([1]), "[1]"),
        (json!(7), "7"),
        (json!(true), "true"),
    ] {
        http(json!({ "body": body }), (200, JSON, text));
    }
    let headers = |kind: &str| json!({ "Content-Type": kind });
    http(
        json!({ "body": "a{}", "headers": headers("text/css") }),
        (200, Some("text/css; charset=UTF-8"), "a{}"),
    );
    http(
        json!({ "body": "aGk=", "headers": headers("image/png") }),
        (200, Some("image/png"), "hi"),
    );
    http(
        json!({ "body": "{\"a\":1}", "headers": headers("application/json") }),
        (200, JSON, "{\"a\":1}"),
    );
    http(
        json!({ "body": "eyJhIjoxfQ==", "headers": headers("application/json") }),
        (200, JSON, "{\"a\":1}"),
    );
    http(
        json!({ "body": { "a": 1 }, "headers": headers("application/ld+json") }),
        (200, Some("application/ld+json"), "{\"a\":1}"),
    );
}

#[test]
fn http_results_that_are_no_answers_are_refused() {
    let not_http = "Response is not valid 'message/http'.";
    for result in [
        json!([1]),
        json!("text"),
        json!({ "statusCode": 20.5 }),
        json!({ "statusCode": 999 }),
        json!({ "statusCode": 100 }),
        json!({ "statusCode": "x" }),
        json!({ "statusCode": -200 }),
        json!({ "headers": "x" }),
        json!({ "headers": { "a": {} } }),
        json!({ "headers": { "a": [[1]] } }),
        json!({ "headers": { "a b": "c" } }),
        json!({ "headers": { "a": "b\r\nc: d" } }),
    ] {
        refuses(Extension::Http, &result, 400, not_http);
    }
    let mismatch = "Response type in header did not match generated content type.";
    refuses(
        Extension::Http,
        &json!({ "body": {}, "headers": { "content-type": "text/html" } }),
        400,
        mismatch,
    );
    let unknown = "Response did not specify a known content-type.";
    for (kind, body) in [("nonsense", "x"), ("image/png", "not base64!")] {
        let result = json!({ "body": body, "headers": { "content-type": kind } });
        refuses(Extension::Http, &result, 400, unknown);
    }
}

#[test]
fn headers_of_results_are_answered_but_for_those_of_the_connection() {
    let result = json!({ "headers": {
        "Set-Cookie": ["a=1", "b=2"], "X-Number": 7, "X-Flag": true,
        "Content-Length": 999, "Transfer-Encoding": "chunked", "Connection": "close",
    } });
    let got = of(Extension::Http, &result).unwrap();
    let headers: Vec<(&str, &str)> = got
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        headers,
        [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-number", "7"),
            ("x-flag", "true")
        ]
    );
}

#[test]
fn the_other_extensions_take_what_they_are_for() {
    shows(
        Extension::Json,
        &json!({ "a": 1 }),
        (200, JSON, "{\n  \"a\": 1\n}"),
    );
    shows(Extension::Json, &json!([]), (200, JSON, "[]"));
    refuses(
        Extension::Json,
        &json!("x"),
        400,
        "Response is not valid 'application/json'.",
    );
    for result in [
        json!("<b>"),
        json!({ "html": "<b>" }),
        json!({ "body": "<b>", "html": "no" }),
    ] {
        shows(Extension::Html, &result, (200, HTML, "<b>"));
    }
    for result in [
        json!({ "svg": "<b>" }),
        json!({ "html": 1 }),
        json!(7),
        json!([]),
    ] {
        refuses(
            Extension::Html,
            &result,
            400,
            "Response is not valid 'text/html'.",
        );
    }
    shows(
        Extension::Svg,
        &json!({ "svg": "<svg/>" }),
        (200, Some("image/svg+xml; charset=UTF-8"), "<svg/>"),
    );
    refuses(
        Extension::Svg,
        &json!({}),
        400,
        "Response is not valid 'image/svg+xml'.",
    );
    let text = Some("text/plain; charset=UTF-8");
    for (result, wanted) in [
        (json!("x"), "x"),
        (json!({ "text": 7 }), "7"),
        (json!({ "body": true, "text": "no" }), "true"),
        (json!({ "text": null }), "null"),
        (json!({ "text": [1] }), "[\n  1\n]"),
    ] {
        shows(Extension::Text, &result, (200, text, wanted));
    }
    refuses(
        Extension::Text,
        &json!({ "a": 1 }),
        404,
        "Response does not include requested property.",
    );
}

#[test]
fn an_error_of_the_application_is_projected_as_its_error() {
    let failed = |extension, result: Value| project(extension, &result, true);
    let got = failed(
        Extension::Http,
        json!({ "error": { "statusCode": 403, "body": "no" } }),
    );
    assert_eq!(got.unwrap().status, StatusCode::FORBIDDEN);
    let got = failed(Extension::Json, json!({ "error": { "a": 1 } })).unwrap();
    assert_eq!(
        got.status,
        StatusCode::OK,
        "an object under error is a result for .json"
    );
    assert!(failed(Extension::Http, json!({ "error": "text" })).is_err());
    assert_eq!(
        failed(Extension::Http, json!({})),
        Err(ProjectError::Property)
    );
}

#[test]
fn what_follows_the_last_dot_is_an_extension_only_where_it_is_known() {
    for (segment, name, extension) in [
        ("a", "a", Extension::Http),
        ("a.http", "a", Extension::Http),
        ("a.json", "a", Extension::Json),
        ("a.b.svg", "a.b", Extension::Svg),
        ("a.exe", "a.exe", Extension::Http),
        (".json", ".json", Extension::Http),
    ] {
        assert_eq!(Extension::split(segment), (name, extension));
    }
}

/// Any JSON, more often with the members that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".*".prop_map(Value::from),
        Just(json!("text/html")),
        Just(json!("application/json")),
        Just(json!("aGk=")),
    ];
    let key = prop_oneof![
        Just("statusCode".to_owned()),
        Just("headers".to_owned()),
        Just("body".to_owned()),
        Just("error".to_owned()),
        Just("content-type".to_owned()),
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let members = proptest::collection::vec((key.clone(), inner.clone()), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn anything_becomes_an_answer_or_a_refusal(result in any_json(), failed: bool) {
        for extension in ALL {
            match project(extension, &result, failed) {
                Ok(answer) => {
                    prop_assert!(!answer.status.is_informational());
                    let kinds = answer.headers.iter().filter(|(name, _)| name == "content-type");
                    let kinds = kinds.count();
                    prop_assert!(kinds <= 1 && (kinds == 1 || answer.body.is_empty()));
                    let framed = |name: &str| ["content-length", "transfer-encoding"].contains(&name);
                    prop_assert!(!answer.headers.iter().any(|(name, _)| framed(name.as_str())));
                }
                Err(error) => prop_assert!(error.status().is_client_error()),
            }
        }
    }

    #[test]
    fn nobody_but_the_host_says_what_the_request_is(
        query in "[a-z_=&%0-9]{0,40}|__ow_method=x|a=1&__ow_body=y",
        kind in "application/json|application/x-www-form-urlencoded|text/plain|",
        body in "\\PC{0,40}|\\{\"__ow_user\":1\\}|__ow_path=x",
        raw: bool,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a value"));
        let asked = WebRequest {
            method: "POST",
            headers: &headers,
            path: "/rest",
            query: &query,
            body: body.as_bytes(),
            user: None,
        };
        let given = if raw { Ok(raw_arguments(&asked)) } else { arguments(&asked, &["fixed"]) };
        if let Ok(given) = given {
            prop_assert_eq!(&given["__ow_method"], "post");
            prop_assert_eq!(&given["__ow_path"], "/rest");
            prop_assert_eq!(&given["__ow_headers"]["content-type"], &json!(kind));
            prop_assert!(!given.contains_key("__ow_user") && !given.contains_key("fixed"));
        }
    }
}
