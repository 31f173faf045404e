-- Playbooks that were put through an interface, each version by the identifier and the time of
-- modification that stand in it, with its text exactly as it came: signatures are made over it.
-- digest is the SHA-256 of the text.
CREATE TABLE playbooks (
    id       TEXT NOT NULL,
    modified TEXT NOT NULL,
    text     TEXT NOT NULL,
    digest   BLOB NOT NULL,
    owner    TEXT NOT NULL,
    put_at   INTEGER NOT NULL,
    PRIMARY KEY (id, modified)
) STRICT, WITHOUT ROWID;
