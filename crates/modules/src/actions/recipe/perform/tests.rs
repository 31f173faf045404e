//! What a hostile input can do to a request: nothing but be its value.

use std::collections::BTreeMap;

use conche_runtime::clock::SystemClock;
use conche_runtime::egress::{Egress, EgressConfig};

use super::*;

const RECIPE: &str = "
name: hostile
summary: Takes what it is given.
settings: { url: { description: Where., required: true } }
actions:
  - name: do
    summary: Does.
    repeat: unsafe
    input: { required: [a], properties: { a: { description: A., type: string } } }
    request:
      method: DELETE
      base: url
      path: '/things/{{ input.a }}/part'
      query: { q: '{{ input.a }}' }
      headers: { X-A: '{{ input.a }}' }
      json: { a: 'x {{ input.a }}' }
";

/// The address and header of a request with this input.
fn request(given: &str) -> Result<(Url, HeaderValue), String> {
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::read(RECIPE).unwrap()));
    let cx = BuildContext {
        secrets: Arc::new(Secrets::load(BTreeMap::default())),
        egress: Arc::new(Egress::new(&EgressConfig::default()).unwrap()),
        clock: Arc::new(SystemClock),
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        json: Limits::default(),
    };
    let settings = json!({ "url": "https://service.example/base" });
    let performer = Performer {
        recipe,
        settings: Settings::read(recipe, settings, &cx).unwrap(),
        secrets: cx.secrets.clone(),
        clock: cx.clock.clone(),
        limits: cx.json,
    };
    let all = json!({ "input": { "a": given } });
    let values = Values {
        templates: Templates::new(all.as_object().unwrap()),
        settings: performer.settings.values(&cx.secrets).unwrap(),
    };
    let described = &recipe.actions[0].request;
    let url = performer.url(described, &values)?;
    let text = values.optional(&described.headers["X-A"])?;
    let header = header_value("X-A", &text.unwrap_or_default())?;
    let mut body = described.json.clone().unwrap();
    let is_left = values.templates.render_typed(&mut body);
    assert_eq!(is_left, Ok(true));
    assert_eq!(body, json!({ "a": format!("x {given}") }));
    Ok((url, header))
}

#[test]
fn an_input_stays_in_its_place_of_path_query_header_and_body() {
    for (given, part) in [
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("..%2f..", "..%252f.."),
        ("\\x\\", "%5Cx%5C"),
        ("@evil.example", "%40evil.example"),
        ("\"}, {\"b\": \"", "%22%7D%2C%20%7B%22b%22%3A%20%22"),
        ("{{ settings.url }}", "%7B%7B%20settings.url%20%7D%7D"),
    ] {
        let (url, header) = request(given).unwrap();
        assert_eq!(
            url.origin().ascii_serialization(),
            "https://service.example"
        );
        assert_eq!(url.path(), format!("/base/things/{part}/part"));
        let query: Vec<_> = url.query_pairs().collect();
        assert_eq!(query, [("q".into(), given.into())]);
        assert_eq!(
            (header.as_bytes(), url.fragment()),
            (given.as_bytes(), None)
        );
    }
}

#[test]
fn an_input_that_would_make_another_path_or_header_is_refused() {
    for (given, expected) in [
        ("", "has an empty part"),
        (".", "`.` or `..`"),
        ("..", "`.` or `..`"),
        ("../..", "`.` or `..`"),
        ("a/../b", "`.` or `..`"),
        ("..\\x", "`.` or `..`"),
        ("a\r\nX-Forged: 1", "forbidden character"),
        ("a\0", "forbidden character"),
    ] {
        let refused = request(given).unwrap_err();
        assert!(refused.contains(expected), "{given:?}: {refused}");
    }
}
