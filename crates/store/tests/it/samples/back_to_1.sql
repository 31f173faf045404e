-- Format 2 as format 1 had it: tokens and the record of acts are left behind. For tests of
-- upgrades only; no program goes back.
BEGIN;
DROP TABLE tokens;
DROP TABLE acts;
DROP TABLE marks;
PRAGMA user_version = 1;
COMMIT;
