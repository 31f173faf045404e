//! Events with the runs that they trigger.

use conche_core::run::{JOURNAL_FORMAT, Record, Summary};
use conche_core::storm::Gates;
use conche_core::{Digest, Event, EventId, RunId, Timestamp};
use rusqlite::params;
use uuid::Uuid;

use super::fault::Fault;
use super::rows::micros;
use super::storms::Rows;
use super::writer::{Tx, Write};
use crate::birth::birth;
use crate::storms::{Candidate, admit, notes};
use crate::{Acceptance, Accepted, Cursor, Error, Fate, Intake, NewRun, NodeId, Note};

/// An intake, ready to be written.
pub(super) struct Accept {
    acceptances: Vec<Prepared>,
    cursor: Option<Cursor>,
    holder: Option<NodeId>,
    now: Timestamp,
}

impl Accept {
    pub(super) fn new(intake: Intake) -> Result<Self, Error> {
        Ok(Self {
            acceptances: Prepared::all(intake.acceptances)?,
            cursor: intake.cursor,
            holder: intake.holder,
            now: intake.now,
        })
    }
}

impl Write for Accept {
    type Answer = Vec<Accepted>;

    fn write(&self, tx: &Tx<'_>) -> Result<Vec<Accepted>, Fault> {
        let write = |prepared: &Prepared| prepared.write(tx, self.holder, self.now);
        let accepted: Result<Vec<_>, Fault> = self.acceptances.iter().map(write).collect();
        let accepted = accepted?;
        if let Some(cursor) = &self.cursor {
            set_cursor(tx, cursor)?;
        }
        Ok(accepted)
    }
}

/// Where a source resumes, alone.
pub(super) struct SetCursor(pub(super) Cursor);

impl Write for SetCursor {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        Ok(set_cursor(tx, &self.0)?)
    }
}

fn set_cursor(tx: &Tx<'_>, cursor: &Cursor) -> rusqlite::Result<()> {
    let sql = "INSERT INTO cursors (source, value) VALUES (?1, ?2)
               ON CONFLICT (source) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![cursor.source, cursor.value])
        .map(drop)
}

/// An acceptance whose runs are text already.
pub(super) struct Prepared {
    event: Event,
    runs: Vec<PreparedRun>,
}

pub(super) struct PreparedRun {
    run: RunId,
    definition: Digest,
    name: String,
    event: Option<EventId>,
    started_at: Timestamp,
    summary: Summary,
    records: String,
    /// What it has to pass, with its first record.
    gates: Option<(Gates, Record)>,
}

impl PreparedRun {
    pub(super) fn new(new: NewRun) -> Result<Self, Error> {
        let records = text(std::slice::from_ref(&new.first))?;
        let (started, summary) = birth(&new)?;
        Ok(Self {
            run: new.run,
            definition: started.definition,
            name: started.name.clone(),
            event: started.event,
            started_at: new.first.at,
            summary,
            records,
            gates: new.gates.map(|gates| (gates, new.first)),
        })
    }
}

/// Values of ours as JSON.
pub(super) fn text<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Unavailable(format!("it cannot be written as JSON: {error}")))
}

impl Prepared {
    pub(super) fn all(acceptances: Vec<Acceptance>) -> Result<Vec<Self>, Error> {
        let one = |acceptance: Acceptance| {
            let runs: Result<_, _> = acceptance.runs.into_iter().map(PreparedRun::new).collect();
            Ok(Self {
                event: acceptance.event,
                runs: runs?,
            })
        };
        acceptances.into_iter().map(one).collect()
    }

