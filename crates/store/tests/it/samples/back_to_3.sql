-- Format 4 as format 3 had it: playbooks are left behind. For tests of upgrades only; no program
-- goes back.
BEGIN;
DROP TABLE playbooks;
PRAGMA user_version = 3;
COMMIT;
