//! `file`: what others write into a folder, as whole JSON files or line by line.
//!
//! Exactly once where the file is only appended to, rotated by rename or truncated: the
//! cursor holds each file's device, inode and offset and is stored in the transaction of the
//! events that were read up to there. A file has an id of its own from when it is first seen,
//! so that an inode or a name that is used again is another file. A last line without its end
//! is waited for; lines are read in the order of the file.
//!
//! The folder is looked at once a second and not watched by the kernel: notifications are
//! lost on overflow, do not come from network file systems and name no rotation, so that the
//! same look would be needed besides them; a look at some hundred names costs well under a
//! millisecond. Between looks open files are held, so that the rest of a file that is moved
//! away or deleted is still read. Links are not followed.
//!
//! A whole file of which there is no event, because it was refused or passed over, stays where
//! it is: that is written down, so that no later start takes it for done.
//!
//! The parts: [`folder`] what is there, [`cursor`] what is remembered, [`lines`] what follows
//! an offset, [`reader`] one look, [`whole`] files that are one event each. No file is deleted or moved before its event is on disk.

mod cursor;
mod folder;
mod lines;
mod reader;
#[cfg(test)]
mod tests;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::json::Limits;
use conche_runtime::supervisor::{BoxError, Stop};
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::cursor::Memory;
use self::folder::Pattern;
use self::reader::{Look, Reader, Refusal};
use super::delivery::{Entrance, Envelope, Format, Naming, Payload, Rejects, Stopping};
use crate::intake::{Intake, NewEvent};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "file",
    summary: "JSON files of a folder, or the lines that are appended to files.",
    events: &[],
    config: settings::schema::<Config>,
    build,
};

