-- How large segments were: rounded, as people are told (`console/groups/groups.py`), so that no small number is on disk.

-- A size, from a reading on until another one: what did not change leaves no row. The empty segment is everybody.
CREATE TABLE sizes (
  store   TEXT NOT NULL,
  segment TEXT NOT NULL,
  at      INTEGER NOT NULL,
  size    INTEGER NOT NULL,
  PRIMARY KEY (store, segment, at)
) STRICT, WITHOUT ROWID;

-- When sizes were read: where there was no console, nobody knows them.
CREATE TABLE readings (
  store TEXT NOT NULL,
  at    INTEGER NOT NULL,
  PRIMARY KEY (store, at)
) STRICT, WITHOUT ROWID;
