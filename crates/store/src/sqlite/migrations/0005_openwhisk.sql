-- What the embedded OpenWhisk host keeps. Documents are JSON, to which the store gives no meaning.

-- Actions, packages, triggers and rules; path is the namespace, or namespace/package. The code
-- comes last, so that lists need not read it. revision is never given twice.
CREATE TABLE ow_entities (
    path      TEXT NOT NULL,
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    updated   INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    document  TEXT NOT NULL,
    code      TEXT,
    PRIMARY KEY (path, name)
) STRICT;
CREATE INDEX ow_entities_listed ON ow_entities (kind, namespace, updated);

-- Activations that were accepted and are not over, in the order in which they came.
CREATE TABLE ow_admissions (
    place       INTEGER PRIMARY KEY,
    activation  TEXT NOT NULL UNIQUE,
    namespace   TEXT NOT NULL,
    request     TEXT NOT NULL,
    begun       INTEGER NOT NULL,
    idempotency TEXT
) STRICT;

-- Records of activations that are over. start is in milliseconds.
CREATE TABLE ow_records (
    activation TEXT NOT NULL PRIMARY KEY,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    package    TEXT,
    start      INTEGER NOT NULL,
    document   TEXT NOT NULL
) STRICT;
CREATE INDEX ow_records_listed ON ow_records (namespace, start, activation);
CREATE INDEX ow_records_named ON ow_records (namespace, name, start);
CREATE INDEX ow_records_oldest ON ow_records (start, namespace, activation);

-- Idempotency keys, for as long as their activation is kept.
CREATE TABLE ow_keys (
    namespace  TEXT NOT NULL,
    word       TEXT NOT NULL,
    activation TEXT NOT NULL,
    PRIMARY KEY (namespace, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX ow_keys_of ON ow_keys (activation);

-- Who may call. key is what the action of a user may be given, so it is kept as it is.
CREATE TABLE ow_users (
    namespace TEXT NOT NULL PRIMARY KEY,
    uuid      TEXT NOT NULL,
    key       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('ow_revision', 0);
