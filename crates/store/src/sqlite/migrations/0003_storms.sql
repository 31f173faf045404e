-- What became of the reactions that an event triggered, where they did not simply run: JSON.
ALTER TABLE events ADD COLUMN notes TEXT;

-- What storm control remembers of a key of a reaction, as JSON, and when that is over. Where
-- gathers is 1 it is a run that waits for more events, to be born then; 2 marks one that
-- cannot be read.
CREATE TABLE storms (
    reaction TEXT NOT NULL,
    control  TEXT NOT NULL,
    key      TEXT NOT NULL,
    state    TEXT NOT NULL,
    until    INTEGER NOT NULL,
    gathers  INTEGER NOT NULL,
    PRIMARY KEY (reaction, control, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX storms_by_end ON storms (gathers, until);
CREATE INDEX storms_of_reaction_by_end ON storms (reaction, until) WHERE gathers = 0;

-- The events that a run waits with, or that a group runs with.
CREATE TABLE run_events (
    run      BLOB NOT NULL,
    n        INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_events_by_event ON run_events (event_id);

-- Entries of named lists; expires_at is empty for one that stays.
CREATE TABLE list_entries (
    list       TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    put_at     INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (list, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX list_entries_by_end ON list_entries (expires_at) WHERE expires_at IS NOT NULL;
