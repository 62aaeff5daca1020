-- Receipts: what the sender asked about reports, what is owed, and letters on their way out.

ALTER TABLE message ADD COLUMN ret TEXT;
ALTER TABLE message ADD COLUMN envid TEXT;
ALTER TABLE recipient ADD COLUMN notify {int};
ALTER TABLE recipient ADD COLUMN orcpt TEXT;

-- Every obligation is written in the transaction of its cause, and removed in that of its fulfilment.
CREATE TABLE task (
  id       {id},
  kind     TEXT NOT NULL,
  evidence {int} NOT NULL, -- the event that it is about, by its place in the order of evidence
  due      {int} NOT NULL,
  attempts {int} NOT NULL
);
CREATE INDEX task_due ON task (due, id);

-- `letter` is the receipt's own Message-ID: one obligation fulfilled twice makes one letter.
CREATE TABLE outbound (
  id        {id},
  letter    TEXT NOT NULL UNIQUE,
  contract  {blob} NOT NULL,
  evidence  {blob} NOT NULL,
  recipient TEXT NOT NULL,
  octets    {blob} NOT NULL,
  state     TEXT NOT NULL,
  created   {int} NOT NULL,
  due       {int} NOT NULL,
  attempts  {int} NOT NULL,
  reply     TEXT
);
CREATE INDEX outbound_due ON outbound (state, due, id);

-- Time-stamped checkpoints: the file `checkpoints/<size>` exactly as it was stamped, and the token.
CREATE TABLE stamp (
  size       {int} PRIMARY KEY,
  checkpoint {blob} NOT NULL,
  token      {blob} NOT NULL,
  time       {int} NOT NULL
);
