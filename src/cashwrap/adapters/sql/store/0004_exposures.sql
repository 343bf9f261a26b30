-- The outbox holds exposures too: either a segment, with whether it was entered, or the body of a notice. Numbers go on:
-- one that was settled never names another notice.
CREATE TABLE notices (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant  INTEGER NOT NULL REFERENCES tenants (number),
  shopper BLOB    NOT NULL,
  at      INTEGER NOT NULL,
  segment INTEGER REFERENCES segments (number),
  entered INTEGER CHECK (entered IN (0, 1)),
  body    BLOB,
  CHECK ((segment IS NULL) = (entered IS NULL) AND (segment IS NULL) <> (body IS NULL))
) STRICT;

INSERT INTO notices (number, tenant, shopper, at, segment, entered)
SELECT outbox.number, segments.tenant, outbox.shopper, outbox.at, outbox.segment, outbox.entered
FROM outbox JOIN segments ON segments.number = outbox.segment;

DELETE FROM sqlite_sequence WHERE name = 'notices';

INSERT INTO sqlite_sequence (name, seq) SELECT 'notices', seq FROM sqlite_sequence WHERE name = 'outbox';

DROP TABLE outbox;

ALTER TABLE notices RENAME TO outbox;
