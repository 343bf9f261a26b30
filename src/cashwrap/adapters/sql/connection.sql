-- How every connection is set up. One statement a line; `database.py` runs them in this order.

-- name: writer
-- page_size: 4096 is the block of common file systems and the least the write-ahead log can append for a changed
--   row. A profile of 2 KB fits one leaf page whole (a table leaf keeps up to 4,061 bytes in place).
-- synchronous FULL: the only mode in which a commit in the write-ahead log outlives a power cut.
-- wal_autocheckpoint: 8 MB. The commit that crosses it also copies pages back: measured with 64 requests a commit,
--   4, 12 and 32 MB commit as many rows a second, while the slowest commit in a hundred takes 17, 29 and 60 ms.
-- secure_delete: what is deleted is overwritten with zeros, so that forgetting leaves nothing behind.
-- cache_size: 32 MB, used only as far as pages are touched.
PRAGMA page_size = 4096;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 2000;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -32768;
PRAGMA temp_store = MEMORY;
PRAGMA foreign_keys = ON;

-- name: reader
-- mmap_size: up to 1 GB of the file is read in place, without a copy into a page cache of its own.
PRAGMA query_only = ON;
PRAGMA mmap_size = 1073741824;
PRAGMA temp_store = MEMORY;
