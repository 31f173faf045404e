-- Format 3 as format 2 had it: what came with storm control and lists is left behind. For
-- tests of upgrades only; no program goes back.
BEGIN;
DROP TABLE storms;
DROP TABLE run_events;
DROP TABLE list_entries;
ALTER TABLE events DROP COLUMN notes;
PRAGMA user_version = 2;
COMMIT;
