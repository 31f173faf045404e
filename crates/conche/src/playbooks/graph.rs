//! `conche graph`: a picture of a playbook's workflow.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use conche_cacao::draw;
use conche_cacao::graph::Flow;
use conche_cacao::graph::layout::Layout;

use super::read;
use crate::failure::Failure;
use crate::output;

/// Draws a playbook's workflow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche graph block.json > block.svg
  conche graph block.json --format mermaid")]
pub(crate) struct GraphArgs {
    /// The playbook; `-` is standard input
    file: PathBuf,
    /// What to draw it as
    #[arg(long, short, default_value = "svg")]
    format: Format,
}

/// Forms of pictures.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A picture for browsers, light or dark as the reader prefers.
    Svg,
    /// The language of Mermaid, for Markdown pages.
    Mermaid,
    /// The language of Graphviz.
    Dot,
}

/// `conche graph`.
pub(crate) fn graph(args: GraphArgs) -> Result<(), Failure> {
    let document = read(&args.file)?;
    let flow = Flow::of(document.value());
    if flow.nodes().is_empty() {
        let file = args.file.display();
        return Err(Failure::Failed(format!("{file} has no workflow to draw")));
    }
    let picture = match args.format {
        Format::Svg => draw::svg(&flow, &Layout::of(&flow)),
        Format::Mermaid => draw::mermaid(&flow),
        Format::Dot => draw::dot(&flow),
    };
    output::line(picture.trim_end())
}
