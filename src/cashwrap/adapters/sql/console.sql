-- The statements of `console_store.py`, by name.

-- name: sessions
SELECT id, document, seen FROM sessions;

-- name: keep_session
INSERT INTO sessions (id, document, seen) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET document = excluded.document, seen = excluded.seen;

-- name: drop_session
DELETE FROM sessions WHERE id = ?;
