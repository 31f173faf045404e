//! The folders of reactions and playbooks as a server would load them, looked at without one.
//!
//! An engine with its store in memory loads the folder, so that what only shows among all
//! files (a name that is there twice) is found as well; then each file that was refused is
//! examined as `conche validate` does, which knows the places. Nothing is kept and no event
//! is taken in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conche_api::words;
use conche_engine::{Engine, FileFault, LoadedPlaybooks, PlaybookFolder, SandboxEvaluator};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::{Grace, Supervisor};
use conche_script::Sandbox;
use conche_store::memory::MemoryStore;

use crate::config::Loaded;
use crate::failure::Failure;
use crate::parts::{self, Parts};
use crate::validate::{self, Finding};

const GRACE: Grace = Grace {
    per_stage: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// What a look at the folder found.
pub(crate) struct Look {
    /// Reactions that would be in force.
    pub(crate) reactions: usize,
    /// One line for each fault, `FILE:LINE:COLUMN: what is wrong`.
    pub(crate) faults: Vec<String>,
}

/// Looks at a folder of reactions.
pub(crate) async fn look(dir: &Path, loaded: &Loaded, parts: Parts) -> Result<Look, Failure> {
    let supervisor = Supervisor::new();
    let (engine, evaluator) = engine(&supervisor, loaded, parts).await?;
    let looked = found(&engine, dir, evaluator.sandbox()).await;
    supervisor.shutdown(GRACE).await;
    looked
}

/// Looks at a folder of playbooks.
pub(crate) async fn look_at_playbooks(
    dir: &Path,
    loaded: &Loaded,
    parts: Parts,
) -> Result<LoadedPlaybooks, Failure> {
    let supervisor = Supervisor::new();
    let (engine, _evaluator) = engine(&supervisor, loaded, parts).await?;
    let watched = PlaybookFolder::watch(&engine, dir).await;
    let looked = watched.map(|watched| watched.loaded());
    supervisor.shutdown(GRACE).await;
    looked.map_err(|error| Failure::of(&format!("can't list {}", dir.display()), error))
}

async fn engine(
    supervisor: &Supervisor,
    loaded: &Loaded,
    parts: Parts,
) -> Result<(Engine, Arc<SandboxEvaluator>), Failure> {
    let evaluator = Arc::new(SandboxEvaluator::new(parts::sandbox(&loaded.config).await?));
    let engine = Engine::start(conche_engine::Parts {
        store: Arc::new(MemoryStore::new()),
        evaluator: evaluator.clone(),
        actions: parts.actions,
        clock: Arc::new(SystemClock),
        tasks: supervisor.tasks(),
        secrets: parts.secrets.clone(),
        config: loaded.config.engine,
        safety: loaded.config.safety.clone(),
    })
    .await
    .map_err(|error| Failure::of("can't start the engine", error))?;
    Ok((engine, evaluator))
}

async fn found(engine: &Engine, dir: &Path, sandbox: &Sandbox) -> Result<Look, Failure> {
    let watched = conche_engine::Folder::watch(engine, dir).await;
    let watched =
        watched.map_err(|error| Failure::of(&format!("can't list {}", dir.display()), error))?;
    let loaded = watched.loaded();
    let mut faults = Vec::new();
    for fault in &loaded.faults {
        faults.append(&mut placed(dir, fault, sandbox).await?);
    }
    Ok(Look {
        reactions: loaded.reactions,
        faults,
    })
}

/// A fault with its place in the file; in the engine's words where it is not one of the file
/// by itself.
async fn placed(dir: &Path, fault: &FileFault, sandbox: &Sandbox) -> Result<Vec<String>, Failure> {
    let path = dir.join(&fault.file);
    let findings = validate::examine(&path, sandbox).await?;
    let errors = findings.iter().filter(|finding| finding.is_error());
    let lines: Vec<String> = errors.map(Finding::line).collect();
    if lines.is_empty() {
        let message = words::plain(&fault.message);
        return Ok(vec![format!("{}: {message}", path.display())]);
    }
    Ok(lines)
}
