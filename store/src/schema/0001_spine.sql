-- The spine: contracts, the register, messages and placements, evidence.
-- Types in braces are spelled by each engine; times are milliseconds since 1970, UTC; ids are 16-octet ULIDs.

CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value {int} NOT NULL
);
-- `revision` changes with every contract, account or enrolment: live sessions look at it to know when to re-check.
INSERT INTO setting (name, value) VALUES ('revision', 1), ('uid_validity', 0), ('mailbox_deleted', 0);

CREATE TABLE contract (
  id             {blob} PRIMARY KEY,
  name           TEXT NOT NULL,
  state          TEXT NOT NULL,
  profile        TEXT NOT NULL,
  receipts_to    TEXT,
  valid_from     {int},
  valid_until    {int},
  size_bytes_max {int},
  require_tls    {int} NOT NULL,
  client_cert    {blob}
);
CREATE TABLE contract_address (
  contract {blob} NOT NULL,
  network  TEXT NOT NULL,
  low      {blob} NOT NULL, -- the network's first and last address as 16 octets, IPv4 mapped into IPv6
  high     {blob} NOT NULL
);
CREATE INDEX contract_address_low ON contract_address (low);
CREATE TABLE contract_domain (
  contract {blob} NOT NULL,
  domain   TEXT NOT NULL
);

CREATE TABLE account (
  id         {id},
  address    TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  lang       TEXT NOT NULL,
  state      TEXT NOT NULL,
  login_mark {int} NOT NULL -- the last recipient row that a log-in has answered
);
CREATE TABLE enrolment (
  spki        {blob} PRIMARY KEY,
  account     {int} NOT NULL,
  serial      TEXT NOT NULL,
  fingerprint {blob} NOT NULL,
  not_after   {int} NOT NULL,
  revoked     {int}
);
CREATE INDEX enrolment_account ON enrolment (account);

CREATE TABLE mailbox (
  id           {id},
  account      {int} NOT NULL,
  name         TEXT NOT NULL,
  uid_validity {int} NOT NULL,
  uid_next     {int} NOT NULL,
  modseq       {int} NOT NULL,
  own          {int} NOT NULL,
  UNIQUE (account, name)
);
CREATE TABLE subscription (
  account {int} NOT NULL,
  name    TEXT NOT NULL,
  PRIMARY KEY (account, name)
);

CREATE TABLE message (
  id               {id},
  ulid             {blob} NOT NULL UNIQUE,
  contract         {blob} NOT NULL,
  digest           {blob} NOT NULL,
  size             {int} NOT NULL,
  message_id_field TEXT,
  sender           TEXT NOT NULL,
  submitted        {int} NOT NULL,
  sent             {int},    -- the Date field
  trace            {blob} NOT NULL,
  structure        {blob} NOT NULL,
  content_file     {int} NOT NULL,
  content_offset   {int} NOT NULL
);
CREATE INDEX message_field ON message (message_id_field, digest);
CREATE TABLE recipient (
  id       {id},
  message  {int} NOT NULL,
  ordinal  {int} NOT NULL,
  account  {int} NOT NULL,
  facts    {int} NOT NULL, -- bits: which once-only reading acts are recorded
  UNIQUE (message, ordinal)
);
CREATE INDEX recipient_account ON recipient (account);
-- Original octets acknowledged so far, per acting person, until they are complete.
CREATE TABLE coverage (
  recipient {int} NOT NULL,
  person    TEXT NOT NULL,
  ranges    {blob} NOT NULL,
  header    {int} NOT NULL,
  PRIMARY KEY (recipient, person)
) {clustered};
CREATE TABLE placement (
  mailbox   {int} NOT NULL,
  uid       {int} NOT NULL,
  message   {int} NOT NULL,
  recipient {int} NOT NULL,
  modseq    {int} NOT NULL,
  flags     {int} NOT NULL,
  keywords  TEXT NOT NULL,
  PRIMARY KEY (mailbox, uid)
) {clustered};
CREATE INDEX placement_recipient ON placement (recipient);
CREATE TABLE vanished (
  mailbox {int} NOT NULL,
  uid     {int} NOT NULL,
  modseq  {int} NOT NULL,
  PRIMARY KEY (mailbox, uid)
) {clustered};

-- Submissions that were rejected have no message; this is how they are found again.
CREATE TABLE rejection (
  ulid             {blob} PRIMARY KEY,
  contract         {blob} NOT NULL,
  message_id_field TEXT
);
CREATE INDEX rejection_field ON rejection (message_id_field);

-- `ordinal` is dense from 1 and never reused: evidence number n is leaf n - 1 of the log.
CREATE TABLE evidence (
  ordinal       {id},
  id            {blob} NOT NULL UNIQUE,
  event         TEXT NOT NULL,
  time          {int} NOT NULL,
  chain_kind    {int} NOT NULL,
  chain_subject {blob} NOT NULL,
  chain_ordinal {int} NOT NULL,
  seq           {int} NOT NULL,
  canonical     {blob} NOT NULL,
  salt          {blob} NOT NULL,
  leaf          {blob} NOT NULL,
  UNIQUE (chain_kind, chain_subject, chain_ordinal, seq)
);
