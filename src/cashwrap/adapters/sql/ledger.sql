-- The statements of `sqlite_ledger.py`, by name; `ledger_postgres.sql` has the same names. `bookkeeping.py` says when
-- each one runs.

-- name: answer
SELECT fingerprint, refused, missing, document FROM answers WHERE tenant = :tenant AND key = :key;

-- name: remember
INSERT INTO answers (tenant, key, fingerprint, refused, missing, who, document, time)
VALUES (:tenant, :key, :fingerprint, :refused, :missing, :who, :document, :time);

-- name: prune_answers
DELETE FROM answers WHERE (tenant, key) IN
  (SELECT tenant, key FROM answers WHERE time < :before ORDER BY time LIMIT :limit)
RETURNING 1;

-- name: count
-- One statement decides and counts: a row comes back where there was room, and nothing happens where there was none.
INSERT INTO counters (tenant, key, who, used)
SELECT :tenant, :key, :who, :amount WHERE :amount <= :most
ON CONFLICT (tenant, key) DO UPDATE SET used = used + excluded.used WHERE used + excluded.used <= :most
RETURNING number;

-- name: uncount
UPDATE counters SET used = used - :amount WHERE number = :counter RETURNING used;

-- name: drop_counter
-- What nobody counts against any more leaves no row. Nobody can begin to meanwhile: `uncount` holds the row.
DELETE FROM counters WHERE number = :counter AND used = 0
AND NOT EXISTS (SELECT 1 FROM claims WHERE counter = number);

-- name: used
SELECT key, used FROM counters WHERE tenant = :tenant AND key IN (SELECT value FROM json_each(:keys)) AND used > 0;

-- name: add_claim
INSERT INTO claims (reservation, counter, amount, money) VALUES (:reservation, :counter, :amount, :money);

-- name: claims
SELECT k.key, c.counter, c.amount, c.money FROM claims c JOIN counters k ON k.number = c.counter
WHERE c.reservation = :reservation;

-- name: shrink_claim
UPDATE claims SET amount = amount - :amount WHERE reservation = :reservation AND counter = :counter;

-- name: drop_claims
DELETE FROM claims WHERE reservation = :reservation;

-- name: add_reservation
INSERT INTO reservations
  (id, tenant, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed)
VALUES (:id, :tenant, :offer, :currency, :amount, :created, :expires,
  :shopper, :cart, :code, 'reserved', '', :changed)
ON CONFLICT DO NOTHING RETURNING 1;

-- name: reservation
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE id = :id AND tenant = :tenant;

-- name: reservation_to_change
-- As above: in one file there is one writer. The twin locks the row.
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE id = :id AND tenant = :tenant;

-- name: change_reservation
UPDATE reservations SET state = :state, amount = :amount, order_id = :order_id, changed = :changed
WHERE id = :id;

-- name: of_order
SELECT id, offer, currency, amount, created, expires, shopper, cart, code, state, order_id, changed
FROM reservations WHERE tenant = :tenant AND order_id = :order_id AND order_id <> '' ORDER BY created, id;

-- name: due
SELECT tenant, id FROM reservations WHERE state = 'reserved' AND expires < :before
ORDER BY expires, id LIMIT :limit;

-- name: next_line
INSERT INTO books (tenant, lines) VALUES (:tenant, 1)
ON CONFLICT (tenant) DO UPDATE SET lines = lines + 1 RETURNING lines;

-- name: add_entry
INSERT INTO entries (tenant, sequence, reservation, offer, currency, kind, held, spent, time)
VALUES (:tenant, :sequence, :reservation, :offer, :currency, :kind, :held, :spent, :time);

-- name: entries
SELECT sequence, reservation, offer, currency, kind, held, spent, time FROM entries
WHERE tenant = :tenant AND sequence > :after ORDER BY sequence LIMIT :limit;

-- name: moves
-- For people: lines with the reservations they are of.
SELECT e.sequence, e.reservation, e.offer, e.currency, e.kind, e.held, e.spent, e.time,
  r.amount, r.created, r.expires, r.shopper, r.cart, r.code, r.state, r.order_id, r.changed
FROM entries e JOIN reservations r ON r.id = e.reservation
WHERE e.tenant = :tenant AND e.sequence > :after ORDER BY e.sequence LIMIT :limit;

-- name: holding
SELECT offer, currency, count(*), sum(amount), min(expires) FROM reservations
WHERE state = 'reserved' AND tenant = :tenant GROUP BY offer, currency ORDER BY offer, currency;

-- name: codes_made
SELECT offer, count(*) FROM codes WHERE tenant = :tenant GROUP BY offer;

