-- Several nodes on one database: the log's head, and who may do what only one may do at a time.

-- The newest signed checkpoint, one row: durable here before any node publishes it.
CREATE TABLE log_head (
  size {int} PRIMARY KEY, -- leaves under it
  note TEXT NOT NULL      -- the signed note, octet for octet
);

CREATE TABLE lease (
  name  TEXT PRIMARY KEY,
  node  TEXT NOT NULL,  -- who has it, for people to read
  term  {int} NOT NULL, -- grows by one whenever it is taken: what an earlier holder still does is known by it
  until {int} NOT NULL  -- by the database's clock; 0: given back
);
