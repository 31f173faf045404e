//! Recipes of one's own: what is wrong is said when they are read.

use conche_modules::actions::{self, Recipe};

/// A recipe with one thing in it changed.
fn recipe(from: &str, to: &str) -> Result<Recipe, actions::RecipeError> {
    let text = "
name: mine
summary: Mine.
settings:
  url: { description: Where., required: true }
  key: { description: Shown., secret: true }
actions:
  - name: do
    summary: Does.
    repeat: keyed
    input: { required: [a], properties: { a: { description: A., type: string } } }
    request:
      base: url
      path: '/x/{{ input.a }}'
      key_header: Idempotency-Key
      auth: { bearer: key }
      json: { a: ['{{ input.a|upper }}'] }
    response: { ok: [200], output: { id: /id } }
";
    assert!(text.contains(from), "{from}");
    Recipe::read(&text.replacen(from, to, 1))
}

#[test]
fn a_recipe_that_makes_no_sense_is_refused_when_it_is_read() {
    assert!(recipe("mine", "mine").is_ok());
    let table = [
        ("name: mine", "name: Mine!", "a name has"),
        ("summary: Mine.", "sumary: Mine.", "sumary"),
        ("base: url", "base: nowhere", "no setting `nowhere`"),
        ("{ bearer: key }", "{ bearer: kee }", "no setting `kee`"),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ input.b }}'",
            "no `input.b`",
        ),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ settings.b }}'",
            "no `settings.b`",
        ),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ input.a'",
            "has no `}}`",
        ),
        ("path: '/x/{{ input.a }}'", "path: '//evil.example'", "path"),
        ("path: '/x/{{ input.a }}'", "path: 'x'", "begins with `/`"),
        (
            "{{ input.a|upper }}",
            "{{ input.a|uper }}",
            "no filter `uper`",
        ),
        ("{{ input.a|upper }}", "{{ input.a ~ input.a }}", "operator"),
        (
            "{{ input.a|upper }}",
            "{{ call.attempt }}",
            "no `call.attempt`",
        ),
        (
            "key_header: Idempotency-Key",
            "headers: { X: y }",
            "needs `key_header`",
        ),
        (
            "key_header: Idempotency-Key",
            "headers: { Authorization: y }",
            "can't be set here",
        ),
        ("repeat: keyed", "repeat: probe", "go together"),
        ("required: [a]", "required: [b]", "is no property"),
        ("type: string }", "type: text }", "text"),
        ("type: string }", "type: string, pattern: x }", "pattern"),
        ("{ id: /id }", "{ id: id }", "not a JSON Pointer"),
        (
            "ok: [200]",
            "already: { status: 400, pointer: /m, contains: [] }",
            "would hold for any text",
        ),
        (
            "request:",
            "request:\n      method: CONNECT",
            "not a usable method",
        ),
        (
            "secret: true",
            "secret: true, default: x",
            "a default is neither",
        ),
        ("  key:", "  timeout:", "every recipe has a setting"),
    ];
    for (from, to, expected) in table {
        let refused = recipe(from, to).unwrap_err().to_string();
        assert!(refused.contains(expected), "{to}: {refused}");
    }
}
