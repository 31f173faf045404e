PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA user_version = 5;
BEGIN;
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
, notes TEXT) STRICT;
CREATE TABLE dedup (
    source      TEXT NOT NULL,
    id          TEXT NOT NULL,
    event_id    BLOB NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY,
    run          BLOB NOT NULL,
    from_version INTEGER NOT NULL,
    format       INTEGER NOT NULL,
    records      TEXT NOT NULL,
    UNIQUE (run, from_version)
) STRICT;
CREATE TABLE signals (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    run    BLOB NOT NULL,
    signal TEXT NOT NULL
) STRICT;
CREATE TABLE nodes (
    node        BLOB NOT NULL PRIMARY KEY,
    alive_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (
    source TEXT NOT NULL PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE definitions (
    digest BLOB NOT NULL PRIMARY KEY,
    kind   TEXT NOT NULL,
    name   TEXT NOT NULL,
    text   TEXT NOT NULL,
    put    INTEGER NOT NULL
) STRICT;
CREATE TABLE reactions (
    name       TEXT NOT NULL PRIMARY KEY,
    text       TEXT NOT NULL,
    digest     BLOB NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE tallies (
    kind  TEXT NOT NULL,
    key   BLOB NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE acts (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    text TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE marks (
    kind TEXT NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE storms (
    reaction TEXT NOT NULL,
    control  TEXT NOT NULL,
    key      TEXT NOT NULL,
    state    TEXT NOT NULL,
    until    INTEGER NOT NULL,
    gathers  INTEGER NOT NULL,
    PRIMARY KEY (reaction, control, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_events (
    run      BLOB NOT NULL,
    n        INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE list_entries (
    list       TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    put_at     INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (list, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE playbooks (
    id       TEXT NOT NULL,
    modified TEXT NOT NULL,
    text     TEXT NOT NULL,
    digest   BLOB NOT NULL,
    owner    TEXT NOT NULL,
    put_at   INTEGER NOT NULL,
    PRIMARY KEY (id, modified)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE ow_admissions (
    place       INTEGER PRIMARY KEY,
    activation  TEXT NOT NULL UNIQUE,
    namespace   TEXT NOT NULL,
    request     TEXT NOT NULL,
    begun       INTEGER NOT NULL,
    idempotency TEXT
) STRICT;
CREATE TABLE ow_records (
    activation TEXT NOT NULL PRIMARY KEY,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    package    TEXT,
    start      INTEGER NOT NULL,
    document   TEXT NOT NULL
) STRICT;
CREATE TABLE ow_keys (
    namespace  TEXT NOT NULL,
    word       TEXT NOT NULL,
    activation TEXT NOT NULL,
    PRIMARY KEY (namespace, word)
) STRICT, WITHOUT ROWID;
CREATE TABLE ow_users (
    namespace TEXT NOT NULL PRIMARY KEY,
    uuid      TEXT NOT NULL,
    key       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('clean', 1);
INSERT INTO meta VALUES ('ow_revision', 0);
INSERT INTO meta VALUES ('probe', 0);
INSERT INTO events VALUES (1, x'019b76daa80070008000000000000002', '0', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (2, x'019b76daa80070008000000000000005', '1', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (3, x'019b76daa80070008000000000000008', '2', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (4, x'019b76daa8007000800000000000000b', '3', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (5, x'019b76daa8007000800000000000000e', '4', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (6, x'019b76daa80070008000000000000011', '5', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (7, x'019b76daa80070008000000000000014', '6', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO events VALUES (8, x'019b76daa80070008000000000000017', '7', 'github', 'test.happened', 'pod/web', 1767225600000000, '{"image":"nginx:1.25","score":7.5}', NULL, 0, 1767225600000000, NULL);
INSERT INTO dedup VALUES ('github', '0', x'019b76daa80070008000000000000002', 1767225600000000);
INSERT INTO dedup VALUES ('github', '1', x'019b76daa80070008000000000000005', 1767225600000000);
INSERT INTO dedup VALUES ('github', '2', x'019b76daa80070008000000000000008', 1767225600000000);
INSERT INTO dedup VALUES ('github', '3', x'019b76daa8007000800000000000000b', 1767225600000000);
INSERT INTO dedup VALUES ('github', '4', x'019b76daa8007000800000000000000e', 1767225600000000);
INSERT INTO dedup VALUES ('github', '5', x'019b76daa80070008000000000000011', 1767225600000000);
INSERT INTO dedup VALUES ('github', '6', x'019b76daa80070008000000000000014', 1767225600000000);
INSERT INTO dedup VALUES ('github', '7', x'019b76daa80070008000000000000017', 1767225600000000);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000003', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000002', 1767225600000000, 'needs_attention', 'was the mail sent?', 1767312000000000, NULL, 5, 1, x'', 1767225700000000);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000006', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000005', 1767225600000000, 'succeeded', NULL, 1767312000000000, 1767225614000000, 15, 1, x'', 1767225700000000);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000009', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000008', 1767225600000000, 'running', NULL, 1767315600000000, NULL, 8, 1, x'', 1767225700000000);
INSERT INTO runs VALUES (x'019b76daa8007000800000000000000c', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa8007000800000000000000b', 1767225600000000, 'failed', 'TypeError: event.a is undefined', 1767312000000000, 1767225603000000, 4, 1, x'', NULL);
INSERT INTO runs VALUES (x'019b76daa8007000800000000000000f', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa8007000800000000000000e', 1767225600000000, 'cancelling', 'cancelled by ann: false alarm', 1767312000000000, NULL, 4, 1, x'', 1767312000000000);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000012', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000011', 1767225600000000, 'cancelled', 'cancelled by bob', 1767312000000000, 1767225602000000, 3, 1, x'', NULL);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000015', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000014', 1767225600000000, 'running', NULL, 1767312000000000, NULL, 1, 1, x'', 1767312000000000);
INSERT INTO runs VALUES (x'019b76daa80070008000000000000018', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'scan', x'019b76daa80070008000000000000017', 1767225600000000, 'awaiting_answer', 'is the host isolated?', 1767312000000000, NULL, 6, 1, x'', 1767312000000000);
INSERT INTO journal VALUES (1, x'019b76daa80070008000000000000003', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000002","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (2, x'019b76daa80070008000000000000003', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"mail"}}}]');
INSERT INTO journal VALUES (3, x'019b76daa80070008000000000000003', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"intended":{"visit":0,"attempt":1,"key":"193b2a33afbaddbf554cc271a6192039","module":"mail","action":"send","input":{"to":"soc@example.com","subject":"it''s on"},"repeat":"unsafe","deadline":"2026-01-01T00:01:00Z"}}}]');
INSERT INTO journal VALUES (4, x'019b76daa80070008000000000000003', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"interrupted":{"visit":0,"attempt":1,"evidence":"the connection broke after DATA"}}}]');
INSERT INTO journal VALUES (5, x'019b76daa80070008000000000000003', 4, 3, '[{"at":"2026-01-01T00:00:04Z","entry":{"attention_needed":{"visit":0,"reason":"was the mail sent?"}}}]');
INSERT INTO journal VALUES (6, x'019b76daa80070008000000000000006', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000005","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (7, x'019b76daa80070008000000000000006', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"script"}}}]');
INSERT INTO journal VALUES (8, x'019b76daa80070008000000000000006', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"evaluated":{"visit":0,"verdict":{"next":{"action":"mail","data":{"to":"soc@example.com"}}},"event":{"seen":true},"logs":[{"level":"warn","text":"score 9.8"}]}}}]');
INSERT INTO journal VALUES (9, x'019b76daa80070008000000000000006', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"entered":{"visit":1,"step":"mail","from":0}}}]');
INSERT INTO journal VALUES (10, x'019b76daa80070008000000000000006', 4, 3, '[{"at":"2026-01-01T00:00:04Z","entry":{"intended":{"visit":1,"attempt":1,"key":"5b4f7b4b6b87ccca8889fccd0693cf40","module":"mail","action":"send","input":{"to":"soc@example.com","subject":"it''s on"},"repeat":"unsafe","deadline":"2026-01-01T00:01:00Z"}}}]');
INSERT INTO journal VALUES (11, x'019b76daa80070008000000000000006', 5, 3, '[{"at":"2026-01-01T00:00:05Z","entry":{"failed":{"visit":1,"attempt":1,"error":{"kind":"transient","message":"no route to host"},"retry_at":"2026-01-01T00:00:09Z"}}}]');
INSERT INTO journal VALUES (12, x'019b76daa80070008000000000000006', 6, 3, '[{"at":"2026-01-01T00:00:06Z","entry":{"intended":{"visit":1,"attempt":2,"key":"5b4f7b4b6b87ccca8889fccd0693cf40","module":"mail","action":"send","input":{"to":"soc@example.com","subject":"it''s on"},"repeat":"unsafe","deadline":"2026-01-01T00:01:00Z"}}}]');
INSERT INTO journal VALUES (13, x'019b76daa80070008000000000000006', 7, 3, '[{"at":"2026-01-01T00:00:07Z","entry":{"succeeded":{"visit":1,"attempt":2,"output":{"queued":"250 ok"},"variables":{"sent":true}}}}]');
INSERT INTO journal VALUES (14, x'019b76daa80070008000000000000006', 8, 3, '[{"at":"2026-01-01T00:00:08Z","entry":{"entered":{"visit":2,"step":"loop","from":1}}}]');
INSERT INTO journal VALUES (15, x'019b76daa80070008000000000000006', 9, 3, '[{"at":"2026-01-01T00:00:09Z","entry":{"opened":{"visit":2,"turn":0,"count":1}}}]');
INSERT INTO journal VALUES (16, x'019b76daa80070008000000000000006', 10, 3, '[{"at":"2026-01-01T00:00:10Z","entry":{"entered":{"visit":3,"step":"wait","path":[{"of":2,"index":0}]}}}]');
INSERT INTO journal VALUES (17, x'019b76daa80070008000000000000006', 11, 3, '[{"at":"2026-01-01T00:00:11Z","entry":{"delayed":{"visit":3,"until":"2026-01-01T00:00:20Z"}}}]');
INSERT INTO journal VALUES (18, x'019b76daa80070008000000000000006', 12, 3, '[{"at":"2026-01-01T00:00:12Z","entry":{"elapsed":{"visit":3}}}]');
INSERT INTO journal VALUES (19, x'019b76daa80070008000000000000006', 13, 3, '[{"at":"2026-01-01T00:00:13Z","entry":{"closed":{"visit":2}}}]');
INSERT INTO journal VALUES (20, x'019b76daa80070008000000000000006', 14, 3, '[{"at":"2026-01-01T00:00:14Z","entry":{"finished":{"outcome":"succeeded"}}}]');
INSERT INTO journal VALUES (21, x'019b76daa80070008000000000000009', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000008","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (22, x'019b76daa80070008000000000000009', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"mail"}}}]');
INSERT INTO journal VALUES (23, x'019b76daa80070008000000000000009', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"intended":{"visit":0,"attempt":1,"key":"b754ff98cf0105415a44f2dba65ecdc7","module":"mail","action":"send","input":{"to":"soc@example.com","subject":"it''s on"},"repeat":"unsafe","deadline":"2026-01-01T00:01:00Z"}}}]');
INSERT INTO journal VALUES (24, x'019b76daa80070008000000000000009', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"interrupted":{"visit":0,"attempt":1,"evidence":"the connection broke after DATA"}}}]');
INSERT INTO journal VALUES (25, x'019b76daa80070008000000000000009', 4, 3, '[{"at":"2026-01-01T00:00:04Z","entry":{"attention_needed":{"visit":0,"reason":"was the mail sent?"}}}]');
INSERT INTO journal VALUES (26, x'019b76daa80070008000000000000009', 5, 3, '[{"at":"2026-01-01T00:00:05Z","entry":{"resumed":{"visit":0,"resolution":{"failed":{"reason":"it was not sent"}},"by":"ann"}}}]');
INSERT INTO journal VALUES (27, x'019b76daa80070008000000000000009', 6, 3, '[{"at":"2026-01-01T00:00:06Z","entry":{"finished":{"outcome":"failed","reason":"it was not sent"}}}]');
INSERT INTO journal VALUES (28, x'019b76daa80070008000000000000009', 7, 3, '[{"at":"2026-01-01T00:00:07Z","entry":{"reopened":{"visit":0,"by":"ann","deadline":"2026-01-02T01:00:00Z"}}}]');
INSERT INTO journal VALUES (29, x'019b76daa8007000800000000000000c', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-00000000000b","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (30, x'019b76daa8007000800000000000000c', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"script"}}}]');
INSERT INTO journal VALUES (31, x'019b76daa8007000800000000000000c', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"failed":{"visit":0,"attempt":1,"error":{"kind":"script","message":"TypeError: event.a is undefined"}}}}]');
INSERT INTO journal VALUES (32, x'019b76daa8007000800000000000000c', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"finished":{"outcome":"failed","reason":"TypeError: event.a is undefined"}}}]');
INSERT INTO journal VALUES (33, x'019b76daa8007000800000000000000f', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-00000000000e","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (34, x'019b76daa8007000800000000000000f', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"mail"}}}]');
INSERT INTO journal VALUES (35, x'019b76daa8007000800000000000000f', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"intended":{"visit":0,"attempt":1,"key":"6785da13046f54b48d45822c0eda7bf5","module":"mail","action":"send","input":{"to":"soc@example.com","subject":"it''s on"},"repeat":"unsafe","deadline":"2026-01-01T00:01:00Z"}}}]');
INSERT INTO journal VALUES (36, x'019b76daa8007000800000000000000f', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"cancel_requested":{"by":"ann","reason":"false alarm"}}}]');
INSERT INTO journal VALUES (37, x'019b76daa80070008000000000000012', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000011","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (38, x'019b76daa80070008000000000000012', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"cancel_requested":{"by":"bob"}}}]');
INSERT INTO journal VALUES (39, x'019b76daa80070008000000000000012', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"finished":{"outcome":"cancelled","reason":"cancelled by bob"}}}]');
INSERT INTO journal VALUES (40, x'019b76daa80070008000000000000015', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000014","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (41, x'019b76daa80070008000000000000018', 0, 3, '[{"at":"2026-01-01T00:00:00Z","entry":{"started":{"definition":"sha256:3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361","name":"scan","event":"019b76da-a800-7000-8000-000000000017","deadline":"2026-01-02T00:00:00Z","variables":{"limit":3}}}}]');
INSERT INTO journal VALUES (42, x'019b76daa80070008000000000000018', 1, 3, '[{"at":"2026-01-01T00:00:01Z","entry":{"entered":{"visit":0,"step":"ask"}}}]');
INSERT INTO journal VALUES (43, x'019b76daa80070008000000000000018', 2, 3, '[{"at":"2026-01-01T00:00:02Z","entry":{"asked":{"visit":0,"question":{"text":"is the host isolated?","parties":{"agent":{"type":"individual","name":"Ann"}}},"until":"2026-01-01T01:00:00Z"}}}]');
INSERT INTO journal VALUES (44, x'019b76daa80070008000000000000018', 3, 3, '[{"at":"2026-01-01T00:00:03Z","entry":{"answered":{"visit":0,"answer":{},"by":"ann"}}}]');
INSERT INTO journal VALUES (45, x'019b76daa80070008000000000000018', 4, 3, '[{"at":"2026-01-01T00:00:04Z","entry":{"entered":{"visit":1,"step":"ask again","from":0}}}]');
INSERT INTO journal VALUES (46, x'019b76daa80070008000000000000018', 5, 3, '[{"at":"2026-01-01T00:00:05Z","entry":{"asked":{"visit":1,"question":{"text":"is the host isolated?","parties":{"agent":{"type":"individual","name":"Ann"}}},"until":"2026-01-01T01:00:00Z"}}}]');
INSERT INTO signals VALUES (1, x'019b76daa80070008000000000000003', '{"resume":{"visit":0,"resolution":"repeat","by":"ann"}}');
INSERT INTO signals VALUES (2, x'019b76daa80070008000000000000006', '{"retry":{"visit":0,"by":"ann"}}');
INSERT INTO signals VALUES (3, x'019b76daa80070008000000000000009', '{"cancel":{"by":"ann","reason":"enough"}}');
INSERT INTO nodes VALUES (x'019b76daa8007000800000000000001a', 1767225800000000);
INSERT INTO cursors VALUES ('cluster', '4711');
INSERT INTO definitions VALUES (x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 'reaction', 'scan', 'definition of the contract', 1);
INSERT INTO reactions VALUES ('scan', 'definition of the contract', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 1767225600000000);
INSERT INTO tallies VALUES ('definition', x'3e89fd780ebb29f97488e4effc62fa6bfa84a1daf9eb4f68260ca1fdb1ad3361', 8);
INSERT INTO tallies VALUES ('status', x'6177616974696e675f616e73776572', 1);
INSERT INTO tallies VALUES ('status', x'63616e63656c6c6564', 1);
INSERT INTO tallies VALUES ('status', x'63616e63656c6c696e67', 1);
INSERT INTO tallies VALUES ('status', x'6661696c6564', 1);
INSERT INTO tallies VALUES ('status', x'6e656564735f617474656e74696f6e', 1);
INSERT INTO tallies VALUES ('status', x'72756e6e696e67', 2);
INSERT INTO tallies VALUES ('status', x'737563636565646564', 1);
INSERT INTO tokens VALUES (x'019b76daa80070008000000000000000', x'9f58d18a622d1f508fcd5ccb8d6dda995d9713a6830be4c52e12a9b0c7df0fc7', 'token 0', 'viewer', 1767225600000000, 'ann', 1767225700000000, NULL, NULL);
INSERT INTO tokens VALUES (x'019b76daa80070008000000000000001', x'ca1f9c965516d6656431ab064e895f2803e5a0d4749fd07f710c569d439b8ab3', 'token 1', 'viewer', 1767225600000000, 'ann', 1767225700000000, NULL, NULL);
INSERT INTO acts VALUES (2, 1767225601000000, '{"act":{"at":"2026-01-01T00:00:01Z","detail":{"reason":"\u0001a \"test\" ä"},"outcome":"done","target":"token","what":"test.done","who":{"name":"ann","peer":"127.0.0.1:1"}},"seq":2}', x'27806ce43ac2f1155772bd436e6d0a81b53a5c735d95a470cd4bd7118bdad1ed');
INSERT INTO acts VALUES (3, 1767225602000000, '{"act":{"at":"2026-01-01T00:00:02Z","detail":{"hash":"sha256:b8bc9e1928913aa5fb201c3b2cd1153135183c64bcd1a06e9a0b7acce3d96bce"},"outcome":"done","target":"1","what":"audit.expired","who":{"name":"retention"}},"seq":3}', x'079186cd1eb41df43adf6d0f86816406b1325bbec1ab245da8beaf408b75646f');
INSERT INTO marks VALUES ('checkpoint', 1, x'b8bc9e1928913aa5fb201c3b2cd1153135183c64bcd1a06e9a0b7acce3d96bce');
INSERT INTO marks VALUES ('head', 3, x'079186cd1eb41df43adf6d0f86816406b1325bbec1ab245da8beaf408b75646f');
INSERT INTO playbooks VALUES ('playbook--1', '2026-01-01T00:00:00.000Z', '{ "id":"playbook--1",
	"modified": "2026-01-01T00:00:00.000Z", "ä": 1.0 }
', x'afcbc48d0305290a62998437902aaf2c3978019945cb9ee341e7811a0ebbc06f', 'ann', 1767225600000000);
INSERT INTO playbooks VALUES ('playbook--1', '2026-02-01T00:00:00.000Z', '{ "id":"playbook--1",
	"modified": "2026-02-01T00:00:00.000Z", "ä": 1.0 }
', x'5e16dcd099e385bb795ca190c2f5b8d72a0cf501e2b0c43630eee0e7cb0755a8', 'ann', 1767225600000000);
INSERT INTO ow_admissions VALUES (1, '0af7651916cd43dd8448eb211c80319c', 'guest', '{"action":"echo"}', 0, 'key');
INSERT INTO ow_keys VALUES ('guest', 'key', '0af7651916cd43dd8448eb211c80319c');
CREATE INDEX events_by_type ON events (event_type, event_id);
CREATE INDEX events_by_source ON events (source, event_id);
CREATE INDEX events_by_receipt ON events (received_at);
CREATE INDEX dedup_by_age ON dedup (accepted_at);
CREATE INDEX runs_by_wake ON runs (holder, wake) WHERE wake IS NOT NULL;
CREATE INDEX runs_by_status ON runs (status, run);
CREATE INDEX runs_by_name ON runs (name, run);
CREATE INDEX runs_by_event ON runs (event_id, run) WHERE event_id IS NOT NULL;
CREATE INDEX runs_by_end ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX signals_by_run ON signals (run);
CREATE INDEX definitions_by_name ON definitions (kind, name, put);
CREATE INDEX reactions_by_digest ON reactions (digest);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;
CREATE INDEX storms_by_end ON storms (gathers, until);
CREATE INDEX storms_of_reaction_by_end ON storms (reaction, until) WHERE gathers = 0;
CREATE INDEX run_events_by_event ON run_events (event_id);
CREATE INDEX list_entries_by_end ON list_entries (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ow_entities_listed ON ow_entities (kind, namespace, updated);
CREATE INDEX ow_records_listed ON ow_records (namespace, start, activation);
CREATE INDEX ow_records_named ON ow_records (namespace, name, start);
CREATE INDEX ow_records_oldest ON ow_records (start, namespace, activation);
CREATE INDEX ow_keys_of ON ow_keys (activation);
COMMIT;