/// Settings of a `file` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A folder, or a folder with a pattern for the names in it, such as `/var/log/falco/*.ndjson`;
    /// `*` and `?` stand for characters of the name.
    path: String,
    /// How files are read: `json`, each file is one event; `lines`, each line is one; `auto`,
    /// names that end with `.json` are read as `json` and the others as `lines`. Default: `auto`.
    #[serde(default)]
    read: Read,
    /// What becomes of a whole JSON file whose event is stored: `keep`, `move` (to `move_to`)
    /// or `delete`. Files read line by line are always kept, and so is a file that is refused,
    /// also where `invalid_event_type` makes an event of it. Default: `keep`.
    #[serde(default)]
    on_done: OnDone,
    /// The folder, on the same file system, that `on_done: move` moves to. Default: none.
    #[serde(default)]
    move_to: Option<PathBuf>,
    /// Where a file that is there when the source starts for the first time is read from:
    /// `beginning` or `end`. Default: `beginning`.
    #[serde(default)]
    start: Start,
    /// How often the folder is looked at. Default: `1s`.
    #[serde(default = "default_every")]
    every: Span,
    /// A whole JSON file that cannot be read as JSON counts as half-written until it was not
    /// changed for so long. Default: `10s`.
    #[serde(default = "default_settle")]
    settle: Span,
    /// The most bytes of a line or of a whole JSON file; larger ones are refused.
    /// Default: `limits.event_bytes`.
    #[serde(default)]
    event_bytes: Option<Size>,
    /// The most files that are followed; what is beyond waits, and is told in the log. Default: 1000.
    #[serde(default = "default_files")]
    files: usize,
    /// The type of the events. Default: none; this or `event_type_from` must be there.
    #[serde(default)]
    event_type: Option<String>,
    /// JSON Pointer to the type in the data. Default: none.
    #[serde(default)]
    event_type_from: Option<String>,
    /// JSON Pointer to the id in the data. Default: the file's own id and the offset.
    #[serde(default)]
    id_from: Option<String>,
    /// JSON Pointer to the subject in the data. Default: the file's name.
    #[serde(default)]
    subject_from: Option<String>,
    /// `json`, or `text` for lines of any text. Default: `json`.
    #[serde(default)]
    payload: Payload,
    /// The type of the event that is made of what cannot be decoded. Default: none, it is
    /// counted, told in the log and left out.
    #[serde(default)]
    invalid_event_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Read {
    /// By the name.
    #[default]
    Auto,
    /// One event each.
    Json,
    /// One event a line.
    Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnDone {
    /// The file stays.
    #[default]
    Keep,
    /// It goes to `move_to`.
    Move,
    /// It is deleted.
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Start {
    /// All of it.
    #[default]
    Beginning,
    /// Only what comes.
    End,
}

fn default_every() -> Span {
    Span::from_secs(1)
}

fn default_settle() -> Span {
    Span::from_secs(10)
}

fn default_files() -> usize {
    1000
}

struct Files {
    id: String,
    rules: Rules,
    format: Format,
    every: Duration,
    rejects: Rejects,
}

/// What a reader must know.
#[derive(Debug, Clone)]
struct Rules {
    pattern: Pattern,
    read: Read,
    on_done: OnDone,
    move_to: Option<PathBuf>,
    start: Start,
    settle: Duration,
    bytes_max: usize,
    files_max: usize,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    if (config.on_done == OnDone::Move) != config.move_to.is_some() {
        return Err(wrong("`on_done: move` and `move_to` need each other"));
    }
    if config.files == 0 || config.every.duration() < Duration::from_millis(10) {
        return Err(wrong(
            "`files` must be at least 1 and `every` at least 10ms",
        ));
    }
    if config.payload == Payload::Text && config.read == Read::Json {
        return Err(wrong("`payload: text` goes with `read: lines`"));
    }
    let pattern = Pattern::read(&config.path).map_err(|message| wrong(&message))?;
    if config.move_to.as_ref() == Some(&pattern.folder) {
        return Err(wrong(
            "`move_to` must be another folder than that of `path`",
        ));
    }
    let limits = Limits {
        bytes: config.event_bytes.map_or(cx.json.bytes, Size::length),
        ..cx.json
    };
    let naming = Naming {
        event_type: config.event_type,
        event_type_from: config.event_type_from,
        id_from: config.id_from,
        subject_from: config.subject_from,
        invalid_event_type: config.invalid_event_type,
        payload: config.payload,
    };
    let format = Format::new(naming, limits).map_err(|message| wrong(&message))?;
    Ok(Arc::new(Files {
        id: id.to_owned(),
        rules: Rules {
            pattern,
            read: config.read,
            on_done: config.on_done,
            move_to: config.move_to,
            start: config.start,
            settle: config.settle.duration(),
            bytes_max: limits.bytes,
            files_max: config.files,
        },
        format,
        every: config.every.duration(),
        rejects: Rejects::new(id),
    }))
}

#[async_trait]
impl Source for Files {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let entrance = Entrance {
            source: &self.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.rejects,
        };
        let stored = intake.cursor(&self.id).await?;
        let memory = self.remembered(&*intake, stored.as_deref());
        let mut reader = Reader::new(self.rules.clone(), memory);
        while !stop.is_requested() {
            let (back, look) = match look(reader).await {
                Ok(looked) => looked,
                Err(error) => {
                    entrance.misses("", &error);
                    return Err(error);
                }
            };
            entrance.reads("");
            reader = back;
            for Refusal {
                place,
                reason,
                is_file,
            } in &look.refusals
            {
                if *is_file {
                    entrance.refuse_aloud(place, reason);
                } else {
                    entrance.refuse(place, reason);
                }
            }
            let more = look.more;
            if look.changed && self.hand_over(&entrance, look, &mut reader).await.is_err() {
                break;
            }
            for (place, reason) in reader.settle_done() {
                entrance.refuse(&place, &reason);
            }
            let rest = if more { Duration::ZERO } else { self.every };
            if entrance.pause(rest).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// One look, on a thread that may block.
async fn look(mut reader: Reader) -> Result<(Reader, Look), BoxError> {
    let looked = tokio::task::spawn_blocking(move || {
        let look = reader.look();
        (reader, look)
    });
    let (reader, look) = looked.await?;
    Ok((reader, look?))
}

impl Files {
    fn remembered(&self, intake: &dyn Intake, stored: Option<&str>) -> Memory {
        let memory = Memory::read(stored);
        if let Memory::Lost(reason) = &memory {
            intake.refused(&self.id, "cursor");
            tracing::error!(
                source = %self.id, %reason,
                "the stored cursor cannot be read: all files are read anew from their beginning; whole files are known again by their ids, lines may come twice"
            );
        }
        memory
    }

    /// Stores what was read with the new cursor. A whole file that cannot be decoded stays.
    async fn hand_over(
        &self,
        entrance: &Entrance<'_>,
        look: Look,
        reader: &mut Reader,
    ) -> Result<(), Stopping> {
        let mut events: Vec<NewEvent> = Vec::new();
        for piece in look.pieces {
            let envelope = Envelope {
                id: Some(piece.id),
                subject: Some(piece.name.clone()),
            };
            let Some(file) = piece.whole else {
                let decoded = entrance.decode(&self.format, &piece.bytes, envelope);
                events.extend(decoded.event());
                continue;
            };
            match self.format.decode(&piece.bytes, envelope.clone()) {
                Ok(event) => events.push(event),
                Err(reject) => {
                    reader.pass_over(file);
                    entrance.refuse_aloud(&piece.name, &reject);
                    events.extend(self.format.invalid(&piece.bytes, envelope, &reject));
                }
            }
        }
        let cursor = reader.cursor().write();
        entrance.accept_usable(events, Some(cursor)).await
    }
}
