//! Playbooks: listed, put, checked, removed, run. Those of the folder belong to their files.
//!
//! A playbook is stored as it was written and shown without the secrets that stand in it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_cacao::{Document, Profile, Severity, json};
use conche_core::playbook::{Refusal, masked};
use conche_core::{Json, RunId, Timestamp};
use conche_engine::{Checked, NewPlaybook, PlaybookError, PlaybookInfo, Start};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::actor::{Actor, record, settle};
use crate::events::idempotency_key;
use crate::extract::{Body, Name, NoQuery, OptionalBody, Query};
use crate::problem::Problem;
use crate::reactions::{FaultOut, OwnerOut};
use crate::{Shared, codes};

/// A version of a playbook at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Playbook)]
pub(crate) struct PlaybookOut {
    /// Its identifier.
    id: String,
    /// When it was modified: the version.
    modified: String,
    /// What people call it.
    name: String,
    /// Whose it is.
    owner: OwnerOut,
    /// Who put it; absent for one of the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Since when it is at hand.
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
    /// Every version of this playbook at hand, the latest first.
    versions: Vec<String>,
    /// Whether its author took it back.
    revoked: bool,
    /// From when on it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<String>,
    /// Until when it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// Why it may not be run now, though it could be: it is revoked, or not valid now.
    #[serde(skip_serializing_if = "Option::is_none")]
    lapsed: Option<String>,
    /// How many findings the checks have.
    findings: Counts,
    /// What keeps it from being run on this server.
    refusals: Vec<RefusalOut>,
}

/// Findings by weight.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingCounts)]
pub(crate) struct Counts {
    /// Under the profile `standard`.
    errors: usize,
    /// Under the profile `standard`.
    warnings: usize,
}

/// What keeps a playbook from being run here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybookRefusal)]
pub(crate) struct RefusalOut {
    /// The playbook that it is about: this one, or one that it calls.
    playbook: String,
    /// What kind of refusal it is: `not_runnable`, `playbook_missing`, `calls_in_a_circle`,
    /// `signature_incorrect`, `secret_unknown`, `secret_not_granted`, `secret_exposed`.
    code: &'static str,
    /// Where, as a JSON Pointer.
    pointer: String,
    /// What is wrong and what to do.
    message: String,
}

impl From<&Refusal> for RefusalOut {
    fn from(refusal: &Refusal) -> Self {
        Self {
            playbook: refusal.playbook.clone(),
            code: refusal.code,
            pointer: refusal.pointer.to_string(),
            message: refusal.message.clone(),
        }
    }
}

impl PlaybookOut {
    fn of(info: &PlaybookInfo, versions: Vec<String>, now: Timestamp) -> Self {
        let playbook = &info.playbook;
        let weigh = |wanted| {
            let all = info.findings.iter();
            all.filter(|found| found.severity == wanted).count()
        };
        Self {
            id: playbook.id.clone(),
            modified: playbook.modified.clone(),
            name: playbook.name.clone(),
            owner: info.owner.clone().into(),
            by: info.by.clone(),
            since: info.since,
            versions,
            revoked: playbook.revoked == Some(true),
            valid_from: playbook.valid_from.clone(),
            valid_until: playbook.valid_until.clone(),
            lapsed: info.lapsed(now),
            findings: Counts {
                errors: weigh(Severity::Error),
                warnings: weigh(Severity::Warning),
            },
            refusals: info.refusals.iter().map(Into::into).collect(),
        }
    }
}

/// The playbooks at hand.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Playbooks {
    /// The latest version of each, by identifier.
    playbooks: Vec<PlaybookOut>,
}

/// The versions of a playbook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaybookVersions {
    /// Each, the latest first.
    versions: Vec<PlaybookOut>,
}

/// A version of a playbook, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaybookDetail {
    #[serde(flatten)]
    info: PlaybookOut,
    /// What the checks say of it under the profile `standard`.
    #[schema(value_type = Vec<Object>)]
    messages: Json,
    /// The playbook. Secrets that stand in it are shown as `***`, so that signatures of what
    /// is shown may not hold.
    #[schema(value_type = Object)]
    playbook: Json,
}

