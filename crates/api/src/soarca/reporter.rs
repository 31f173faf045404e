//! `/reporter`: what came of runs of playbooks.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use conche_core::RunId;
use conche_core::playbook::Program;
use conche_store::{Page, RunFilter, RunRow};
use serde_json::Value;

use super::answer::{Answer, Good};
use super::report::report;
use super::{Here, Soarca};

/// Reports in a list: the newest ones.
const LISTED: usize = 50;
/// Runs that are looked through for those of playbooks.
const LOOKED_AT: usize = 2000;
/// With what the names of definitions begin that are playbooks.
const PLAYBOOK: &str = "playbook--";

/// `GET /reporter`: oldest first.
pub(super) async fn list(State(soarca): Here) -> Result<impl IntoResponse, Answer> {
    let broken = |error: conche_store::Error| Answer::broken("GET /reporter/", &error.to_string());
    let mut reports = Vec::new();
    for row in newest(&soarca).await.map_err(broken)? {
        reports.push(of(&soarca, &row).await.map_err(broken)?);
    }
    reports.reverse();
    Ok(Good(reports))
}

/// `GET /reporter/{id}`
pub(super) async fn read(
    State(soarca): Here,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Answer> {
    let call = format!("GET /reporter/{id}");
    let run: RunId = id
        .parse()
        .map_err(|_| Answer::bad("Could not parse execution parameter as UUID", &call, ""))?;
    let unknown = |error: &dyn std::fmt::Display| {
        let message = "Could not find execution for given ID";
        Answer::bad(message, &call, &error.to_string())
    };
    let row = soarca.api.engine.store().run(run).await;
    let row = row.map_err(|error| unknown(&error))?;
    if !row.name.starts_with(PLAYBOOK) {
        return Err(unknown(&"it is no run of a playbook"));
    }
    let report = of(&soarca, &row).await.map_err(|error| unknown(&error))?;
    Ok(Good(report))
}

async fn newest(soarca: &Soarca) -> Result<Vec<RunRow>, conche_store::Error> {
    let store = soarca.api.engine.store();
    let (mut found, mut before, mut looked_at) = (Vec::new(), None, 0);
    while found.len() < LISTED && looked_at < LOOKED_AT {
        let page = Page { before, limit: 200 };
        let rows = store.runs(RunFilter::default(), page).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.run);
        looked_at += rows.len();
        let own = rows
            .into_iter()
            .filter(|row| row.name.starts_with(PLAYBOOK));
        found.extend(own);
    }
    found.truncate(LISTED);
    Ok(found)
}

/// The report of one run, with secrets masked.
async fn of(soarca: &Soarca, row: &RunRow) -> Result<Value, conche_store::Error> {
    let store = soarca.api.engine.store();
    let text = store.definition(row.definition).await?;
    let program = Program::parse(&text.text).map_err(|error| conche_store::Error::Corrupt {
        kind: "definition",
        name: row.definition.to_string(),
        message: error.to_string(),
    })?;
    let records = store.whole_journal(row.run).await?;
    let mut report = report(program.root(), row.run, &records);
    soarca.api.engine.masker().mask_json(&mut report);
    Ok(report)
}
