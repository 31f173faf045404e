//! Reactions: listed, put, removed, checked. Those of the folder belong to their files.

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::reaction::{self, Authored, Format, Reaction};
use conche_core::{Digest, Json, Timestamp};
use conche_engine::{FileFault, Owner, ReactionError, ReactionInfo};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, settle};
use crate::extract::{Body, Name, NoQuery};
use crate::problem::Problem;
use crate::{Shared, codes, words};

/// Whose a reaction is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = Owner)]
pub(crate) enum OwnerOut {
    /// The API: it can be put and removed here.
    Api,
    /// A file of the reactions folder: read-only here.
    Folder {
        /// Its path within the folder.
        file: String,
    },
}

impl From<Owner> for OwnerOut {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Api => Self::Api,
            Owner::Folder(file) => Self::Folder { file },
        }
    }
}

/// A reaction in force, without its scripts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reaction)]
pub(crate) struct ReactionOut {
    /// Its name.
    name: String,
    /// Whose it is.
    owner: OwnerOut,
    /// Its version.
    #[schema(value_type = String)]
    digest: Digest,
    /// Since when this version is in force.
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
    /// The event types that trigger it.
    events: Vec<String>,
    /// What will go wrong when a run comes to it, e.g. a module that is not there.
    warnings: Vec<String>,
}

impl From<ReactionInfo> for ReactionOut {
    fn from(info: ReactionInfo) -> Self {
        Self {
            name: info.reaction.name.clone(),
            owner: info.owner.into(),
            digest: info.digest,
            since: info.since,
            events: info.reaction.events.iter().cloned().collect(),
            warnings: info.warnings,
        }
    }
}

/// The reactions in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reactions {
    /// By name.
    reactions: Vec<ReactionOut>,
}

/// A reaction in force, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReactionDetail {
    #[serde(flatten)]
    info: ReactionOut,
    /// The reaction with its scripts, in the form in which it can be put.
    #[schema(value_type = Object)]
    reaction: Json,
}

impl From<ReactionInfo> for ReactionDetail {
    fn from(info: ReactionInfo) -> Self {
        Self {
            reaction: Json::from_value(&*info.reaction).unwrap_or_else(|_| Json::null()),
            info: info.into(),
        }
    }
}

/// Lists the reactions in force.
#[utoipa::path(
    get, path = "/api/v1/reactions", tag = "reactions", operation_id = "list_reactions",
    responses((status = 200, body = Reactions, description = "The reactions."))
)]
pub(crate) async fn list(State(api): State<Shared>, _: NoQuery) -> Answer<Reactions> {
    let reactions = api.engine.reactions().await;
    Answer(Reactions {
        reactions: reactions.into_iter().map(Into::into).collect(),
    })
}

/// Shows a reaction with its scripts.
#[utoipa::path(
    get, path = "/api/v1/reactions/{name}", tag = "reactions", operation_id = "show_reaction",
    params(("name" = String, Path, description = "The reaction.")),
    responses((status = 200, body = ReactionDetail, description = "The reaction."))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Name(name): Name,
    _: NoQuery,
) -> Result<Answer<ReactionDetail>, Problem> {
    match api.engine.reaction(&name).await {
        Some(info) => Ok(Answer(info.into())),
        None => Err(ReactionError::NotFound(name).into()),
    }
}

/// Puts a reaction in force, in place of the one of this name.
///
/// The body is a reaction as in a file, in CSF's form or with more to say, its scripts within.
#[utoipa::path(
    put, path = "/api/v1/reactions/{name}", tag = "reactions", operation_id = "put_reaction",
    params(("name" = String, Path, description = "The reaction.")),
    request_body = Object,
    responses(
        (status = 200, body = ReactionDetail, description = "It was changed."),
        (status = 201, body = ReactionDetail, description = "It is new."),
    )
)]
pub(crate) async fn put(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(name): Name,
    _: NoQuery,
    Body(text): Body<Json>,
) -> Result<(StatusCode, Answer<ReactionDetail>), Problem> {
    let mut act = actor.act(&api, "reaction.put", &*name);
    let reaction = settle(&api, act.clone(), read_named(&text, &name)).await?;
    let is_new = api.engine.reaction(&name).await.is_none();
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let digest = reaction.digest().to_string();
    act.detail.insert("digest".to_owned(), digest);
    let put = api
        .engine
        .put_reaction_by(reaction, Some(act.clone()))
        .await;
    let info = settle(&api, act, put).await?;
    Ok((status, Answer(info.into())))
}