/// Which version.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionQuery {
    /// Its time of modification. Default: the latest.
    version: Option<String>,
}

/// Every version at hand, those of one playbook together.
async fn all(api: &Shared) -> Vec<(PlaybookInfo, Vec<String>)> {
    let all = api.engine.playbooks().await;
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for info in &all {
        let of = versions.entry(info.playbook.id.clone()).or_default();
        of.push(info.playbook.modified.clone());
    }
    let with = |info: PlaybookInfo| {
        let of = versions.get(&info.playbook.id).cloned();
        (info, of.unwrap_or_default())
    };
    all.into_iter().map(with).collect()
}

async fn detail(api: &Shared, info: PlaybookInfo) -> PlaybookDetail {
    let of = all(api).await.into_iter();
    let versions = of
        .filter(|(other, _)| other.playbook.id == info.playbook.id)
        .map(|(_, versions)| versions)
        .next();
    PlaybookDetail {
        messages: Json::from_value(&*info.findings).unwrap_or_else(|_| Json::null()),
        playbook: Json::from(&masked(info.document.value())),
        info: PlaybookOut::of(
            &info,
            versions.unwrap_or_default(),
            api.engine.clock().now(),
        ),
    }
}

fn not_found(id: String, version: Option<String>) -> Problem {
    PlaybookError::NotFound { id, version }.into()
}

/// Lists the playbooks at hand, each in its latest version.
#[utoipa::path(
    get, path = "/api/v1/playbooks", tag = "playbooks", operation_id = "list_playbooks",
    responses((status = 200, body = Playbooks, description = "The playbooks."))
)]
pub(crate) async fn list(State(api): State<Shared>, _: NoQuery) -> Answer<Playbooks> {
    let now = api.engine.clock().now();
    let all = all(&api).await.into_iter();
    let latest = all.filter(|(info, versions)| versions.first() == Some(&info.playbook.modified));
    Answer(Playbooks {
        playbooks: latest
            .map(|(info, versions)| PlaybookOut::of(&info, versions, now))
            .collect(),
    })
}

/// Shows a playbook.
#[utoipa::path(
    get, path = "/api/v1/playbooks/{id}", tag = "playbooks", operation_id = "show_playbook",
    params(("id" = String, Path, description = "The playbook."), VersionQuery),
    responses((status = 200, body = PlaybookDetail, description = "The playbook."))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Name(id): Name,
    Query(query): Query<VersionQuery>,
) -> Result<Answer<PlaybookDetail>, Problem> {
    match api.engine.playbook(&id, query.version.as_deref()).await {
        Some(info) => Ok(Answer(detail(&api, info).await)),
        None => Err(not_found(id, query.version)),
    }
}

/// Lists the versions of a playbook.
#[utoipa::path(
    get, path = "/api/v1/playbooks/{id}/versions", tag = "playbooks", operation_id = "list_versions",
    params(("id" = String, Path, description = "The playbook.")),
    responses((status = 200, body = PlaybookVersions, description = "The versions."))
)]
pub(crate) async fn versions(
    State(api): State<Shared>,
    Name(id): Name,
    _: NoQuery,
) -> Result<Answer<PlaybookVersions>, Problem> {
    let now = api.engine.clock().now();
    let all = all(&api).await.into_iter();
    let versions: Vec<PlaybookOut> = all
        .filter(|(info, _)| info.playbook.id == id)
        .map(|(info, versions)| PlaybookOut::of(&info, versions, now))
        .collect();
    if versions.is_empty() {
        return Err(not_found(id, None));
    }
    Ok(Answer(PlaybookVersions { versions }))
}

