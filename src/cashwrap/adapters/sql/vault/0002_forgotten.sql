-- Names of people who were forgotten, as keyed hashes under a purpose of their own: what happened before `at` and
-- comes again by one of them (an import, a retry, a restored queue) is not taken.
CREATE TABLE forgotten (
  name BLOB    PRIMARY KEY,
  at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
