-- The statements of `backup.py`, by name.

-- name: tables
-- Every table with the columns of its primary key, in which order its rows are read.
SELECT tables.name, group_concat('"' || columns.name || '"', ', ' ORDER BY columns.pk)
FROM pragma_table_list AS tables JOIN pragma_table_info(tables.name) AS columns
WHERE tables.schema = 'main' AND tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' AND columns.pk > 0
GROUP BY tables.name ORDER BY tables.name;
