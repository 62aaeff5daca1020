-- A placement's row gets a check value over all it says: SQLite has none over its pages. Absent in rows that were written before.
ALTER TABLE placement ADD COLUMN check_value {int};