/// Removes a reaction. Runs under way go on.
#[utoipa::path(
    delete, path = "/api/v1/reactions/{name}", tag = "reactions", operation_id = "delete_reaction",
    params(("name" = String, Path, description = "The reaction.")),
    responses((status = 204, description = "It is gone."))
)]
pub(crate) async fn delete(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(name): Name,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let act = actor.act(&api, "reaction.delete", &*name);
    let gone = api
        .engine
        .delete_reaction_by(&name, Some(act.clone()))
        .await;
    settle(&api, act, gone).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_named(text: &Json, name: &str) -> Result<Reaction, Problem> {
    let reaction = read(text)?;
    if reaction.name == name {
        return Ok(reaction);
    }
    let detail = format!("the path says '{name}', the reaction '{}'", reaction.name);
    Err(Problem::new(&codes::REACTION_REFUSED, detail))
}

fn read(text: &Json) -> Result<Reaction, reaction::Error> {
    let no_files = "a reaction put through the API has its scripts within: use 'script'";
    Authored::parse(text.as_str(), Format::Json)?.resolve(&mut |_| Err(no_files.to_owned()))
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether it would be taken.
    valid: bool,
    /// Its version, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    /// Faults and warnings.
    findings: Vec<Finding>,
}

/// A fault or a warning.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// How bad it is.
    severity: Severity,
    /// What is wrong.
    message: String,
    /// Where, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// Where, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

/// How bad a finding is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// The reaction would be refused.
    Error,
    /// It would be taken, but a run may fail.
    Warning,
}

impl Finding {
    const fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            line: None,
            column: None,
        }
    }
}

impl From<reaction::Error> for Finding {
    fn from(error: reaction::Error) -> Self {
        match error {
            reaction::Error::Syntax {
                line,
                column,
                message,
            } => Self {
                line: Some(line),
                column: Some(column),
                ..Self::new(Severity::Error, words::plain(&message))
            },
            other => Self::new(Severity::Error, words::plain(&other.to_string())),
        }
    }
}

/// Checks a reaction as if it were put, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/reactions/check", tag = "reactions", operation_id = "check_reaction",
    request_body = Object,
    responses((status = 200, body = Checked, description = "What was found."))
)]
pub(crate) async fn check(
    State(api): State<Shared>,
    _: NoQuery,
    Body(text): Body<Json>,
) -> Result<Answer<Checked>, Problem> {
    let (digest, checked) = match read(&text) {
        Ok(reaction) => (
            Some(reaction.digest()),
            findings(api.engine.check_reaction(reaction).await)?,
        ),
        Err(error) => (None, (false, vec![error.into()])),
    };
    let (valid, findings) = checked;
    Ok(Answer(Checked {
        valid,
        digest,
        findings,
    }))
}

fn findings(checked: Result<Vec<String>, ReactionError>) -> Result<(bool, Vec<Finding>), Problem> {
    match checked {
        Ok(warnings) => {
            let warning = |message| Finding::new(Severity::Warning, message);
            Ok((true, warnings.into_iter().map(warning).collect()))
        }
        Err(ReactionError::Invalid(message)) => {
            let message = words::plain(&message);
            Ok((false, vec![Finding::new(Severity::Error, message)]))
        }
        Err(error) => Err(error.into()),
    }
}

/// The reactions folder.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ReactionsFolder)]
pub(crate) struct FolderOut {
    /// Whether a folder is watched at all.
    watched: bool,
    /// Reactions in force from it.
    reactions: usize,
    /// Files that are not in force.
    faults: Vec<FaultOut>,
}

/// A file that is not in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileFault)]
pub(crate) struct FaultOut {
    /// Its path within the folder.
    file: String,
    /// What is wrong and where.
    message: String,
    /// Whether an earlier version of it is in force.
    earlier_in_force: bool,
}

impl From<FileFault> for FaultOut {
    fn from(fault: FileFault) -> Self {
        Self {
            message: fault.in_its_file(),
            file: fault.file,
            earlier_in_force: fault.earlier_in_force,
        }
    }
}

/// Shows what the last look at the reactions folder found.
#[utoipa::path(
    get, path = "/api/v1/reactions-folder", tag = "reactions", operation_id = "show_reactions_folder",
    responses((status = 200, body = FolderOut, description = "The folder."))
)]
pub(crate) async fn folder(State(api): State<Shared>, _: NoQuery) -> Answer<FolderOut> {
    let Some(folder) = &api.folder else {
        return Answer(FolderOut::default());
    };
    let loaded = folder.loaded();
    Answer(FolderOut {
        watched: true,
        reactions: loaded.reactions,
        faults: loaded.faults.into_iter().map(Into::into).collect(),
    })
}
