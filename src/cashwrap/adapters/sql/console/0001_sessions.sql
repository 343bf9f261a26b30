-- The first schema of console.db: what a console may lose.

-- Who is signed in. `id` is the hash of the cookie's text, `document` the rest as the console writes it.
CREATE TABLE sessions (
  id       BLOB PRIMARY KEY,
  document BLOB NOT NULL,
  seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
