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
