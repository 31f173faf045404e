//! vuls as a container, by the Docker Engine API over a Unix socket.
//!
//! Each step is a container of its own that is given the scan's folder and gives back the
//! report. It is always removed, also when the time is over; one that we could not remove,
//! because we were killed meanwhile, says in a label until when it was meant to live, and is
//! removed by the next scan after that. Nothing that a container wrote is taken but the report,
//! and only as a plain file. Who may use the socket is root on its machine: that is the
//! operator's choice, made by `docker_endpoint`.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use conche_core::Timestamp;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::work::{REPORT_MAX, Step, Work, folder_of_report, judge};
use crate::action::Error;

/// The scan's folder in the container.
pub(super) const FOLDER: &str = "/conche";

/// Says until when (seconds since 1970) a container is needed.
const LABEL: &str = "conche.vuls.until";

/// Added to that time, for clocks that differ.
const GRACE: Duration = Duration::from_mins(1);

/// Removing a container takes no longer, or is left to the next scan.
const REMOVAL: Duration = Duration::from_secs(5);

/// A request may take so long, in seconds; the wait for the end of a scan is one.
const REQUEST_SECONDS: u64 = 24 * 60 * 60;

/// Docker's word for: there is no such image or container.
const NOT_FOUND: u16 = 404;

type Result<T, E = bollard::errors::Error> = std::result::Result<T, E>;

pub(super) struct Engine {
    /// The socket, as `unix:///var/run/docker.sock`.
    pub(super) endpoint: String,
    /// The image, with its tag or digest.
    pub(super) image: String,
    /// What of the machine the container sees: `FROM:TO` or `FROM:TO:ro`.
    pub(super) binds: Vec<String>,
}

impl Engine {
    pub(super) async fn scan(
        &self,
        work: &Work,
        steps: &[Step],
        now: Timestamp,
        limit: Duration,
    ) -> std::result::Result<(), Error> {
        let until = (now + limit + GRACE).as_second();
        let deadline = Instant::now() + limit;
        let over = || Error::retry(format!("the scan was stopped: {limit:?} are over"));
        let failed = |error| failed(&self.endpoint, &error);
        let begun = tokio::time::timeout_at(deadline, async {
            let docker = self.connect().await?;
            sweep(&docker, now).await?;
            Ok(docker)
        });
        let docker = begun.await.map_err(|_elapsed| over())?.map_err(failed)?;
        for step in steps {
            let made = tokio::time::timeout_at(deadline, self.create(&docker, step, until));
            let id = made.await.map_err(|_elapsed| over())?.map_err(failed)?;
            let ran = tokio::time::timeout_at(deadline, run(&docker, &id, work)).await;
            remove(&docker, &id).await;
            let (code, told) = ran.map_err(|_elapsed| over())?.map_err(failed)?;
            judge(step, code, &told)?;
        }
        Ok(())
    }

    /// In the version of the API that both sides know: newest engines refuse old versions.
    async fn connect(&self) -> Result<Docker> {
        Docker::connect_with_unix(&self.endpoint, REQUEST_SECONDS, API_DEFAULT_VERSION)?
            .negotiate_version()
            .await
    }

