//! A workflow as SVG: light and dark by what the reader prefers, without a font, a script or
//! anything else from elsewhere.

use std::fmt;

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
    Svg { flow, layout }.to_string()
}

struct Svg<'f, 'd> {
    flow: &'f Flow<'d>,
    layout: &'f Layout,
}

impl fmt::Display for Svg<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.layout.size();
        let steps = self.flow.nodes().len();
        write!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\""
        )?;
        writeln!(
            f,
            " width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"workflow of {steps} steps\">"
        )?;
        writeln!(f, "<style>{STYLE}</style>\n{TIP}")?;
        writeln!(
            f,
            "<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>"
        )?;
        for (edge, bends) in self.flow.edges().iter().zip(&self.layout.bends) {
            self.way(*edge, bends, f)?;
        }
        for (node, at) in self.flow.nodes().iter().zip(&self.layout.middles) {
            self.step(node, *at, f)?;
        }
        writeln!(f, "</svg>")
    }
}

/// The head of an arrow.
const TIP: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\" class=\"tip\"/></marker></defs>";

impl Svg<'_, '_> {
    fn step(&self, node: &Node<'_>, at: Point, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { width, height, .. } = *self.layout;
        let (class, round) = match node.kind {
            "start" | "end" => ("bound", height / 2),
            "parallel" | "if-condition" | "while-condition" | "switch-condition" => ("open", 4),
            "playbook-action" => ("call", 4),
            _ => ("step", 4),
        };
        let (id, label) = (
            escaped(&short(node.id, 200)),
            escaped(&short(node.label(), 500)),
        );
        let (x, y) = (at.x - width / 2, at.y - height / 2);
        write!(f, "<g id=\"{id}\"><title>{label}</title>")?;
        write!(
            f,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
        )?;
        let (title, kind) = (title(node), short(node.kind, 40));
        let named = title != kind;
        let line = at.y + if named { -1 } else { 5 };
        write!(
            f,
            "<text x=\"{}\" y=\"{line}\">{}</text>",
            at.x,
            escaped(&title)
        )?;
        if named {
            let line = at.y + 16;
            write!(
                f,
                "<text class=\"kind\" x=\"{}\" y=\"{line}\">{}</text>",
                at.x,
                escaped(&kind)
            )?;
        }
        writeln!(f, "</g>")
    }

    fn way(&self, edge: Edge<'_>, bends: &[Point], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.layout.middles[edge.from], self.layout.middles[edge.to]);
        let branch = if edge.way.opens_branch() {
            " branch"
        } else {
            ""
        };
        let failure = if edge.way == Way::Failure {
            " failure"
        } else {
            ""
        };
        let (path, middle) = match bends {
            [] => line(from, to, self.layout),
            bends => bent(from, bends, to, self.layout),
        };
        writeln!(
            f,
            "<path class=\"way{branch}{failure}\" marker-end=\"url(#tip)\" d=\"{path}\"/>"
        )?;
        let label = escaped(&label(edge.way));
        if label.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "<text class=\"said\" x=\"{}\" y=\"{}\">{label}</text>",
            middle.x, middle.y
        )
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
    let start = Point {
        x: from.x,
        y: from.y + half,
    };
    let mut points = vec![start];
    for bend in bends {
        points.extend([bend.y - half, bend.y + half].map(|y| Point { x: bend.x, y }));
    }
    points.push(Point {
        x: to.x,
        y: to.y - half,
    });
    let curves = points.windows(2).map(|pair| {
        let (last, next) = (pair[0], pair[1]);
        let middle = i64::midpoint(last.y, next.y);
        format!(
            "C{} {middle} {} {middle} {} {}",
            last.x, next.x, next.x, next.y
        )
    });
    let path = curves.fold(format!("M{} {}", start.x, start.y), |path, curve| {
        path + &curve
    });
    let label = Point {
        x: i64::midpoint(start.x, bends.first().map_or(to.x, |bend| bend.x)),
        y: start.y + 24,
    };
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
