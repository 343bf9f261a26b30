-- The statements of `postgres_ledger.py`, by name; `ledger.sql` has the same names. `bookkeeping.py` says when
-- each one runs.

-- name: answer
SELECT fingerprint, refused, missing, document FROM answers WHERE tenant = %(tenant)s AND key = %(key)s;

-- name: remember
INSERT INTO answers (tenant, key, fingerprint, refused, missing, who, document, time)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(refused)s, %(missing)s, %(who)s, %(document)s, %(time)s);

-- name: prune_answers
DELETE FROM answers WHERE (tenant, key) IN
  (SELECT tenant, key FROM answers WHERE time < %(before)s ORDER BY time LIMIT %(limit)s)
RETURNING 1;

-- name: count
-- One statement decides and counts: a row comes back where there was room, and nothing happens where there was none.
INSERT INTO counters (tenant, key, who, used)
SELECT %(tenant)s, %(key)s, %(who)s, %(amount)s::bigint WHERE %(amount)s::bigint <= %(most)s::bigint
ON CONFLICT (tenant, key) DO UPDATE SET used = counters.used + excluded.used
WHERE counters.used + excluded.used <= %(most)s::bigint
RETURNING number;

-- name: uncount
UPDATE counters SET used = used - %(amount)s WHERE number = %(counter)s RETURNING used;

-- name: drop_counter
-- What nobody counts against any more leaves no row. Nobody can begin to meanwhile: `uncount` holds the row.
DELETE FROM counters WHERE number = %(counter)s AND used = 0
AND NOT EXISTS (SELECT 1 FROM claims WHERE counter = number);

-- name: used
SELECT key, used FROM counters WHERE tenant = %(tenant)s AND key = ANY(%(keys)s::text[]) AND used > 0;

-- name: add_claim
INSERT INTO claims (reservation, counter, amount, money) VALUES (%(reservation)s, %(counter)s, %(amount)s, %(money)s);

-- name: claims
SELECT k.key, c.counter, c.amount, c.money FROM claims c JOIN counters k ON k.number = c.counter
WHERE c.reservation = %(reservation)s;

-- name: shrink_claim
UPDATE claims SET amount = amount - %(amount)s WHERE reservation = %(reservation)s AND counter = %(counter)s;

-- name: drop_claims
DELETE FROM claims WHERE reservation = %(reservation)s;

-- name: add_reservation
INSERT INTO reservations
  (id, tenant, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed)
VALUES (%(id)s, %(tenant)s, %(offer)s, %(currency)s, %(amount)s, %(created)s, %(expires)s,
  %(shopper)s, %(cart)s, %(code)s, 'reserved', '', %(changed)s)
ON CONFLICT DO NOTHING RETURNING 1;

-- name: reservation
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE id = %(id)s AND tenant = %(tenant)s;

-- name: reservation_to_change
-- Locked: whoever else wants to change it waits.
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE id = %(id)s AND tenant = %(tenant)s FOR UPDATE;

-- name: change_reservation
UPDATE reservations SET state = %(state)s, amount = %(amount)s, order_id = %(order_id)s, changed = %(changed)s
WHERE id = %(id)s;

-- name: of_order
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE tenant = %(tenant)s AND order_id = %(order_id)s AND order_id <> '' ORDER BY created, id;

-- name: due
SELECT tenant, id FROM reservations WHERE state = 'reserved' AND expires < %(before)s
ORDER BY expires, id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: next_line
-- The last row that a transaction locks: numbers follow the order of commit, so that who pages by them misses none.
INSERT INTO books (tenant, lines) VALUES (%(tenant)s, 1)
ON CONFLICT (tenant) DO UPDATE SET lines = books.lines + 1 RETURNING lines;

-- name: add_entry
INSERT INTO entries (tenant, sequence, reservation, offer, currency, kind, held, spent, time)
VALUES (%(tenant)s, %(sequence)s, %(reservation)s, %(offer)s, %(currency)s, %(kind)s, %(held)s, %(spent)s, %(time)s);