/// Takes a playbook, or a further version of one.
///
/// The body is the playbook as it was written; that text is stored. A version has one content
/// for good: the same again changes nothing, a change needs a new `modified`.
#[utoipa::path(
    post, path = "/api/v1/playbooks", tag = "playbooks", operation_id = "put_playbook",
    request_body = Object,
    responses(
        (status = 200, body = PlaybookDetail, description = "It was there already."),
        (status = 201, body = PlaybookDetail, description = "It is new."),
    )
)]
pub(crate) async fn put(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    _: NoQuery,
    Body(text): Body<Json>,
) -> Result<(StatusCode, Answer<PlaybookDetail>), Problem> {
    let mut act = actor.act(&api, "playbook.put", "");
    let document = settle(&api, act.clone(), read(&text)).await?;
    let named = |property: &str| {
        let value = document
            .value()
            .get(property)
            .and_then(|value| value.as_str());
        value.unwrap_or_default().to_owned()
    };
    act.target = named("id");
    act.detail.insert("modified".to_owned(), named("modified"));
    let new = NewPlaybook {
        document,
        profile: Profile::Standard,
        replace: false,
        by: actor.caller.name.to_string(),
    };
    let put = api.engine.put_playbook_by(new, Some(act.clone())).await;
    let (info, is_new) = settle(&api, act, put).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Answer(detail(&api, info).await)))
}

/// Removes a playbook in every version. Runs under way go on.
#[utoipa::path(
    delete, path = "/api/v1/playbooks/{id}", tag = "playbooks", operation_id = "delete_playbook",
    params(("id" = String, Path, description = "The playbook.")),
    responses((status = 204, description = "It is gone."))
)]
pub(crate) async fn delete(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(id): Name,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let act = actor.act(&api, "playbook.delete", &*id);
    let gone = api.engine.delete_playbook_by(&id, Some(act.clone())).await;
    settle(&api, act, gone).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(text: &Json) -> Result<Document, json::Error> {
    Document::parse(text.as_str().as_bytes())
}

/// What a check of a playbook found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckedPlaybook {
    /// Whether it would be taken.
    valid: bool,
    /// What the checks say of it under the profile `standard`.
    #[schema(value_type = Vec<Object>)]
    findings: Json,
    /// What keeps it from being run here.
    refusals: Vec<RefusalOut>,
}

impl From<Checked> for CheckedPlaybook {
    fn from(checked: Checked) -> Self {
        Self {
            valid: checked.is_valid(),
            findings: Json::from_value(&checked.findings).unwrap_or_else(|_| Json::null()),
            refusals: checked.refusals.iter().map(Into::into).collect(),
        }
    }
}

/// Checks a playbook as if it were put, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/playbooks/check", tag = "playbooks", operation_id = "check_playbook",
    request_body = Object,
    responses((status = 200, body = CheckedPlaybook, description = "What was found."))
)]
pub(crate) async fn check(
    State(api): State<Shared>,
    _: NoQuery,
    Body(text): Body<Json>,
) -> Result<Answer<CheckedPlaybook>, Problem> {
    let document = read(&text)?;
    let checked = api.engine.check_playbook(document, Profile::Standard).await;
    Ok(Answer(checked.into()))
}

/// With what a playbook is run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunPlaybook {
    /// Values for its external variables, by name with the underscores. Default: none.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    variables: BTreeMap<String, Json>,
    /// The version to run. Default: the latest.
    version: Option<String>,
}

/// A run that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Begun {
    /// The run.
    #[schema(value_type = String, format = "uuid")]
    run_id: RunId,
    /// Whether it was started before, under the same key.
    duplicate: bool,
}

/// Starts a run of a playbook. It is on disk when the answer comes.
#[utoipa::path(
    post, path = "/api/v1/playbooks/{id}/runs", tag = "playbooks", operation_id = "run_playbook",
    params(
        ("id" = String, Path, description = "The playbook."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again starts nothing and names the run of before."),
    ),
    request_body = Option<RunPlaybook>,
    responses((status = 202, body = Begun, description = "The run."))
)]
pub(crate) async fn run(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(id): Name,
    _: NoQuery,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<RunPlaybook>,
) -> Result<(StatusCode, Answer<Begun>), Problem> {
    let start = Start {
        variables: body.variables,
        key: idempotency_key(&headers)?,
        by: Some(actor.caller.name.to_string()),
        person: Some(actor.person(&api)),
    };
    let mut act = actor.act(&api, "playbook.run", &*id);
    let begun = api.engine.run_playbook(&id, body.version.as_deref(), start);
    let begun = settle(&api, act.clone(), begun.await).await?;
    if !begun.duplicate {
        act.detail.insert("run".to_owned(), begun.run.to_string());
        record(&api, act).await;
    }
    let answer = Begun {
        run_id: begun.run,
        duplicate: begun.duplicate,
    };
    Ok((StatusCode::ACCEPTED, Answer(answer)))
}

