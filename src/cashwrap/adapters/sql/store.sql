-- The statements of `sqlite.py`, by name.

-- name: tenants
SELECT number, store, environment FROM tenants;

-- name: add_tenant
INSERT INTO tenants (store, environment) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: segments
SELECT number, tenant, name FROM segments;

-- name: add_segment
INSERT INTO segments (tenant, name) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: append_record
INSERT INTO log (tenant, shopper, received, kind, mask, payload) VALUES (?, ?, ?, ?, ?, ?);

-- name: newest_sequence
SELECT coalesce(max(sequence), 0) FROM log;

-- name: log_page
-- The newest row stays when retention has passed it, without its payload, so that sequences go on: it is no record.
SELECT sequence, tenant, shopper, received, kind, mask, payload FROM log
WHERE sequence > max(?, coalesce((SELECT sequence FROM folds WHERE name = 'horizon'), 0)) ORDER BY sequence LIMIT ?;

-- name: log_of
-- The log has no index by shopper: one would cost each commit a page or more for every record. Shopper and tenant stand
-- before the payload, so of everybody else's record only the head is read: about a million of them in half a second.
SELECT sequence, shopper, received, kind, payload, mask FROM log
WHERE sequence > max(?, coalesce((SELECT sequence FROM folds WHERE name = 'horizon'), 0)) AND sequence <= ?
  AND tenant = ? AND instr(?, shopper) ORDER BY sequence DESC;

-- name: retire_records
DELETE FROM log WHERE sequence <= ? AND sequence < (SELECT max(sequence) FROM log);

-- name: empty_record
UPDATE log SET payload = x'', mask = 0 WHERE sequence = ?;

-- name: horizon
SELECT sequence, received FROM folds WHERE name = ?;

-- name: move_horizon
INSERT INTO folds (name, sequence, received) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, received = excluded.received;

-- name: remove_horizon
DELETE FROM folds WHERE name = ?;

-- name: snapshot
SELECT tenant, shopper, state, seen FROM snapshots WHERE fold = ? AND tenant = ? AND shopper = ?;

-- name: snapshots
SELECT number, tenant, shopper, state, seen FROM snapshots WHERE fold = ? AND number > ? ORDER BY number LIMIT ?;

-- name: write_snapshot
INSERT INTO snapshots (fold, tenant, shopper, state, seen) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (fold, tenant, shopper) DO UPDATE SET state = excluded.state, seen = excluded.seen;

-- name: remove_snapshot
DELETE FROM snapshots WHERE fold = ? AND tenant = ? AND shopper = ?;

-- name: remove_snapshots
DELETE FROM snapshots WHERE fold IN ('horizon', 'backfill') AND tenant = ? AND shopper = ?;

-- name: clear_snapshots
DELETE FROM snapshots WHERE number IN (SELECT number FROM snapshots WHERE fold = ? LIMIT ?);

-- name: shoppers
SELECT tenant, shopper FROM profiles WHERE (tenant, shopper) > (?, ?) ORDER BY tenant, shopper LIMIT ?;

-- name: names
SELECT digest FROM identities WHERE tenant = ? AND shopper = ?;

-- name: remove_failures
DELETE FROM failed WHERE substr(payload, 1, 16) = ? AND payload IS NOT NULL AND tenant = ?;

-- name: remove_notices
-- The outbox is short: whatever is in it is on its way.
DELETE FROM outbox WHERE shopper = ?;

-- name: write_row
INSERT INTO profiles (tenant, shopper, due, state, seen) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, shopper) DO UPDATE SET due = excluded.due, state = excluded.state, seen = excluded.seen;

-- name: remove_row
DELETE FROM profiles WHERE tenant = ? AND shopper = ?;

-- name: row
SELECT tenant, shopper, state, seen, due FROM profiles WHERE tenant = ? AND shopper = ?;

-- name: due
-- Ties by shopper, so that paging by time is repeatable.
SELECT tenant, shopper FROM profiles WHERE due <= ? ORDER BY due, shopper LIMIT ?;

-- name: write_due
UPDATE profiles SET due = ? WHERE tenant = ? AND shopper = ?;

