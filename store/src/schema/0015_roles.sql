-- Who runs the post, what waits for a second person, and which events were annulled.

-- Listed operators, clerks and auditors. Without a row, whoever can open the store is operator.
CREATE TABLE operator (
  id          {blob} PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  role        TEXT NOT NULL,
  uid         {int} UNIQUE,       -- local user
  certificate {blob} UNIQUE,      -- SHA-256 of its DER
  valid_from  {int},
  valid_until {int}
);

-- Acts proposed to a second person. `parameters` are emptied once they are decided: they may name a person; `digest` stays.
CREATE TABLE proposal (
  id         {blob} PRIMARY KEY,
  deed       TEXT NOT NULL,
  parameters TEXT NOT NULL,
  digest     {blob} NOT NULL,     -- SHA-256 of the parameters
  proposer   {blob} NOT NULL,
  proposed   {int} NOT NULL,
  expires    {int} NOT NULL,
  state      TEXT NOT NULL,
  decided    {int},
  evidence   {blob}               -- the event by which it was decided
);
CREATE INDEX proposal_state ON proposal (state, expires);

-- Events that an `annulled` event cites.
CREATE TABLE annulment (
  cited    {blob} PRIMARY KEY,
  evidence {blob} NOT NULL
);
