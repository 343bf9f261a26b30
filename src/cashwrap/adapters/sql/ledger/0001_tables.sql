-- The first schema of ledger.db. The twin in `ledger_postgres` has the same tables. A tenant is written as
-- `store/environment`; amounts are whole minor units, times are milliseconds.

-- How far each limit is used. `who` is the digest that ends the key, in hex, where one does: what forgetting asks for.
CREATE TABLE counters (
  number INTEGER PRIMARY KEY,
  tenant TEXT    NOT NULL,
  key    TEXT    NOT NULL,
  who    TEXT    NOT NULL,
  used   INTEGER NOT NULL CHECK (used >= 0),
  UNIQUE (tenant, key)
) STRICT;

CREATE INDEX counters_who ON counters (tenant, who) WHERE who <> '';

CREATE TABLE reservations (
  id       BLOB    PRIMARY KEY,
  tenant   TEXT    NOT NULL,
  offer    TEXT    NOT NULL,
  currency TEXT    NOT NULL,
  amount   INTEGER NOT NULL CHECK (amount >= 0),
  created  INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  shopper  BLOB    NOT NULL,
  cart     BLOB    NOT NULL,
  code     BLOB    NOT NULL,
  state    TEXT    NOT NULL CHECK (state IN ('reserved', 'redeemed', 'released', 'expired', 'rolled_back')),
  order_id TEXT    NOT NULL,
  changed  INTEGER NOT NULL
) STRICT;

CREATE INDEX reservations_due ON reservations (expires, id) WHERE state = 'reserved';
CREATE INDEX reservations_order ON reservations (tenant, order_id) WHERE order_id <> '';
CREATE INDEX reservations_shopper ON reservations (tenant, shopper) WHERE shopper <> x'';

-- What a reservation counts against, for as long as it does: its claims go when it is closed.
CREATE TABLE claims (
  reservation BLOB    NOT NULL REFERENCES reservations (id),
  counter     INTEGER NOT NULL REFERENCES counters (number),
  amount      INTEGER NOT NULL CHECK (amount >= 0),
  money       INTEGER NOT NULL CHECK (money IN (0, 1)),
  PRIMARY KEY (reservation, counter)
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_counter ON claims (counter, amount);

-- How many lines each tenant's book has: numbers follow each other without a gap, in the order of commit.
CREATE TABLE books (
  tenant TEXT    PRIMARY KEY,
  lines  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
  tenant      TEXT    NOT NULL,
  sequence    INTEGER NOT NULL,
  reservation BLOB    NOT NULL REFERENCES reservations (id),
  offer       TEXT    NOT NULL,
  currency    TEXT    NOT NULL,
  kind        TEXT    NOT NULL CHECK (kind IN ('reserve', 'redeem', 'release', 'expire', 'roll_back')),
  held        INTEGER NOT NULL,
  spent       INTEGER NOT NULL,
  time        INTEGER NOT NULL,
  PRIMARY KEY (tenant, sequence)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
BEGIN SELECT raise(ABORT, 'a line of the ledger never changes'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries
BEGIN SELECT raise(ABORT, 'a line of the ledger never goes'); END;

-- The sum of the lines above, so that asking does not add up years of them.
CREATE TABLE balances (
  tenant   TEXT    NOT NULL,
  offer    TEXT    NOT NULL,
  currency TEXT    NOT NULL,
  held     INTEGER NOT NULL CHECK (held >= 0),
  spent    INTEGER NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (tenant, offer, currency)
) STRICT, WITHOUT ROWID;

-- What was answered, by idempotency key. `document` is the reservation as it was then, without its shopper.
CREATE TABLE answers (
  tenant      TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  refused     TEXT    NOT NULL,
  missing     TEXT    NOT NULL,
  who         TEXT    NOT NULL,
  document    BLOB    NOT NULL,
  time        INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_time ON answers (time);
CREATE INDEX answers_who ON answers (tenant, who) WHERE who <> '';

-- Codes, by their keyed digest.
CREATE TABLE codes (
  tenant  TEXT    NOT NULL,
  digest  BLOB    NOT NULL,
  offer   TEXT    NOT NULL,
  uses    INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

-- Changes nobody was told of yet. AUTOINCREMENT: a number that was settled never names another one.
CREATE TABLE notices (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  reservation BLOB    NOT NULL REFERENCES reservations (id),
  document    BLOB    NOT NULL
) STRICT;
