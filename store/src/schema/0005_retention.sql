-- Retention and erasure. What is gone leaves its leaf: an event whose `canonical` and `salt` have no octets was erased,
-- and `erasure` says by which act. Content that is gone has `erased`; its place stays, since octets are found by it.

ALTER TABLE message ADD COLUMN erased {int};
ALTER TABLE evidence ADD COLUMN erasure {int};

-- One row per act of erasure. What is `due` of it: octets that may still be on a disk; a row without `done` is taken up
-- again until they are not. It stays for ever: it explains what is gone, and backups follow it.
CREATE TABLE erasure (
  id             {id},
  message        {blob} NOT NULL,
  removed        {blob} NOT NULL, -- the event that says so
  time           {int} NOT NULL,
  scope          TEXT NOT NULL,
  cause          TEXT NOT NULL,
  events         {int} NOT NULL,  -- how many lost their octets and salt
  content_file   {int},           -- content that it destroys, if any
  content_offset {int},
  content_size   {int},
  done           {int}
);
CREATE INDEX erasure_message ON erasure (message);
CREATE INDEX erasure_due ON erasure (done, id);

-- Octets that were placed and that no message refers to: a second submission of the same letter was quicker.
CREATE TABLE stray (
  content_file   {int} NOT NULL,
  content_offset {int} NOT NULL,
  content_size   {int} NOT NULL,
  PRIMARY KEY (content_file, content_offset)
);

-- Legal holds: while one is not lifted, nothing about its message is erased.
CREATE TABLE hold (
  id      {id},
  message {blob} NOT NULL,
  why     TEXT NOT NULL,
  actor   TEXT NOT NULL,
  placed  {int} NOT NULL,
  lifted  {int}
);
CREATE INDEX hold_message ON hold (message);
