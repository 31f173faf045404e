-- Ids are UUIDs of 16 bytes, times are microseconds since 1970, JSON is text.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('clean', 1), ('probe', 0);

-- Bodies lie in order of arrival, so that new ones fill the last page only.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    event_id    BLOB NOT NULL UNIQUE,
    id          TEXT NOT NULL,
    source      TEXT NOT NULL,
    event_type  TEXT NOT NULL,
    subject     TEXT,
    time        INTEGER NOT NULL,
    data        TEXT NOT NULL,
    cause       BLOB,
    depth       INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

CREATE INDEX events_by_type ON events (event_type, event_id);
CREATE INDEX events_by_source ON events (source, event_id);
CREATE INDEX events_by_receipt ON events (received_at);

-- Apart from the events, since the two are kept for different spans.
CREATE TABLE dedup (
    source      TEXT NOT NULL,
    id          TEXT NOT NULL,
    event_id    BLOB NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX dedup_by_age ON dedup (accepted_at);

-- holder is empty while no node works on the run. wake is when an unheld run is due, 0
-- while it is held, and NULL when it is never due by itself.
CREATE TABLE runs (
    run         BLOB NOT NULL PRIMARY KEY,
    definition  BLOB NOT NULL,
    name        TEXT NOT NULL,
    event_id    BLOB,
    started_at  INTEGER NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT,
    deadline    INTEGER NOT NULL,
    finished_at INTEGER,
    version     INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    holder      BLOB NOT NULL,
    wake        INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_wake ON runs (holder, wake) WHERE wake IS NOT NULL;
CREATE INDEX runs_by_status ON runs (status, run);
CREATE INDEX runs_by_name ON runs (name, run);
CREATE INDEX runs_by_event ON runs (event_id, run) WHERE event_id IS NOT NULL;
CREATE INDEX runs_by_end ON runs (finished_at) WHERE finished_at IS NOT NULL;

-- One row for each append. Like events, in order of arrival: a batch that touches many
-- runs still writes a few pages only.
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY,
    run          BLOB NOT NULL,
    from_version INTEGER NOT NULL,
    format       INTEGER NOT NULL,
    records      TEXT NOT NULL,
    UNIQUE (run, from_version)
) STRICT;

-- AUTOINCREMENT, so that the number of a signal dealt with never names another.
CREATE TABLE signals (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    run    BLOB NOT NULL,
    signal TEXT NOT NULL
) STRICT;

CREATE INDEX signals_by_run ON signals (run);

CREATE TABLE nodes (
    node        BLOB NOT NULL PRIMARY KEY,
    alive_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    source TEXT NOT NULL PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- put orders the versions of a name: the highest is the current one.
CREATE TABLE definitions (
    digest BLOB NOT NULL PRIMARY KEY,
    kind   TEXT NOT NULL,
    name   TEXT NOT NULL,
    text   TEXT NOT NULL,
    put    INTEGER NOT NULL
) STRICT;

CREATE INDEX definitions_by_name ON definitions (kind, name, put);

CREATE TABLE reactions (
    name       TEXT NOT NULL PRIMARY KEY,
    text       TEXT NOT NULL,
    digest     BLOB NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX reactions_by_digest ON reactions (digest);

-- How many runs there are by status and by definition, kept with every change of a run,
-- since counting a million rows takes long.
CREATE TABLE tallies (
    kind  TEXT NOT NULL,
    key   BLOB NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
