-- Format 5 as format 4 had it: what the embedded OpenWhisk host keeps is left behind. For tests
-- of upgrades only; no program goes back.
BEGIN;
DROP TABLE ow_users;
DROP TABLE ow_keys;
DROP TABLE ow_records;
DROP TABLE ow_admissions;
DROP TABLE ow_entities;
DELETE FROM meta WHERE key = 'ow_revision';
PRAGMA user_version = 4;
COMMIT;
