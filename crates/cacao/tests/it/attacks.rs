//! Documents made to cost more than they are long. What looks at them must be done in a time that only work in proportion to its length can keep.

use std::fmt::Write;
use std::time::Duration;

use conche_cacao::check::{FINDINGS_MAX, LEVELS_MAX, PATTERNS_MAX};
use conche_cacao::graph::Flow;
use conche_cacao::graph::layout::Layout;
use conche_cacao::signature::{Policy, verify};
use conche_cacao::{Document, Finding, Profile, Severity, draw};

/// Of processor time, unoptimised; what grew with the square would take many times as long.
const PATIENCE: Duration = Duration::from_secs(20);
/// About how long each document is, in bytes.
const LENGTH: usize = 1 << 18;

/// What this thread has used, whatever else the machine does.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let used = statistics
        .split(' ')
        .next()
        .and_then(|used| used.parse().ok());
    Duration::from_nanos(used.expect("nanoseconds"))
}

/// One piece after another, numbered, up to the length.
fn repeated(piece: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < LENGTH {
        let comma = if number == 0 { "" } else { "," };
        write!(text, "{comma}{}", piece(number)).expect("text");
        number += 1;
    }
    text
}

fn workflow(steps: &str) -> String {
    format!(r#"{{"workflow_start":"s0","workflow_exception":"s0","workflow":{{{steps}}}}}"#)
}

/// A pattern of a condition that takes its time to compile.
const SLOW: &str = r"__x__:value MATCHES '\\\\pL{30}'";

/// Shapes of steps and of what stands in them.
fn shapes_of_steps() -> Vec<(&'static str, String)> {
    let long = "n".repeat(1000);
    let deep = format!("{{\"{long}\":").repeat(60);
    let chain = |number| format!(r#""s{number}":{{"type":"action","on_completion":"s0"}}"#);
    let half = LENGTH / 2;
    vec![
        (
            "long names around much",
            format!("{deep}[{}]{}", repeated(|_| "{}".into()), "}".repeat(60)),
        ),
        (
            "unknown properties",
            format!(
                "{{{}}}",
                repeated(|number| format!(r#""propert{number}":1"#))
            ),
        ),
        (
            "wrong elements",
            format!(r#"{{"labels":[{}]}}"#, repeated(|_| "1".into())),
        ),
        (
            "a long word",
            format!(r#"{{"playbook_types":["{}"]}}"#, "w".repeat(LENGTH)),
        ),
        ("many branches", {
            let next: Vec<String> = (0..10_000)
                .map(|number| format!(r#""s{number}""#))
                .collect();
            let parallel = format!(
                r#""s0":{{"type":"parallel","next_steps":[{}]}}"#,
                next.join(",")
            );
            let steps: Vec<String> = (1..10_000).map(chain).collect();
            workflow(&format!("{parallel},{}", steps.join(",")))
        }),
        ("ways back to a long name", {
            let name = "x".repeat(half);
            let back = vec![r#""s0""#; 100_000].join(",");
            workflow(&format!(
                r#""s0":{{"type":"parallel","name":"{name}","next_steps":["s1"]}},"s1":{{"type":"parallel","next_steps":[{back}]}}"#
            ))
        }),
        (
            "branches within branches",
            workflow(&repeated(|number| {
                format!(
                    r#""s{number}":{{"type":"while-condition","condition":"__x__:value = 1","on_true":"s{}","on_completion":"e","out_args":["__x__"]}}"#,
                    number + 1
                )
            })),
        ),
    ]
}

/// Shapes of what steps share, and of all else.
fn shapes_of_parts() -> Vec<(&'static str, String)> {
    vec![
        ("an agent that many steps share", {
            let texts = vec![r#""__a__:value""#; 40_000].join(",");
            let agent = r#""type":"action","agent":"a","targets":["a","a"]"#;
            let steps: Vec<String> = (0..10_000)
                .map(|number| format!(r#""s{number}":{{{agent}}}"#))
                .collect();
            let agent = format!(r#"{{"a":{{"type":"http-api","address":{{"url":[{texts}]}}}}}}"#);
            format!(
                r#"{{"agent_definitions":{agent},"target_definitions":{agent},{}"#,
                &workflow(&steps.join(","))[1..]
            )
        }),
        ("lines to each of many branches", {
            let next: Vec<String> = (0..10_000)
                .map(|number| format!(r#""n{number}""#))
                .collect();
            let line = |number| format!(r#"{{"next_steps":"m{number}"}}"#);
            let lines: Vec<String> = (0..10_000).map(line).collect();
            workflow(&format!(
                r#""s0":{{"type":"parallel","next_steps":[{}],"step_extensions":{{"extension-definition--418ee24c-9cb1-46d9-afa5-309e01aabc7f":{{"outgoing_connections":[{}]}}}}}}"#,
                next.join(","),
                lines.join(",")
            ))
        }),
        (
            "patterns",
            workflow(&repeated(|number| {
                format!(r#""s{number}":{{"type":"if-condition","condition":"{SLOW} OR {SLOW}"}}"#)
            })),
        ),
        (
            "underscores",
            workflow(&repeated(|number| {
                let text = format!("{}:value $$", "_".repeat(400));
                format!(r#""s{number}":{{"type":"action","commands":[{{"command":"{text}"}}]}}"#)
            })),
        ),
        (
            "numbers",
            format!(
                r#"{{"playbook_variables":{{"__a__":{{"type":"float","value":"{}"}}}}}}"#,
                "9".repeat(LENGTH)
            ),
        ),
        ("signatures of signatures", {
            let junk = repeated(|_| "0".into());
            let mut signature = format!(r#"{{"x":[{junk}]}}"#);
            for _ in 1..32 {
                signature = format!(
                    r#"{{"type":"jss","hash_algorithm":"sha-256","algorithm":"Ed25519","value":"AAAA","public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=","signature":{signature}}}"#
                );
            }
            format!(r#"{{"signatures":[{signature}]}}"#)
        }),
    ]
}

#[test]
fn no_shape_of_document_costs_more_than_its_length() {
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    let mut slow = Vec::new();
    for (name, text) in shapes_of_steps().into_iter().chain(shapes_of_parts()) {
        let began = processor_time();
        let document =
            Document::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let findings = document.check(Profile::Strict);
        assert!(findings.len() <= 2 * FINDINGS_MAX + 4, "{name}");
        let flow = Flow::of(document.value());
        let drawn = draw::svg(&flow, &Layout::of(&flow)).len();
        assert!(drawn < 100 * text.len(), "{name}: {drawn} bytes");
        drop(verify(&document, &Policy::trusting([]), now));
        drop(document.to_text());
        let took = processor_time().saturating_sub(began);
        if took > PATIENCE {
            slow.push(format!("{name} took {took:?}"));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

fn found(text: &str) -> Vec<Finding> {
    let document = Document::parse(text.as_bytes()).expect("I-JSON");
    document.check(Profile::Standard)
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn more_findings_than_anybody_reads_are_counted() {
    let wrong = vec!["1"; FINDINGS_MAX + 23].join(",");
    let findings = found(&format!(r#"{{"labels":[{wrong}],"surprise":1}}"#));
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), FINDINGS_MAX);
    assert!(
        codes(&findings).contains(&"CACAO004"),
        "warnings are counted apart"
    );
    let more = findings
        .iter()
        .find(|finding| finding.code == "CACAO111")
        .expect("the rest");
    // Beside the labels, everything that a playbook needs is missing.
    assert!(
        more.message
            .ends_with("more errors and 0 more warnings are not listed"),
        "{more}"
    );
    let first: usize = more
        .message
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    assert!(first >= 23, "{first}");
}

#[test]
fn branches_within_each_other_have_a_limit() {
    let nested = |levels: usize| {
        let mut steps =
            String::from(r#""s":{"type":"start","on_completion":"i1"},"e":{"type":"end"}"#);
        for level in 1..=levels {
            let inner = level + 1;
            write!(steps, r#","i{level}":{{"type":"if-condition","condition":"__x__:value = 1","on_true":"i{inner}","on_completion":"e{level}"}},"e{level}":{{"type":"end"}}"#).expect("text");
        }
        write!(steps, r#","i{}":{{"type":"end"}}"#, levels + 1).expect("text");
        found(&format!(
            r#"{{"workflow_start":"s","workflow":{{{steps}}}}}"#
        ))
    };
    assert!(!codes(&nested(LEVELS_MAX)).contains(&"CACAO110"));
    let deeper = nested(LEVELS_MAX + 1);
    assert_eq!(
        codes(&deeper)
            .iter()
            .filter(|code| **code == "CACAO110")
            .count(),
        1
    );
}

#[test]
fn patterns_have_a_limit_in_a_condition_and_in_a_playbook() {
    let of = |tests: usize, steps: usize| {
        let condition = vec!["__x__:value LIKE 'a%'"; tests].join(" OR ");
        let steps: Vec<String> = (0..steps)
            .map(|number| {
                format!(r#""s{number}":{{"type":"if-condition","condition":"{condition}"}}"#)
            })
            .collect();
        let findings = found(&workflow(&steps.join(",")));
        let has = |code| codes(&findings).contains(&code);
        (has("CACAO093"), has("CACAO110"))
    };
    assert_eq!(of(16, 1), (false, false));
    assert_eq!(of(17, 1), (true, false));
    assert_eq!(of(1, PATTERNS_MAX), (false, false));
    assert_eq!(of(1, PATTERNS_MAX + 1), (false, true));
}

#[test]
fn what_steps_share_is_told_once_and_looked_at_up_to_a_limit() {
    let playbook = |text: &str, steps: usize| {
        let steps: Vec<String> = (0..steps)
            .map(|number| format!(r#""s{number}":{{"type":"action","agent":"a"}}"#))
            .collect();
        let agents =
            format!(r#"{{"agent_definitions":{{"a":{{"type":"linux","name":"{text}"}}}},"#);
        found(&(agents + &workflow(&steps.join(","))[1..]))
    };
    let few = playbook("__nothing__:value", 3);
    assert_eq!(
        codes(&few)
            .iter()
            .filter(|code| **code == "CACAO081")
            .count(),
        1
    );
    let much = format!("__x__ {}", "x".repeat(100_000));
    assert!(!codes(&playbook(&much, 40)).contains(&"CACAO110"));
    assert!(codes(&playbook(&much, 45)).contains(&"CACAO110"));
}

#[test]
fn messages_are_short_and_show_what_hides() {
    let hidden = r"a\u001b[31m\n::error::\u202e\u200b";
    let findings = found(&format!(
        r#"{{"{hidden}":1,"type":"{}"}}"#,
        "t".repeat(5000)
    ));
    for finding in &findings {
        let line = finding.to_string();
        assert!(
            !line.contains(['\u{1b}', '\n', '\u{202e}', '\u{200b}']),
            "{line:?}"
        );
        assert!(finding.message.chars().count() <= 601, "{line}");
    }
    let named = findings
        .iter()
        .find(|finding| finding.code == "CACAO004")
        .expect("it is unknown");
    assert!(
        named
            .message
            .contains(r"a\u{1b}[31m\u{a}::error::\u{202e}\u{200b}"),
        "{named}"
    );
    assert_eq!(
        named.pointer, "/a\u{1b}[31m\n::error::\u{202e}\u{200b}",
        "programs get it as it is"
    );
}

#[test]
fn an_identifier_in_other_letters_is_not_another_one() {
    let step = r#"{"type":"action"}"#;
    let findings = found(&format!(
        r#"{{"workflow":{{"action--0b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10":{step},"action--0B6A8A5E-7f43-4c57-9d0a-3c3f7a1c9b10":{step}}}}}"#
    ));
    assert_eq!(
        codes(&findings)
            .iter()
            .filter(|code| **code == "CACAO019")
            .count(),
        1
    );
}
