//! Where the steps of a workflow are drawn.
//!
//! Positions come from the layout extension (CACAO Layout 1.0), in its standard form and in
//! the older one that Roaster writes under the same identifier; else they are made: steps in
//! layers along the flow, branches beside each other.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::flow::Flow;
use super::levels::Levels;

/// The identifier of the layout extension.
pub const EXTENSION: &str = "extension-definition--418ee24c-9cb1-46d9-afa5-309e01aabc7f";

/// Room that a step takes in a made layout, in pixels.
const WIDTH: i64 = 180;
const HEIGHT: i64 = 56;
const GAP_X: i64 = 36;
const GAP_Y: i64 = 44;

/// Room that a line takes beside the steps that it passes.
const LINE: i64 = 12;

/// The most places at which lines pass layers of steps; above it, lines are straight.
const BENDS: usize = 20_000;

/// The layout extension of an object, under the property for extensions that it has.
pub fn extension<'d>(
    object: &'d Map<String, Value>,
    place: &str,
) -> Option<&'d Map<String, Value>> {
    object.get(place)?.get(EXTENSION)?.as_object()
}

/// The middle of a step, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// To the right.
    pub x: i64,
    /// Downwards.
    pub y: i64,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The middle of each step, by its number.
    pub middles: Vec<Point>,
    /// For each way, in the order of the flow's, the middles of the layers that its line
    /// passes between other steps.
    pub bends: Vec<Vec<Point>>,
    /// Width of a step.
    pub width: i64,
    /// Height of a step.
    pub height: i64,
    /// Whether the document said where.
    pub given: bool,
}

impl Layout {
    /// The layout of a flow: the document's own if it places every step, else a made one.
    pub fn of(flow: &Flow<'_>) -> Self {
        let given: Option<Vec<Point>> =
            flow.nodes().iter().map(|node| given(node.object)).collect();
        let (middles, bends, given) = match given {
            Some(mut middles) if !middles.is_empty() => {
                moved(&mut middles);
                (middles, vec![Vec::new(); flow.edges().len()], true)
            }
            _ => {
                let (middles, bends) = layered(flow);
                (middles, bends, false)
            }
        };
        Self {
            middles,
            bends,
            width: WIDTH,
            height: HEIGHT,
            given,
        }
    }

    /// Width and height of all of it.
    pub fn size(&self) -> (i64, i64) {
        let most = |of: fn(&Point) -> i64| self.middles.iter().map(of).max().unwrap_or(0);
        (
            most(|at| at.x) + WIDTH / 2 + GAP_X,
            most(|at| at.y) + HEIGHT / 2 + GAP_Y,
        )
    }
}

/// The middle of a step as the document has it.
fn given(step: &Map<String, Value>) -> Option<Point> {
    let extension = extension(step, "step_extensions")?;
    // The standard nests the coordinates; the official example and Roaster do not.
    let at = extension
        .get("coordinates")
        .and_then(Value::as_object)
        .unwrap_or(extension);
    let number = |name: &str| {
        at.get(name)
            .and_then(Value::as_f64)
            .map(|number| number as i64)
    };
    let (x, y) = (number("x")?, number("y")?);
    // Roaster's dialect gives the upper left corner and the size.
    let half = |name: &str| within(number(name).unwrap_or(0)) / 2;
    Some(Point {
        x: within(x) + half("width"),
        y: within(y) + half("height"),
    })
}

/// A length or distance that a picture can have.
fn within(pixels: i64) -> i64 {
    pixels.clamp(-1_000_000, 1_000_000)
}

/// The same picture, moved so that nothing lies outside of it.
fn moved(points: &mut [Point]) {
    let least = |of: fn(&Point) -> i64| points.iter().map(of).min().unwrap_or(0);
    let (x, y) = (least(|at| at.x), least(|at| at.y));
    for at in points {
        at.x += WIDTH / 2 + GAP_X - x;
        at.y += HEIGHT / 2 + GAP_Y - y;
    }
}