-- name: write_identity
-- The newest claim wins: at a merge an identifier moves to the shopper who stays. A claim already there dirties
-- no page.
INSERT INTO identities (digest, tenant, shopper) VALUES (?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET tenant = excluded.tenant, shopper = excluded.shopper
WHERE shopper <> excluded.shopper OR tenant <> excluded.tenant;

-- name: identity
SELECT digest, tenant, shopper FROM identities WHERE digest = ?;

-- name: remove_identities
DELETE FROM identities WHERE tenant = ? AND shopper = ?;

-- name: enter_segment
-- Entering twice keeps the first time.
INSERT INTO memberships (segment, shopper, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: leave_segment
DELETE FROM memberships WHERE segment = ? AND shopper = ?;

-- name: remove_memberships
-- One probe of the primary key a segment: cheaper than a second index on every membership.
DELETE FROM memberships WHERE (segment, shopper) IN (SELECT number, ? FROM segments WHERE tenant = ?);

-- name: inside
-- Likewise: one probe of the primary key a segment.
SELECT segments.tenant, memberships.shopper, segments.name FROM segments JOIN memberships
  ON memberships.segment = segments.number AND memberships.shopper = ?
WHERE segments.tenant = ?;

-- name: entered
SELECT segments.name, memberships.since FROM segments JOIN memberships
  ON memberships.segment = segments.number AND memberships.shopper = ?
WHERE segments.tenant = ?;

-- name: members
SELECT shopper FROM memberships
WHERE segment = (SELECT number FROM segments WHERE tenant = ? AND name = ?) AND shopper > ?
ORDER BY shopper LIMIT ?;

-- name: sizes
SELECT segments.name, count(*) FROM segments JOIN memberships ON memberships.segment = segments.number
WHERE segments.tenant = ? GROUP BY segments.name;

-- name: population
SELECT count(*) FROM profiles WHERE tenant = ?;

-- name: queue_notice
INSERT INTO outbox (tenant, shopper, at, segment, entered, body) VALUES (?, ?, ?, ?, ?, ?);

-- name: pending
SELECT outbox.number, outbox.tenant, outbox.shopper, outbox.at, segments.name, outbox.entered, outbox.body
FROM outbox LEFT JOIN segments ON segments.number = outbox.segment ORDER BY outbox.number LIMIT ?;

-- name: settle
DELETE FROM outbox WHERE number = ?;

-- name: keep_failure
INSERT INTO failed (tenant, received, code, message, path, size, payload) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: failures
SELECT sequence, tenant, received, code, message, path, size, payload FROM failed
WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: failure
SELECT sequence, tenant, received, code, message, path, size, payload FROM failed WHERE sequence = ?;

-- name: rewrite_failure
UPDATE failed SET payload = ? WHERE sequence = ? AND payload IS NOT NULL RETURNING sequence;

-- name: tally_failures
SELECT tenant, code, received / 86400000 * 86400000, count(*) FROM failed GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: discard
DELETE FROM failed WHERE sequence = ?;

-- name: keep_decision
-- An id is random and comes once; the same one again is a commit that was tried a second time.
INSERT INTO decisions (tenant, id, shopper, time, position, payload) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: clear_decisions
DELETE FROM decisions WHERE shopper = ? AND tenant = ?;

-- name: decision
SELECT id, shopper, time, position, payload FROM decisions WHERE tenant = ? AND id = ?;

-- name: decisions
SELECT id, shopper, time, position, payload FROM decisions
WHERE tenant = ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?;

-- name: decisions_of
SELECT id, shopper, time, position, payload FROM decisions
WHERE shopper = ? AND tenant = ? AND time < ? ORDER BY time DESC, id DESC LIMIT ?;

-- name: old_decisions
-- The ones kept first are about the oldest: looking at a few of them bounds what one step costs.
SELECT number FROM (SELECT number, time FROM decisions ORDER BY number LIMIT ?)
WHERE time < ? OR number <= (SELECT max(number) FROM decisions) - ?;

-- name: remove_decision
DELETE FROM decisions WHERE number = ?;

-- name: documents
SELECT name, document FROM documents WHERE kind = ? ORDER BY name;

-- name: put_document
INSERT INTO documents (kind, name, document) VALUES (?, ?, ?)
ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document;

-- name: remove_document
DELETE FROM documents WHERE kind = ? AND name = ?;

-- name: products
SELECT id, document FROM products WHERE tenant = ? ORDER BY id;

-- name: put_product
INSERT INTO products (tenant, id, document) VALUES (?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET document = excluded.document;

-- name: remove_products
DELETE FROM products WHERE tenant = ?;

-- name: version
SELECT version FROM catalogues WHERE tenant = ?;

-- name: advance_version
INSERT INTO catalogues (tenant, version) VALUES (?, 1)
ON CONFLICT (tenant) DO UPDATE SET version = version + 1;