-- name: entries
SELECT sequence, reservation, offer, currency, kind, held, spent, time FROM entries
WHERE tenant = %(tenant)s AND sequence > %(after)s ORDER BY sequence LIMIT %(limit)s;

-- name: moves
-- For people: lines with the reservations they are of.
SELECT e.sequence, e.reservation, e.offer, e.currency, e.kind, e.held, e.spent, e.time,
  r.amount, r.created, r.expires, r.shopper, r.cart, r.code, r.state, r.order_id, r.changed
FROM entries e JOIN reservations r ON r.id = e.reservation
WHERE e.tenant = %(tenant)s AND e.sequence > %(after)s ORDER BY e.sequence LIMIT %(limit)s;

-- name: holding
SELECT offer, currency, count(*), sum(amount)::bigint, min(expires) FROM reservations
WHERE state = 'reserved' AND tenant = %(tenant)s GROUP BY offer, currency ORDER BY offer, currency;

-- name: codes_made
SELECT offer, count(*) FROM codes WHERE tenant = %(tenant)s GROUP BY offer;

-- name: codes_used
-- A code's counter is named `offer/code/digest`.
SELECT split_part(key, '/code/', 1), count(*) FROM counters
WHERE tenant = %(tenant)s AND used > 0 AND strpos(key, '/code/') > 0 GROUP BY 1;

-- name: refusals
-- What the counter of a refusal is named says why; one that found no room in a limit says only that.
SELECT CASE WHEN substr(missing, 1, 8) = 'refused:' THEN substr(missing, 9) ELSE refused END AS reason,
  time / 3600000 * 3600000 AS hour, count(*)
FROM answers WHERE tenant = %(tenant)s AND refused <> '' AND time >= %(since)s GROUP BY 1, 2;

-- name: open_balance
INSERT INTO balances (tenant, offer, currency, held, spent) VALUES (%(tenant)s, %(offer)s, %(currency)s, 0, 0)
ON CONFLICT DO NOTHING;

-- name: change_balance
UPDATE balances SET held = held + %(held)s, spent = spent + %(spent)s
WHERE tenant = %(tenant)s AND offer = %(offer)s AND currency = %(currency)s;

-- name: balance
SELECT currency, held, spent FROM balances WHERE tenant = %(tenant)s AND offer = %(offer)s ORDER BY currency;

-- name: add_code
INSERT INTO codes (tenant, digest, offer, uses, expires)
VALUES (%(tenant)s, %(digest)s, %(offer)s, %(uses)s, %(expires)s)
ON CONFLICT DO NOTHING;

-- name: code
SELECT digest, offer, uses, expires FROM codes WHERE tenant = %(tenant)s AND digest = %(digest)s;

-- name: add_notice
INSERT INTO notices (reservation, document) VALUES (%(reservation)s, %(document)s);

-- name: notices
SELECT n.number, n.document, r.shopper FROM notices n JOIN reservations r ON r.id = n.reservation
ORDER BY n.number LIMIT %(limit)s;

-- name: settle
DELETE FROM notices WHERE number = ANY(%(numbers)s::bigint[]);

-- name: shopper
SELECT shopper FROM reservations WHERE id = %(id)s;

-- name: forget_kin
-- What else the shop knew them by, such as an address: counted with a reservation of theirs, and named nowhere else.
UPDATE counters SET key = 'forgotten/' || number, who = ''
WHERE tenant = %(tenant)s AND who <> '' AND key LIKE '%%/shopper/%%' AND number IN (
  SELECT c.counter FROM claims c JOIN reservations r ON r.id = c.reservation
  WHERE r.tenant = %(tenant)s AND r.shopper = %(shopper)s AND r.shopper <> '');

-- name: forget_reservations
UPDATE reservations SET shopper = '' WHERE tenant = %(tenant)s AND shopper = %(shopper)s AND shopper <> ''
RETURNING 1;

