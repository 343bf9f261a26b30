-- What is drawn over time, so that a restart of the console leaves no gap but that of its absence.

-- What happened in a minute or an hour (`length`, in milliseconds) of a store, or of all where `store` is empty.
CREATE TABLE points (
  length INTEGER NOT NULL,
  store  TEXT NOT NULL,
  at     INTEGER NOT NULL,
  point  BLOB NOT NULL,
  PRIMARY KEY (length, store, at)
) STRICT, WITHOUT ROWID;

-- How far the log's orders are in the points.
CREATE TABLE counted (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL
) STRICT;

-- Alerts that have not cleared, with who took them on.
CREATE TABLE alerts (
  store TEXT NOT NULL,
  code  TEXT NOT NULL,
  told  BLOB NOT NULL,
  PRIMARY KEY (store, code)
) STRICT, WITHOUT ROWID;
