//! `conche approvals`: what playbooks ask people, and the answers.

use clap::{Args, Subcommand};
use conche_core::RunId;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, next_page};
use crate::failure::Failure;
use crate::output;
use crate::run::playbook::values;

/// What to do with questions.
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List what people are asked
    List(List),
    /// Answer what a run asks
    Answer(Given),
}

/// Lists questions.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche approvals list")]
pub(crate) struct List {
    /// Of runs older than this one
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
    /// Of so many runs at most
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    ask: Ask,
}

/// Answers a question.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche approvals answer 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60
  conche approvals answer 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 2 --var approved=true
  conche approvals answer 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --failed 'the host is gone'")]
pub(crate) struct Given {
    /// The run
    run: String,
    /// The visit that asks, as `approvals list` numbers them; needed where the run has asked
    /// something before, so that no answer is taken for one to another question
    visit: Option<u32>,
    /// A value that is asked for; the underscores may be left out
    #[arg(long = "var", value_name = "NAME=VALUE", conflicts_with = "failed")]
    variables: Vec<String>,
    /// It was not done, or not well, for this reason: the step fails
    #[arg(long, value_name = "REASON")]
    failed: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// Does it.
pub(crate) async fn run(approvals: Approvals) -> Result<(), Failure> {
    match approvals {
        Approvals::List(args) => list(args).await,
        Approvals::Answer(args) => answer(args).await,
    }
}

async fn list(args: List) -> Result<(), Failure> {
    let query = [
        ("before", args.before.map(|run| run.to_string())),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let client = args.ask.server.client()?;
    let answer = client.get(&["api", "v1", "approvals"], &query).await?;
    args.ask.output.print(&answer, |page| {
        let mut rows = page["approvals"].as_array().cloned().unwrap_or_default();
        for row in &mut rows {
            let wanted = row["question"]["answers"].as_object();
            let names: Vec<&str> = wanted
                .into_iter()
                .flatten()
                .map(|(name, _)| &**name)
                .collect();
            row["wanted"] = json!(names.join(", "));
        }
        let columns = [
            ("RUN", "/run_id"),
            ("VISIT", "/visit"),
            ("STEP", "/step"),
            ("QUESTION", "/question/text"),
            ("VARIABLES", "/wanted"),
            ("UNTIL", "/until"),
        ];
        output::table(&rows, &columns) + &next_page(page)
    })
}

async fn answer(args: Given) -> Result<(), Failure> {
    let body = json!({
        "visit": args.visit,
        "values": values(&args.variables)?,
        "failed": args.failed,
    });
    let path = ["api", "v1", "runs", &args.run, "answers"];
    let told = |_: &Value| format!("{} is told the answer", args.run);
    args.ask.send(Method::POST, &path, Some(&body), told).await
}
