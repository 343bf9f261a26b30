-- The first schema of keys.db.

-- One key a shopper. NULL is the tombstone of a destroyed key: it is never made again.
CREATE TABLE keys (
  shopper BLOB PRIMARY KEY,
  key     BLOB
) STRICT, WITHOUT ROWID;

-- What this data folder alone knows: the key of its digests.
CREATE TABLE secrets (
  name   TEXT PRIMARY KEY,
  secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;
