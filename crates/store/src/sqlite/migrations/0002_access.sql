-- Who may call, by the SHA-256 of a token's value; the value itself is nowhere. Names are
-- unique among those in force, so that what is recorded under a name is one token's.
CREATE TABLE tokens (
    token      BLOB NOT NULL PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used  INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

-- What was done by whom, only ever added to at its end. hash is the SHA-256 of the hash of
-- the row before followed by the text.
CREATE TABLE acts (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    text TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- Two places in that chain: its last row (head), and the last row that retention removed
-- (checkpoint).
CREATE TABLE marks (
    kind TEXT NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks (kind, seq, hash)
VALUES ('checkpoint', 0, zeroblob(32)), ('head', 0, zeroblob(32));
