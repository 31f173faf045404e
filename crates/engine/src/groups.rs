//! The event of a run that has many: scripts of a group see `event.events`.

use conche_core::run::RunState;
use conche_core::{Event, EventId, Json, Timestamp};
use conche_store::Error;
use serde::Serialize;

use crate::Inner;

/// What scripts of a group see as `event`.
#[derive(Serialize)]
struct Group<'a> {
    /// Oldest first.
    events: Vec<Member<'a>>,
}

/// One event of a group, by the names that filters know.
#[derive(Serialize)]
struct Member<'a> {
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: Option<&'a str>,
    time: Timestamp,
    data: &'a Json,
}

impl<'a> From<&'a Event> for Member<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: &event.id,
            source: &event.source,
            event_type: &event.event_type,
            subject: event.subject.as_deref(),
            time: event.time,
            data: &event.data,
        }
    }
}

impl Inner {
    /// The event that a run works with: its own, or for a group the last one with the data of
    /// all. It stands as deep as the deepest of them, so that groups end no bound on depth.
    ///
    /// # Errors
    /// [`Error::NotFound`] where one of them is not kept any more.
    pub(crate) async fn event_of(
        &self,
        run: &RunState,
        event: Option<Event>,
    ) -> Result<Option<Event>, Error> {
        let ids = &run.started().events;
        let last = match event {
            Some(last) if !ids.is_empty() => last,
            event => return Ok(event),
        };
        let events = self.events(ids).await?;
        let group = Group {
            events: events.iter().map(Member::from).collect(),
        };
        let data = Json::from_value(&group).map_err(|error| Error::Corrupt {
            kind: "event",
            name: last.event_id.to_string(),
            message: error.to_string(),
        })?;
        let depth = events.iter().map(|event| event.depth).max();
        Ok(Some(Event {
            data,
            depth: depth.unwrap_or(last.depth),
            ..last
        }))
    }

    async fn events(&self, ids: &[EventId]) -> Result<Vec<Event>, Error> {
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            events.push(self.store.event(*id).await?.event);
        }
        Ok(events)
    }
}
