-- How far the log was folded into snapshots: `horizon` for the records that retention removed, `backfill` for the
-- state of changed features on its way. Every record up to `sequence` is in.
CREATE TABLE folds (
  name     TEXT    PRIMARY KEY CHECK (name IN ('horizon', 'backfill')),
  sequence INTEGER NOT NULL,
  received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A shopper as those records say, sealed like the row in `profiles`. A table with a rowid, for the same reason.
CREATE TABLE snapshots (
  number  INTEGER PRIMARY KEY,
  fold    TEXT    NOT NULL CHECK (fold IN ('horizon', 'backfill')),
  tenant  INTEGER NOT NULL REFERENCES tenants (number),
  shopper BLOB    NOT NULL,
  state   BLOB    NOT NULL,
  seen    BLOB    NOT NULL,
  UNIQUE (fold, tenant, shopper)
) STRICT;

-- For `forget`: a failed event's payload begins with its shopper.
CREATE INDEX failed_shopper ON failed (substr(payload, 1, 16)) WHERE payload IS NOT NULL;
