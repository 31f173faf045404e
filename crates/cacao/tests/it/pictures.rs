//! Pictures: every step and way is in them, and no name becomes markup.

use std::io::Write;
use std::process::{Command, Stdio};

use conche_cacao::draw;
use conche_cacao::graph::Flow;
use conche_cacao::graph::layout::Layout;
use serde_json::json;

use crate::faults::sound;

#[test]
fn every_step_and_way_is_drawn() {
    let document = sound();
    let flow = Flow::of(&document);
    let (steps, ways) = (flow.nodes().len(), flow.edges().len());
    assert_eq!((steps, ways), (20, 19));

    let svg = draw::svg(&flow, &Layout::of(&flow));
    assert_eq!(svg.matches("<g id=").count(), steps);
    assert_eq!(svg.matches("<path class=\"way").count(), ways);
    let mermaid = draw::mermaid(&flow);
    assert_eq!(mermaid.lines().count(), 1 + steps + ways);
    let dot = draw::dot(&flow);
    assert_eq!(dot.matches(" -> ").count(), ways);
}

#[test]
fn a_name_never_becomes_markup() {
    let name = "</title><script>alert(1)</script>\"]; click s0 \"javascript:x\" %%\u{202e}";
    let document = json!({"workflow_start": name, "workflow": {
        name: {"type": name, "name": name, "cases": {name: "e"}, "on_completion": "e"},
        "e": {"type": "end"},
    }});
    let flow = Flow::of(&document);
    let svg = draw::svg(&flow, &Layout::of(&flow));
    assert!(!svg.contains("<script"), "{svg}");
    assert_eq!(svg.matches("<title>").count(), 2);
    let mermaid = draw::mermaid(&flow);
    let quotes = |line: &str| line.matches('"').count();
    assert!(
        mermaid
            .lines()
            .all(|line| quotes(line) % 2 == 0 && !line.contains("%%")),
        "{mermaid}"
    );
    assert!(!mermaid.contains("\"]; click"), "{mermaid}");
}

#[test]
fn graphviz_reads_what_is_written_for_it() {
    let document = sound();
    let flow = Flow::of(&document);
    let child = Command::new("dot")
        .arg("-Tplain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: dot is not installed");
        return;
    };
    let mut input = child.stdin.take().expect("its input");
    input
        .write_all(draw::dot(&flow).as_bytes())
        .expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let plain = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        plain
            .lines()
            .filter(|line| line.starts_with("edge "))
            .count(),
        flow.edges().len()
    );
}