/// Layers along the flow. A step stands one layer below the lowest of those that lead to it,
/// within its layer under what leads to it where there is room. A line that passes layers
/// takes a place in each, as a narrow step would. Linear in steps, ways and passed layers,
/// but for sorting.
fn layered(flow: &Flow<'_>) -> (Vec<Point>, Vec<Vec<Point>>) {
    let steps = flow.nodes().len();
    let mut layer = layers(flow);
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); steps];
    let mut passes: Vec<Vec<usize>> = Vec::with_capacity(flow.edges().len());
    for edge in flow.edges() {
        let mut passed = Vec::new();
        let mut last = edge.from;
        for between in layer[edge.from] + 1..layer[edge.to] {
            if layer.len() == steps + BENDS {
                break;
            }
            below[last].push(layer.len());
            last = layer.len();
            passed.push(last);
            layer.push(between);
            below.push(Vec::new());
        }
        // Not under the end of the line: so the main flow stays straight beside its branches.
        if layer[edge.to] > layer[edge.from] {
            below[edge.from].push(edge.to);
        }
        passes.push(passed);
    }
    let mut points = placed(&rows(flow, &layer), &below, steps);
    moved(&mut points);
    let bends = passes
        .iter()
        .map(|passed| passed.iter().map(|at| points[*at]).collect());
    let bends = bends.collect();
    points.truncate(steps);
    (points, bends)
}

/// What stands in each layer: its steps in the order in which they are reached, then lines.
fn rows(flow: &Flow<'_>, layer: &[usize]) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); layer.iter().max().map_or(0, |most| most + 1)];
    for item in order(flow)
        .into_iter()
        .chain(flow.nodes().len()..layer.len())
    {
        rows[layer[item]].push(item);
    }
    rows
}

/// Places every row below the last, each item under the middle of what leads to it, beside
/// those that wish for the same place, and further right where that is taken.
fn placed(rows: &[Vec<usize>], below: &[Vec<usize>], steps: usize) -> Vec<Point> {
    let room = |item: usize| {
        if item < steps {
            WIDTH + GAP_X
        } else {
            2 * LINE
        }
    };
    let mut points = vec![Point { x: 0, y: 0 }; below.len()];
    let mut above: Vec<(i64, i64)> = vec![(0, 0); below.len()];
    for (depth, row) in rows.iter().enumerate() {
        let wish = |item: usize| match above[item] {
            (_, 0) => 0,
            (sum, count) => sum / count,
        };
        let mut row: Vec<(i64, usize)> = row.iter().map(|item| (wish(*item), *item)).collect();
        row.sort_by_key(|(wish, _)| *wish);
        let mut free = i64::MIN;
        for same in row.chunk_by(|(one, _), (other, _)| one == other) {
            let all: i64 = same.iter().map(|(_, item)| room(*item)).sum();
            let mut left = (same[0].0 - all / 2).max(free);
            for (_, item) in same {
                points[*item] = Point {
                    x: left + room(*item) / 2,
                    y: depth as i64 * (HEIGHT + GAP_Y),
                };
                left += room(*item);
            }
            free = left;
        }
        for (_, item) in row {
            for &next in &below[item] {
                above[next].0 += points[item].x;
                above[next].1 += 1;
            }
        }
    }
    points
}

/// Steps in the order in which they are reached from the start; what is not reached comes last.
fn order(flow: &Flow<'_>) -> Vec<usize> {
    let mut seen = vec![false; flow.nodes().len()];
    let mut order = Vec::with_capacity(seen.len());
    let roots = [flow.start(), flow.exception()].into_iter().flatten();
    for root in roots.chain(0..seen.len()) {
        let mut waiting = VecDeque::from([root]);
        while let Some(step) = waiting.pop_front() {
            if std::mem::replace(&mut seen[step], true) {
                continue;
            }
            order.push(step);
            waiting.extend(flow.leaving(step).iter().map(|edge| edge.to));
        }
    }
    order
}

/// The layer of each step: the longest way to it, leaving out ways that lead back.
fn layers(flow: &Flow<'_>) -> Vec<usize> {
    let forward = forward(flow, &followers(flow));
    let mut coming = vec![0_usize; forward.len()];
    for to in forward.iter().flatten() {
        coming[*to] += 1;
    }
    let mut ready: VecDeque<usize> = (0..coming.len())
        .filter(|step| coming[*step] == 0)
        .collect();
    let mut layer = vec![0; coming.len()];
    while let Some(step) = ready.pop_front() {
        for &to in &forward[step] {
            layer[to] = layer[to].max(layer[step] + 1);
            coming[to] -= 1;
            if coming[to] == 0 {
                ready.push_back(to);
            }
        }
    }
    layer
}