/// The playbooks folder.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = PlaybooksFolder)]
pub(crate) struct FolderOut {
    /// Whether a folder is watched at all.
    watched: bool,
    /// Files whose playbooks are at hand as they stand there.
    playbooks: usize,
    /// Files that are not.
    faults: Vec<FaultOut>,
}

/// Shows what the last look at the playbooks folder found.
#[utoipa::path(
    get, path = "/api/v1/playbooks-folder", tag = "playbooks", operation_id = "show_playbooks_folder",
    responses((status = 200, body = FolderOut, description = "The folder."))
)]
pub(crate) async fn folder(State(api): State<Shared>, _: NoQuery) -> Answer<FolderOut> {
    let Some(folder) = &api.playbooks else {
        return Answer(FolderOut::default());
    };
    let loaded = folder.loaded();
    Answer(FolderOut {
        watched: true,
        playbooks: loaded.playbooks,
        faults: loaded.faults.into_iter().map(Into::into).collect(),
    })
}

impl From<PlaybookError> for Problem {
    fn from(error: PlaybookError) -> Self {
        let code = match &error {
            PlaybookError::Refused(_) => &codes::PLAYBOOK_REFUSED,
            PlaybookError::ReadOnly { .. } => &codes::PLAYBOOK_READ_ONLY,
            PlaybookError::Exists { .. } | PlaybookError::Taken(_) => &codes::PLAYBOOK_EXISTS,
            PlaybookError::NotFound { .. } => &codes::NOT_FOUND,
            PlaybookError::Lapsed(_) => &codes::PLAYBOOK_LAPSED,
            PlaybookError::Start(_) | PlaybookError::Store(_) => &codes::INTERNAL,
        };
        let detail = error.to_string();
        match error {
            PlaybookError::Refused(checked) => {
                let said = CheckedPlaybook::from(checked);
                let said = Json::from_value(&said).unwrap_or_else(|_| Json::null());
                Self::new(code, detail).with_check(said)
            }
            PlaybookError::Start(error) => start_problem(error, detail),
            PlaybookError::Store(error) => error.into(),
            _ => Self::new(code, detail),
        }
    }
}

fn start_problem(error: conche_engine::StartError, detail: String) -> Problem {
    use conche_engine::StartError;
    match error {
        StartError::Refused(refusals) => {
            let (findings, refusals) = (Vec::new(), refusals);
            let said = CheckedPlaybook::from(Checked { findings, refusals });
            let said = Json::from_value(&said).unwrap_or_else(|_| Json::null());
            Problem::new(&codes::PLAYBOOK_REFUSED, detail).with_check(said)
        }
        StartError::Variables(_)
        | StartError::Unreadable { .. }
        | StartError::Sealed(conche_runtime::secrets::Error::TooLong) => {
            Problem::new(&codes::VARIABLES_REFUSED, detail)
        }
        StartError::Unknown => Problem::new(&codes::SECOND_PERSON, detail),
        StartError::OtherStart => Problem::new(&codes::KEY_TAKEN, detail),
        StartError::Gone => Problem::new(&codes::NOT_FOUND, detail),
        StartError::Sealed(error) => {
            tracing::error!(%error, "request failed");
            Problem::new(&codes::INTERNAL, "the server failed to answer this request")
        }
        StartError::Intake(refusal) => refusal.into(),
        StartError::Store(error) => error.into(),
    }
}

impl From<json::Error> for Problem {
    fn from(error: json::Error) -> Self {
        Self::new(&codes::PLAYBOOK_REFUSED, error.to_string())
    }
}