-- name: codes_used
-- A code's counter is named `offer/code/digest`.
SELECT substr(key, 1, instr(key, '/code/') - 1), count(*) FROM counters
WHERE tenant = :tenant AND used > 0 AND instr(key, '/code/') > 0 GROUP BY 1;

-- name: refusals
-- What the counter of a refusal is named says why; one that found no room in a limit says only that.
SELECT CASE WHEN substr(missing, 1, 8) = 'refused:' THEN substr(missing, 9) ELSE refused END AS reason,
  time / 3600000 * 3600000 AS hour, count(*)
FROM answers WHERE tenant = :tenant AND refused <> '' AND time >= :since GROUP BY 1, 2;

-- name: open_balance
INSERT INTO balances (tenant, offer, currency, held, spent) VALUES (:tenant, :offer, :currency, 0, 0)
ON CONFLICT DO NOTHING;

-- name: change_balance
UPDATE balances SET held = held + :held, spent = spent + :spent
WHERE tenant = :tenant AND offer = :offer AND currency = :currency;

-- name: balance
SELECT currency, held, spent FROM balances WHERE tenant = :tenant AND offer = :offer ORDER BY currency;

-- name: add_code
INSERT INTO codes (tenant, digest, offer, uses, expires)
VALUES (:tenant, :digest, :offer, :uses, :expires)
ON CONFLICT DO NOTHING;

-- name: code
SELECT digest, offer, uses, expires FROM codes WHERE tenant = :tenant AND digest = :digest;

-- name: add_notice
INSERT INTO notices (reservation, document) VALUES (:reservation, :document);

-- name: notices
SELECT n.number, n.document, r.shopper FROM notices n JOIN reservations r ON r.id = n.reservation
ORDER BY n.number LIMIT :limit;

-- name: settle
DELETE FROM notices WHERE number IN (SELECT value FROM json_each(:numbers));

-- name: shopper
SELECT shopper FROM reservations WHERE id = :id;

-- name: forget_kin
-- What else the shop knew them by, such as an address: counted with a reservation of theirs, and named nowhere else.
UPDATE counters SET key = 'forgotten/' || number, who = ''
WHERE tenant = :tenant AND who <> '' AND key LIKE '%/shopper/%' AND number IN (
  SELECT c.counter FROM claims c JOIN reservations r ON r.id = c.reservation
  WHERE r.tenant = :tenant AND r.shopper = :shopper AND r.shopper <> x'');

-- name: forget_reservations
UPDATE reservations SET shopper = x'' WHERE tenant = :tenant AND shopper = :shopper AND shopper <> x''
RETURNING 1;

-- name: forget_counters
-- What counts goes on counting, under a name that says nothing.
UPDATE counters SET key = 'forgotten/' || number, who = '' WHERE tenant = :tenant AND who = :who AND who <> ''
RETURNING 1;

-- name: forget_answers
UPDATE answers SET missing = '', who = '' WHERE tenant = :tenant AND who = :who AND who <> ''
RETURNING 1;

-- name: wrong_counters
-- A counter is the sum of its claims.
SELECT tenant, key, used, (SELECT coalesce(sum(amount), 0) FROM claims WHERE counter = number) AS claimed
FROM counters WHERE used <> claimed;

-- name: stray_claims
-- Only what is held or spent has claims.
SELECT DISTINCT r.tenant, hex(r.id), r.state FROM claims c JOIN reservations r ON r.id = c.reservation
WHERE r.state NOT IN ('reserved', 'redeemed');

-- name: wrong_balances
-- A balance is the sum of its lines.
SELECT tenant, offer, currency, sum(held), sum(spent) FROM (
  SELECT tenant, offer, currency, held, spent FROM balances
  UNION ALL SELECT tenant, offer, currency, -held, -spent FROM entries)
GROUP BY tenant, offer, currency HAVING sum(held) <> 0 OR sum(spent) <> 0;

-- name: wrong_states
-- A balance is also the sum of what is in each state.
SELECT tenant, offer, currency, sum(held), sum(spent) FROM (
  SELECT tenant, offer, currency, held, spent FROM balances
  UNION ALL SELECT tenant, offer, currency, -amount, 0 FROM reservations WHERE state = 'reserved'
  UNION ALL SELECT tenant, offer, currency, 0, -amount FROM reservations WHERE state = 'redeemed')
GROUP BY tenant, offer, currency HAVING sum(held) <> 0 OR sum(spent) <> 0;

-- name: wrong_books
-- Lines are numbered from one without a gap.
SELECT b.tenant, b.lines, count(e.sequence) FROM books b LEFT JOIN entries e ON e.tenant = b.tenant
GROUP BY b.tenant, b.lines
HAVING count(e.sequence) <> b.lines OR coalesce(max(e.sequence), 0) <> b.lines;