/// What stands below each step: where it leads and, for the end of a branch, what follows the
/// step that opened the branch.
fn followers(flow: &Flow<'_>) -> Vec<Vec<usize>> {
    let levels = Levels::of(flow);
    let opener = |step: usize| {
        let level = levels.all()[levels.home(step)?];
        level.opened_by.map(|edge| edge.from)
    };
    let after = |step: usize, branches: bool| {
        let edges = flow.leaving(step).iter();
        edges
            .filter(move |edge| branches || !edge.way.opens_branch())
            .map(|edge| edge.to)
    };
    let nodes = flow.nodes().iter().enumerate();
    nodes
        .map(
            |(step, node)| match opener(step).filter(|_| node.kind == "end") {
                Some(opener) => after(opener, false).collect(),
                None => after(step, true).collect(),
            },
        )
        .collect()
}

/// The same without the ways that close a cycle.
fn forward(flow: &Flow<'_>, followers: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; followers.len()];
    let mut forward: Vec<Vec<usize>> = vec![Vec::new(); followers.len()];
    for root in order(flow) {
        if marks[root] != Mark::New {
            continue;
        }
        marks[root] = Mark::Open;
        let mut path = vec![(root, 0)];
        while let Some((step, next)) = path.last_mut() {
            let Some(&to) = followers[*step].get(*next) else {
                marks[*step] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            if marks[to] != Mark::Open {
                forward[*step].push(to);
            }
            if marks[to] == Mark::New {
                marks[to] = Mark::Open;
                path.push((to, 0));
            }
        }
    }
    forward
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_follows_a_branch_stands_below_all_of_it() {
        let document = json!({"workflow_start": "s", "workflow": {
            "s": {"type": "start", "on_completion": "if"},
            "if": {"type": "if-condition", "on_true": "a", "on_completion": "z"},
            "a": {"type": "action", "on_completion": "b"},
            "b": {"type": "action", "on_completion": "e"},
            "e": {"type": "end"},
            "z": {"type": "end"},
        }});
        let flow = Flow::of(&document);
        let layout = Layout::of(&flow);
        let y = |id: &str| layout.middles[flow.number(id).expect("a step")].y;
        assert!(y("s") < y("if") && y("if") < y("a") && y("b") < y("e") && y("e") < y("z"));
    }

    #[test]
    fn no_two_steps_of_a_made_layout_overlap() {
        let mut steps = serde_json::Map::new();
        let branches: Vec<String> = (0..40).map(|number| format!("b{number}")).collect();
        steps.insert("s".into(), json!({"type": "start", "on_completion": "p"}));
        steps.insert(
            "p".into(),
            json!({"type": "parallel", "next_steps": branches, "on_completion": "z"}),
        );
        for branch in &branches {
            steps.insert(
                branch.clone(),
                json!({"type": "action", "on_completion": format!("{branch}e")}),
            );
            steps.insert(format!("{branch}e"), json!({"type": "end"}));
        }
        steps.insert("z".into(), json!({"type": "end"}));
        let document = json!({"workflow_start": "s", "workflow": steps});
        let flow = Flow::of(&document);
        let layout = Layout::of(&flow);
        for (number, one) in layout.middles.iter().enumerate() {
            for other in &layout.middles[..number] {
                let apart = (one.x - other.x).abs() >= WIDTH || (one.y - other.y).abs() >= HEIGHT;
                assert!(apart, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn both_dialects_of_the_layout_extension_are_read() {
        let at = |extension: serde_json::Value| {
            let step = json!({"step_extensions": {EXTENSION: extension}});
            given(step.as_object().expect("an object"))
        };
        let standard = at(json!({"type": "layout", "coordinates": {"x": 10, "y": 20}}));
        assert_eq!(standard, Some(Point { x: 10, y: 20 }));
        let roaster =
            at(json!({"type": "coordinates", "x": 10, "y": 20, "width": 100, "height": 40}));
        assert_eq!(roaster, Some(Point { x: 60, y: 40 }));
        assert_eq!(at(json!({"type": "layout"})), None);
    }
}
