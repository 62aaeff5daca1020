-- The operator's authority: why a device's certificate was revoked, what else was issued, the list of what is revoked, and
-- links with which a holder gets a certificate.

ALTER TABLE enrolment ADD COLUMN issued {int}; -- absent: before this version
ALTER TABLE enrolment ADD COLUMN reason TEXT;  -- why it was revoked
CREATE INDEX enrolment_serial ON enrolment (serial);
CREATE INDEX enrolment_revoked ON enrolment (revoked);

-- Certificates of the authority that are no holder's: server, seal, OCSP delegates.
CREATE TABLE issued (
  serial    {blob} PRIMARY KEY,
  purpose   TEXT NOT NULL,
  not_after {int} NOT NULL
);

-- The newest list alone; its number stays when it is replaced, because the next one is greater.
CREATE TABLE revocation_list (
  number      {int} PRIMARY KEY,
  this_update {int} NOT NULL,
  next_update {int} NOT NULL,
  covers      {int} NOT NULL,  -- revocations there were when it was made
  octets      {blob} NOT NULL
);

-- Links that let one certificate be issued. The token itself is nowhere but in the link.
CREATE TABLE enrolment_link (
  token        {blob} PRIMARY KEY, -- SHA-256 of the token
  account      {int} NOT NULL,
  days         {int} NOT NULL,     -- lifetime of the certificate
  expires      {int} NOT NULL,
  attempts     {int} NOT NULL,     -- requests that could not be taken
  used         {int},
  bundle       {blob},             -- the PKCS #12 file, under a password that is nowhere, for a few minutes
  bundle_until {int}
);
CREATE INDEX enrolment_link_expires ON enrolment_link (expires);
