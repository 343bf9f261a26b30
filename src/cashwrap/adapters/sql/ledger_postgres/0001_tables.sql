-- The first schema of a ledger in PostgreSQL. The twin in `ledger` has the same tables. A tenant is written as
-- `store/environment`; amounts are whole minor units, times are milliseconds.

-- How far each limit is used. `who` is the digest that ends the key, in hex, where one does: what forgetting asks for.
CREATE TABLE counters (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text    NOT NULL,
  key    text    NOT NULL,
  who    text    NOT NULL,
  used   bigint  NOT NULL CHECK (used >= 0),
  UNIQUE (tenant, key)
);

CREATE INDEX counters_who ON counters (tenant, who) WHERE who <> '';

CREATE TABLE reservations (
  id       bytea   PRIMARY KEY,
  tenant   text    NOT NULL,
  offer    text    NOT NULL,
  currency text    NOT NULL,
  amount   bigint  NOT NULL CHECK (amount >= 0),
  created  bigint  NOT NULL,
  expires  bigint  NOT NULL,
  shopper  bytea   NOT NULL,
  cart     bytea   NOT NULL,
  code     bytea   NOT NULL,
  state    text    NOT NULL CHECK (state IN ('reserved', 'redeemed', 'released', 'expired', 'rolled_back')),
  order_id text    NOT NULL,
  changed  bigint  NOT NULL
);

CREATE INDEX reservations_due ON reservations (expires, id) WHERE state = 'reserved';
CREATE INDEX reservations_order ON reservations (tenant, order_id) WHERE order_id <> '';
CREATE INDEX reservations_shopper ON reservations (tenant, shopper) WHERE shopper <> '';

-- What a reservation counts against, for as long as it does: its claims go when it is closed.
CREATE TABLE claims (
  reservation bytea   NOT NULL REFERENCES reservations (id),
  counter     bigint  NOT NULL REFERENCES counters (number),
  amount      bigint  NOT NULL CHECK (amount >= 0),
  money       bigint  NOT NULL CHECK (money IN (0, 1)),
  PRIMARY KEY (reservation, counter)
);

CREATE INDEX claims_counter ON claims (counter, amount);

-- How many lines each tenant's book has: numbers follow each other without a gap, in the order of commit.
CREATE TABLE books (
  tenant text    PRIMARY KEY,
  lines  bigint  NOT NULL
);

CREATE TABLE entries (
  tenant      text    NOT NULL,
  sequence    bigint  NOT NULL,
  reservation bytea   NOT NULL REFERENCES reservations (id),
  offer       text    NOT NULL,
  currency    text    NOT NULL,
  kind        text    NOT NULL CHECK (kind IN ('reserve', 'redeem', 'release', 'expire', 'roll_back')),
  held        bigint  NOT NULL,
  spent       bigint  NOT NULL,
  time        bigint  NOT NULL,
  PRIMARY KEY (tenant, sequence)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a line of the ledger never changes'; END $$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_remain BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The sum of the lines above, so that asking does not add up years of them.
CREATE TABLE balances (
  tenant   text    NOT NULL,
  offer    text    NOT NULL,
  currency text    NOT NULL,
  held     bigint  NOT NULL CHECK (held >= 0),
  spent    bigint  NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (tenant, offer, currency)
);

-- What was answered, by idempotency key. `document` is the reservation as it was then, without its shopper.
CREATE TABLE answers (
  tenant      text    NOT NULL,
  key         text    NOT NULL,
  fingerprint bytea   NOT NULL,
  refused     text    NOT NULL,
  missing     text    NOT NULL,
  who         text    NOT NULL,
  document    bytea   NOT NULL,
  time        bigint  NOT NULL,
  PRIMARY KEY (tenant, key)
);

CREATE INDEX answers_time ON answers (time);
CREATE INDEX answers_who ON answers (tenant, who) WHERE who <> '';

-- Codes, by their keyed digest.
CREATE TABLE codes (
  tenant  text    NOT NULL,
  digest  bytea   NOT NULL,
  offer   text    NOT NULL,
  uses    bigint  NOT NULL,
  expires bigint  NOT NULL,
  PRIMARY KEY (tenant, digest)
);

-- Changes nobody was told of yet.
CREATE TABLE notices (
  number      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reservation bytea   NOT NULL REFERENCES reservations (id),
  document    bytea   NOT NULL
);
