-- The first schema of cashwrap.db. Tables are STRICT: a value of the wrong type is an error, not a surprise.

-- A store in one environment, as a small integer: it is part of every row.
CREATE TABLE tenants (
  number      INTEGER PRIMARY KEY,
  store       TEXT NOT NULL,
  environment TEXT NOT NULL,
  UNIQUE (store, environment)
) STRICT;

-- The truth: what happened, in the order of commit. Only ever appended to. The next sequence is the greatest
-- plus one, so whatever trims this table must leave its newest row.
CREATE TABLE log (
  sequence INTEGER PRIMARY KEY,
  tenant   INTEGER NOT NULL REFERENCES tenants (number),
  shopper  BLOB    NOT NULL,
  received INTEGER NOT NULL,
  kind     TEXT    NOT NULL CHECK (kind IN ('events', 'merge')),
  mask     INTEGER NOT NULL,
  payload  BLOB    NOT NULL
) STRICT;

-- One row a shopper, sealed. A table with a rowid: in one without, a row above 1 KB would spill to overflow pages.
-- `seen` stands last: where a row does spill, it is this part.
CREATE TABLE profiles (
  number  INTEGER PRIMARY KEY,
  tenant  INTEGER NOT NULL REFERENCES tenants (number),
  shopper BLOB    NOT NULL,
  due     INTEGER,
  state   BLOB    NOT NULL,
  seen    BLOB    NOT NULL,
  UNIQUE (tenant, shopper)
) STRICT;

-- For `due`: the few shoppers whom time alone may change. Holds all that is asked, so no row is read for it.
CREATE INDEX profiles_due ON profiles (due, shopper, tenant) WHERE due IS NOT NULL;

-- Keyed hash of an identifier to the shopper it names.
CREATE TABLE identities (
  digest  BLOB    PRIMARY KEY,
  tenant  INTEGER NOT NULL REFERENCES tenants (number),
  shopper BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- For `forget`: all identifiers of one shopper.
CREATE INDEX identities_shopper ON identities (tenant, shopper);

-- A segment's name as a small integer: it is part of every membership.
CREATE TABLE segments (
  number INTEGER PRIMARY KEY,
  tenant INTEGER NOT NULL REFERENCES tenants (number),
  name   TEXT    NOT NULL,
  UNIQUE (tenant, name)
) STRICT;

CREATE TABLE memberships (
  segment INTEGER NOT NULL REFERENCES segments (number),
  shopper BLOB    NOT NULL,
  since   INTEGER NOT NULL,
  PRIMARY KEY (segment, shopper)
) STRICT, WITHOUT ROWID;

-- Transitions not delivered yet. AUTOINCREMENT: a number that was settled never names another transition.
CREATE TABLE outbox (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  segment INTEGER NOT NULL REFERENCES segments (number),
  shopper BLOB    NOT NULL,
  entered INTEGER NOT NULL CHECK (entered IN (0, 1)),
  at      INTEGER NOT NULL
) STRICT;

-- Events that could not be kept, until an operator acts.
CREATE TABLE failed (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant   INTEGER NOT NULL REFERENCES tenants (number),
  received INTEGER NOT NULL,
  code     TEXT    NOT NULL,
  message  TEXT    NOT NULL,
  path     TEXT    NOT NULL,
  size     INTEGER NOT NULL,
  payload  BLOB
) STRICT;

-- API keys (hashed), kill switches, webhooks.
CREATE TABLE documents (
  kind     TEXT NOT NULL,
  name     TEXT NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- The shop's feed, a product as MessagePack.
CREATE TABLE products (
  tenant   INTEGER NOT NULL REFERENCES tenants (number),
  id       TEXT    NOT NULL,
  document BLOB    NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- Grows with every change of a tenant's products.
CREATE TABLE catalogues (
  tenant  INTEGER PRIMARY KEY REFERENCES tenants (number),
  version INTEGER NOT NULL
) STRICT;
