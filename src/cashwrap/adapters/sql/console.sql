-- The statements of `console_store.py`, by name.

-- name: sessions
SELECT id, document, seen FROM sessions;

-- name: keep_session
INSERT INTO sessions (id, document, seen) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET document = excluded.document, seen = excluded.seen;

-- name: drop_session
DELETE FROM sessions WHERE id = ?;

-- name: points
SELECT length, store, at, point FROM points;

-- name: keep_point
INSERT INTO points (length, store, at, point) VALUES (?, ?, ?, ?)
ON CONFLICT (length, store, at) DO UPDATE SET point = excluded.point;

-- name: drop_points
DELETE FROM points WHERE length = ? AND at < ?;

-- name: counted
SELECT sequence FROM counted;

-- name: keep_counted
INSERT INTO counted (one, sequence) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence;

-- name: alerts
SELECT store, code, told FROM alerts;

-- name: drop_alerts
DELETE FROM alerts;

-- name: keep_alert
INSERT INTO alerts (store, code, told) VALUES (?, ?, ?);

-- name: newest_sizes
-- SQLite answers the row that has the greatest moment.
SELECT segment, size, max(at) FROM sizes WHERE store = ? GROUP BY segment;

-- name: sizes_at
SELECT value, (SELECT size FROM sizes WHERE store = ? AND segment = value AND at <= ? ORDER BY at DESC LIMIT 1)
FROM json_each(?);

-- name: sizes_of
SELECT at, size FROM sizes WHERE store = ? AND segment = ? ORDER BY at;

-- name: readings
SELECT at FROM readings WHERE store = ? ORDER BY at;

-- name: keep_size
INSERT OR REPLACE INTO sizes (store, segment, at, size) VALUES (?, ?, ?, ?);

-- name: keep_reading
INSERT OR REPLACE INTO readings (store, at) VALUES (?, ?);

-- name: thin_sizes
-- Of a day long ago the last change is left, and of what is too old the last one of all, which still holds.
DELETE FROM sizes WHERE store = ?1 AND at < ?2 AND EXISTS (
  SELECT 1 FROM sizes later WHERE later.store = sizes.store AND later.segment = sizes.segment AND later.at > sizes.at
  AND (later.at / 86400000 = sizes.at / 86400000 OR later.at < ?3));

-- name: thin_readings
DELETE FROM readings WHERE store = ?1 AND (at < ?3 OR at < ?2 AND EXISTS (
  SELECT 1 FROM readings later WHERE later.store = readings.store AND later.at > readings.at
  AND later.at / 86400000 = readings.at / 86400000));
