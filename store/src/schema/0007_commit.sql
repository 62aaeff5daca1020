-- Counts the groups committed. A shared engine takes this row's lock before it writes anything else: so the groups of
-- all nodes come one after another.
INSERT INTO setting (name, value) VALUES ('commit', 1);
