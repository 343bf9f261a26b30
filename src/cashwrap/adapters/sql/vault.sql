-- The statements of `vault.py`, by name.

-- name: key
SELECT key FROM keys WHERE shopper = ?;

-- name: keep_key
-- A tombstone or an older key stays: a key is made once.
INSERT INTO keys (shopper, key) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: bury
INSERT INTO keys (shopper, key) VALUES (?, NULL) ON CONFLICT (shopper) DO UPDATE SET key = NULL;

-- name: secret
SELECT secret FROM secrets WHERE name = ?;

-- name: keep_secret
INSERT INTO secrets (name, secret) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: put_secret
INSERT INTO secrets (name, secret) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET secret = excluded.secret;

-- name: tombstones
SELECT shopper FROM keys WHERE key IS NULL AND shopper > ? ORDER BY shopper LIMIT ?;

-- name: keep_name
-- Forgotten twice: what happened before the later time is not taken.
INSERT INTO forgotten (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = max(at, excluded.at);

-- name: name
SELECT name, at FROM forgotten WHERE name = ?;

-- name: names
SELECT name, at FROM forgotten;
