-- Decisions kept with their inputs, to be explained and made again. `number` is the order of commit.
CREATE TABLE decisions (
  number   INTEGER PRIMARY KEY,
  tenant   INTEGER NOT NULL REFERENCES tenants (number),
  id       BLOB    NOT NULL,
  shopper  BLOB    NOT NULL,
  time     INTEGER NOT NULL,
  position INTEGER NOT NULL,
  payload  BLOB    NOT NULL,
  UNIQUE (tenant, id)
) STRICT;

-- For `decisions`: one tenant's in the order of time.
CREATE INDEX decisions_time ON decisions (tenant, time, id);

-- For `forget` and a withdrawn consent: all of one shopper.
CREATE INDEX decisions_shopper ON decisions (shopper, tenant);