    pub(super) fn write(
        &self,
        tx: &Tx<'_>,
        holder: Option<NodeId>,
        now: Timestamp,
    ) -> Result<Accepted, Fault> {
        if let Some(event) = self.accepted_before(tx, micros(now))? {
            return Ok(Accepted::before(event));
        }
        let mut fates = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let fate = run.pass(tx, &self.event, now)?;
            if matches!(fate, Fate::Born | Fate::Uncontrolled { .. }) {
                run.insert(tx, holder, micros(now))?;
            }
            fates.push(fate);
        }
        let reactions = self.runs.iter().map(|run| &*run.name);
        self.insert_event(tx, &notes(reactions.zip(fates.iter().copied())), now)?;
        Ok(Accepted {
            event: self.event.event_id,
            duplicate: false,
            fates,
        })
    }

    /// Takes the pair of source and id, or says which event has it.
    fn accepted_before(&self, tx: &Tx<'_>, now: i64) -> Result<Option<EventId>, Fault> {
        let Event { source, id, .. } = &self.event;
        let own = self.event.event_id.uuid().into_bytes();
        let inserted = tx.execute(
            "INSERT INTO dedup (source, id, event_id, accepted_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![source, id, own, now],
        )?;
        if inserted > 0 {
            return Ok(None);
        }
        let found: [u8; 16] = tx
            .connection
            .prepare_cached("SELECT event_id FROM dedup WHERE source = ?1 AND id = ?2")?
            .query_row(params![source, id], |row| row.get(0))?;
        Ok(Some(EventId::new(Uuid::from_bytes(found))))
    }

    fn insert_event(&self, tx: &Tx<'_>, notes: &[Note], now: Timestamp) -> Result<(), Fault> {
        let event = &self.event;
        let notes = (!notes.is_empty()).then(|| text(notes)).transpose()?;
        let inserted = tx.execute(
            "INSERT INTO events (event_id, id, source, event_type, subject, time, data, cause,
                                 depth, received_at, notes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO NOTHING",
            params![
                event.event_id.uuid().into_bytes(),
                event.id,
                event.source,
                event.event_type,
                event.subject,
                micros(event.time),
                event.data.as_str(),
                event.cause.map(|run| run.uuid().into_bytes()),
                event.depth,
                micros(now),
                notes,
            ],
        )?;
        unless_new(inserted, "event", event.event_id)
    }
}

impl PreparedRun {
    /// Whether it is to be born, by its reaction's storm control.
    fn pass(&self, tx: &Tx<'_>, event: &Event, now: Timestamp) -> Result<Fate, Fault> {
        let Some((gates, first)) = &self.gates else {
            return Ok(Fate::Born);
        };
        let candidate = Candidate {
            run: self.run,
            first,
            reaction: &self.name,
            gates,
            event: event.event_id,
            bytes: event.data.as_str().len() as u64,
        };
        admit(&mut Rows { tx, now }, &candidate, now)
    }

    pub(super) fn insert(
        &self,
        tx: &Tx<'_>,
        holder: Option<NodeId>,
        now: i64,
    ) -> Result<(), Fault> {
        let key = self.run.uuid().into_bytes();
        let holder = holder.map_or_else(Vec::new, |node| node.0.as_bytes().to_vec());
        let held = !holder.is_empty();
        let inserted = tx.execute(
            "INSERT INTO runs (run, definition, name, event_id, started_at, status, deadline,
                               version, epoch, holder, wake)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10)
             ON CONFLICT DO NOTHING",
            params![
                key,
                self.definition.as_bytes(),
                self.name,
                self.event.map(|event| event.uuid().into_bytes()),
                micros(self.started_at),
                self.summary.status.as_str(),
                micros(self.summary.deadline),
                held,
                holder,
                if held { 0 } else { now },
            ],
        )?;
        unless_new(inserted, "run", self.run)?;
        insert_records(tx, self.run, 0, &self.records)?;
        tx.tallies.status(self.summary.status, 1);
        tx.tallies.definition(self.definition.as_bytes(), 1);
        Ok(())
    }
}

fn unless_new(inserted: usize, kind: &'static str, name: impl ToString) -> Result<(), Fault> {
    match inserted {
        0 => Err(Fault::Refused(Error::Exists {
            kind,
            name: name.to_string(),
        })),
        _ => Ok(()),
    }
}

/// Stores one append of a journal.
pub(super) fn insert_records(
    tx: &Tx<'_>,
    run: RunId,
    from: u64,
    records: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO journal (run, from_version, format, records) VALUES (?1, ?2, ?3, ?4)";
    let key = run.uuid().into_bytes();
    tx.execute(sql, params![key, from as i64, JOURNAL_FORMAT, records])
        .map(drop)
}
