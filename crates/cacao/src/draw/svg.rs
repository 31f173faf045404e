//! A workflow as SVG: light and dark by what the reader prefers, without a font, a script or
//! anything else from elsewhere.

use std::fmt::Write;

use super::{label, short, title};
use crate::graph::layout::{Layout, Point};
use crate::graph::{Edge, Flow, Node, Way};

/// Colours and lines. Every pair of text and ground has a contrast of at least 4.5 to 1.
const STYLE: &str = "
  svg { font: 13px system-ui, sans-serif; }
  .ground { fill: #ffffff; }
  .step { fill: #f2f4f7; stroke: #57606a; }
  .open { fill: #e4ecfb; stroke: #57606a; }
  .call { fill: #ece6f8; stroke: #57606a; }
  .bound { fill: #ffffff; stroke: #57606a; stroke-width: 2; }
  text { fill: #1b1f24; text-anchor: middle; }
  .kind { font-size: 10.5px; }
  .way { fill: none; stroke: #57606a; stroke-width: 1.3; }
  .tip { fill: #57606a; }
  .branch { stroke-dasharray: 5 3; }
  .failure { stroke: #a1131d; }
  .said { font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14171a; }
    .step { fill: #23282e; stroke: #9aa4af; }
    .open { fill: #1d2c47; stroke: #9aa4af; }
    .call { fill: #2e2644; stroke: #9aa4af; }
    .bound { fill: #14171a; stroke: #9aa4af; }
    text { fill: #e8eaed; }
    .way { stroke: #9aa4af; }
    .tip { fill: #9aa4af; }
    .failure { stroke: #ff8a8a; }
    .said { stroke: #14171a; }
  }
";

/// The workflow as a picture.
pub fn svg(flow: &Flow<'_>, layout: &Layout) -> String {
    let (width, height) = layout.size();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"workflow of {} steps\">\n<style>{STYLE}</style>\n",
        flow.nodes().len()
    );
    text.push_str("<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\" class=\"tip\"/></marker></defs>\n");
    let _ = writeln!(
        text,
        "<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>"
    );
    for (edge, bends) in flow.edges().iter().zip(&layout.bends) {
        way(&mut text, *edge, bends, layout);
    }
    for (node, at) in flow.nodes().iter().zip(&layout.middles) {
        step(&mut text, node, *at, layout);
    }
    text.push_str("</svg>\n");
    text
}

fn step(text: &mut String, node: &Node<'_>, at: Point, layout: &Layout) {
    let (class, round) = match node.kind {
        "start" | "end" => ("bound", layout.height / 2),
        "parallel" | "if-condition" | "while-condition" | "switch-condition" => ("open", 4),
        "playbook-action" => ("call", 4),
        _ => ("step", 4),
    };
    let (x, y) = (at.x - layout.width / 2, at.y - layout.height / 2);
    let _ = write!(
        text,
        "<g id=\"{}\"><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"{round}\"/>",
        escaped(&short(node.id, 200)),
        escaped(&short(node.label(), 500)),
        layout.width,
        layout.height,
    );
    let (title, kind) = (title(node), short(node.kind, 40));
    let named = title != kind;
    let line = at.y + if named { -1 } else { 5 };
    let _ = write!(
        text,
        "<text x=\"{}\" y=\"{line}\">{}</text>",
        at.x,
        escaped(&title)
    );
    if named {
        let _ = write!(
            text,
            "<text class=\"kind\" x=\"{}\" y=\"{}\">{}</text>",
            at.x,
            at.y + 16,
            escaped(&kind)
        );
    }
    text.push_str("</g>\n");
}

fn way(text: &mut String, edge: Edge<'_>, bends: &[Point], layout: &Layout) {
    let (from, to) = (layout.middles[edge.from], layout.middles[edge.to]);
    let mut class = "way".to_owned();
    if edge.way.opens_branch() {
        class.push_str(" branch");
    }
    if edge.way == Way::Failure {
        class.push_str(" failure");
    }
    let (path, middle) = match bends {
        [] => line(from, to, layout),
        bends => bent(from, bends, to, layout),
    };
    let _ = writeln!(
        text,
        "<path class=\"{class}\" marker-end=\"url(#tip)\" d=\"{path}\"/>"
    );
    let label = label(edge.way);
    if !label.is_empty() {
        let _ = writeln!(
            text,
            "<text class=\"said\" x=\"{}\" y=\"{}\">{}</text>",
            middle.x,
            middle.y,
            escaped(&label)
        );
    }
}

/// A curve between two steps, from the sides that face each other, and where its label goes.
fn line(from: Point, to: Point, layout: &Layout) -> (String, Point) {
    let (half_width, half_height) = (layout.width / 2, layout.height / 2);
    let beside = (to.y - from.y).abs() < layout.height && from.x != to.x;
    let (start, end) = if beside {
        let side = if to.x > from.x {
            half_width
        } else {
            -half_width
        };
        (
            Point {
                x: from.x + side,
                y: from.y,
            },
            Point {
                x: to.x - side,
                y: to.y,
            },
        )
    } else {
        let side = if to.y >= from.y {
            half_height
        } else {
            -half_height
        };
        (
            Point {
                x: from.x,
                y: from.y + side,
            },
            Point {
                x: to.x,
                y: to.y - side,
            },
        )
    };
    let middle = Point {
        x: i64::midpoint(start.x, end.x),
        y: i64::midpoint(start.y, end.y),
    };
    let (first, second) = if beside {
        ((middle.x, start.y), (middle.x, end.y))
    } else {
        ((start.x, middle.y), (end.x, middle.y))
    };
    let path = format!(
        "M{} {}C{} {} {} {} {} {}",
        start.x, start.y, first.0, first.1, second.0, second.1, end.x, end.y
    );
    (path, middle)
}

/// A line that passes other steps: straight beside each, curved in between.
fn bent(from: Point, bends: &[Point], to: Point, layout: &Layout) -> (String, Point) {
    let half = layout.height / 2;
    let mut path = format!("M{} {}", from.x, from.y + half);
    let mut last = Point {
        x: from.x,
        y: from.y + half,
    };
    let mut curve = |last: Point, next: Point| {
        let middle = i64::midpoint(last.y, next.y);
        let _ = write!(
            path,
            "C{} {middle} {} {middle} {} {}",
            last.x, next.x, next.x, next.y
        );
    };
    let first = bends.first().map_or(to.x, |bend| bend.x);
    let label = Point {
        x: i64::midpoint(from.x, first),
        y: from.y + half + 24,
    };
    for bend in bends {
        let (top, bottom) = (bend.y - half, bend.y + half);
        curve(last, Point { x: bend.x, y: top });
        curve(
            Point { x: bend.x, y: top },
            Point {
                x: bend.x,
                y: bottom,
            },
        );
        last = Point {
            x: bend.x,
            y: bottom,
        };
    }
    curve(
        last,
        Point {
            x: to.x,
            y: to.y - half,
        },
    );
    (path, label)
}

/// For text and for attributes alike.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