-- name: forget_counters
-- What counts goes on counting, under a name that says nothing.
UPDATE counters SET key = 'forgotten/' || number, who = '' WHERE tenant = %(tenant)s AND who = %(who)s AND who <> ''
RETURNING 1;

-- name: forget_answers
UPDATE answers SET missing = '', who = '' WHERE tenant = %(tenant)s AND who = %(who)s AND who <> ''
RETURNING 1;

-- name: wrong_counters
-- A counter is the sum of its claims.
SELECT tenant, key, used, claimed
FROM counters, LATERAL (SELECT coalesce(sum(amount), 0)::bigint AS claimed FROM claims WHERE counter = number) AS c
WHERE used <> claimed;

-- name: stray_claims
-- Only what is held or spent has claims.
SELECT DISTINCT r.tenant, encode(r.id, 'hex'), r.state FROM claims c JOIN reservations r ON r.id = c.reservation
WHERE r.state NOT IN ('reserved', 'redeemed');

-- name: wrong_balances
-- A balance is the sum of its lines.
SELECT tenant, offer, currency, sum(held)::bigint, sum(spent)::bigint FROM (
  SELECT tenant, offer, currency, held, spent FROM balances
  UNION ALL SELECT tenant, offer, currency, -held, -spent FROM entries) AS lines
GROUP BY tenant, offer, currency HAVING sum(held) <> 0 OR sum(spent) <> 0;

-- name: wrong_states
-- A balance is also the sum of what is in each state.
SELECT tenant, offer, currency, sum(held)::bigint, sum(spent)::bigint FROM (
  SELECT tenant, offer, currency, held, spent FROM balances
  UNION ALL SELECT tenant, offer, currency, -amount, 0 FROM reservations WHERE state = 'reserved'
  UNION ALL SELECT tenant, offer, currency, 0, -amount FROM reservations WHERE state = 'redeemed') AS states
GROUP BY tenant, offer, currency HAVING sum(held) <> 0 OR sum(spent) <> 0;

-- name: wrong_books
-- Lines are numbered from one without a gap.
SELECT b.tenant, b.lines, count(e.sequence) FROM books b LEFT JOIN entries e ON e.tenant = b.tenant
GROUP BY b.tenant, b.lines
HAVING count(e.sequence) <> b.lines OR coalesce(max(e.sequence), 0) <> b.lines;

-- name: lock_key
-- Until the transaction ends; not waited for.
SELECT pg_try_advisory_xact_lock(%(number)s);

-- name: settings
-- Whatever the server's defaults are: our tables, a commit that is on disk, and an end to every wait.
SELECT set_config('search_path', 'cashwrap', false), set_config('statement_timeout', %(millis)s, false),
  set_config('lock_timeout', %(millis)s, false), set_config('idle_in_transaction_session_timeout', %(millis)s, false),
  CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
  THEN set_config('synchronous_commit', 'on', false) END;

-- name: begin
BEGIN;

-- name: begin_reading
-- All of it at one moment.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: fsync
SELECT current_setting('fsync') = 'on';

-- name: lock_schema
-- One process at a time brings the tables up to date. The number says "cashwrap" in ASCII.
SELECT pg_advisory_xact_lock(7161131775013577072);

-- name: schema
SELECT to_regclass('cashwrap.schema_version') IS NOT NULL;

-- name: create_schema
-- Where an administrator made the schema for us, we may not be allowed to ask for it again.
DO $$ BEGIN IF to_regnamespace('cashwrap') IS NULL THEN CREATE SCHEMA cashwrap; END IF; END $$;
CREATE TABLE cashwrap.schema_version (version bigint NOT NULL);
INSERT INTO cashwrap.schema_version VALUES (0);

-- name: version
SELECT version FROM schema_version;

-- name: set_version
UPDATE schema_version SET version = %(version)s;