    /// A container for one step; its image is fetched where it is not there.
    async fn create(&self, docker: &Docker, step: &Step, until: i64) -> Result<String> {
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(step.arguments.clone()),
            labels: Some(HashMap::from([(LABEL.to_owned(), until.to_string())])),
            host_config: Some(HostConfig {
                binds: Some(self.binds.clone()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let none = None::<CreateContainerOptions>;
        match docker.create_container(none.clone(), body.clone()).await {
            Err(error) if status(&error) == Some(NOT_FOUND) => {
                self.pull(docker).await?;
                Ok(docker.create_container(none, body).await?.id)
            }
            made => Ok(made?.id),
        }
    }

    async fn pull(&self, docker: &Docker) -> Result<()> {
        tracing::info!(image = %self.image, "pulling");
        let options = CreateImageOptionsBuilder::new().from_image(&self.image);
        let mut pulling = docker.create_image(Some(options.build()), None, None);
        while let Some(progress) = pulling.next().await {
            progress?;
        }
        Ok(())
    }
}

/// Gives the container the folder, lets it run and takes the report; its exit code and the end
/// of what it wrote.
async fn run(docker: &Docker, id: &str, work: &Work) -> Result<(i64, String)> {
    let root = UploadToContainerOptionsBuilder::new().path("/").build();
    let folder = body_full(packed(work)?.into());
    docker.upload_to_container(id, Some(root), folder).await?;
    docker
        .start_container(id, None::<StartContainerOptions>)
        .await?;
    let mut waiting = Box::pin(docker.wait_container(id, None::<WaitContainerOptions>));
    let code = match waiting.next().await {
        Some(Ok(ended)) => ended.status_code,
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
        Some(Err(error)) => return Err(error),
        None => return Err(std::io::Error::other("the engine said nothing of its end").into()),
    };
    if code != 0 {
        return Ok((code, written(docker, id).await?));
    }
    let results = DownloadFromContainerOptionsBuilder::new().path(&format!("{FOLDER}/results"));
    let mut downloading = Box::pin(docker.download_from_container(id, Some(results.build())));
    let mut tar = Vec::new();
    while let Some(piece) = downloading.next().await {
        tar.extend_from_slice(&piece?);
        if tar.len() as u64 > REPORT_MAX {
            return Err(std::io::Error::other("the results are larger than 64 MiB").into());
        }
    }
    unpack(&tar, work)?;
    Ok((code, String::new()))
}

/// The folder as an archive, all of it root's.
fn packed(work: &Work) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.mode(tar::HeaderMode::Deterministic);
    builder.follow_symlinks(false);
    builder.append_dir_all(FOLDER.trim_start_matches('/'), work.path())?;
    builder.into_inner()
}

/// Takes reports out of an archive, and nothing else.
fn unpack(bytes: &[u8], work: &Work) -> std::io::Result<()> {
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let folder = folder_of_report(&entry.path()?);
        if let (Some(folder), true) = (folder, entry.header().entry_type().is_file()) {
            let mut report = Vec::new();
            entry.read_to_end(&mut report)?;
            work.keep(&folder, &report)?;
        }
    }
    Ok(())
}

/// The end of what the container wrote: its last lines, however long they are.
async fn written(docker: &Docker, id: &str) -> Result<String> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true);
    let mut logs = Box::pin(docker.logs(id, Some(options.tail("20").build())));
    let mut end = End::default();
    while let Some(line) = logs.next().await {
        end.push(&line?.into_bytes());
    }
    Ok(end.text())
}

/// The last bytes of what passes by; what comes before them is let go.
#[derive(Default)]
struct End(Vec<u8>);

impl End {
    /// More than is ever shown of it.
    const BYTES: usize = 64 << 10;

    fn push(&mut self, piece: &[u8]) {
        let piece = &piece[piece.len().saturating_sub(Self::BYTES)..];
        self.0.extend_from_slice(piece);
        if self.0.len() > 2 * Self::BYTES {
            self.0.drain(..self.0.len() - Self::BYTES);
        }
    }

    fn text(&self) -> String {
        let end = &self.0[self.0.len().saturating_sub(Self::BYTES)..];
        String::from_utf8_lossy(end).into_owned()
    }
}

/// Removes a container, running or not.
async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
    let removing = docker.remove_container(id, Some(options.build()));
    let removed = tokio::time::timeout(REMOVAL, removing).await;
    if !matches!(removed, Ok(Ok(()))) {
        tracing::warn!(container = %id, "it is left to the next scan to be removed");
    }
}

/// Removes what earlier scans had to leave.
async fn sweep(docker: &Docker, now: Timestamp) -> Result<()> {
    let labelled = HashMap::from([("label", vec![LABEL])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&labelled);
    for container in docker.list_containers(Some(options.build())).await? {
        let labels = container.labels.unwrap_or_default();
        let until = labels.get(LABEL).and_then(|until| until.parse().ok());
        let is_over = until.is_none_or(|until: i64| until < now.as_second());
        if let (Some(id), true) = (container.id, is_over) {
            remove(docker, &id).await;
        }
    }
    Ok(())
}

fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine or the way to it failed.
fn failed(endpoint: &str, error: &bollard::errors::Error) -> Error {
    let message = format!("{endpoint}: {error}");
    match status(error) {
        Some(400..=499) => Error::Permanent(message),
        _ => Error::retry(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_without_an_end_only_its_last_bytes_are_held() {
        let mut end = End::default();
        for piece in 0..1000 {
            end.push(&vec![b'a'; piece * 300]);
            assert!(end.0.capacity() <= 8 * End::BYTES, "{}", end.0.capacity());
        }
        end.push("the last words: é".as_bytes());
        let text = end.text();
        assert!(text.ends_with("the last words: é") && text.len() == End::BYTES);
        let mut short = End::default();
        short.push(b"\xffx");
        assert_eq!(short.text(), "\u{fffd}x");
    }
}
