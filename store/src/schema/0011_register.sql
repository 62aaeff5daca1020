-- The register: from when and until when an account takes letters, other addresses of it, what else is known of the
-- holder, who may read in the holder's place, and which terms of use were accepted.

ALTER TABLE account ADD COLUMN active_from {int}; -- from this instant on; NULL: since it was added
ALTER TABLE account ADD COLUMN closes_at {int};   -- from this instant on nothing is taken; NULL: nothing is known of an end
ALTER TABLE account ADD COLUMN cause TEXT;        -- of closing
ALTER TABLE account ADD COLUMN successor {int};   -- the account with which it was merged
ALTER TABLE account ADD COLUMN postal TEXT;       -- for letters on paper
ALTER TABLE account ADD COLUMN ref TEXT;          -- the register's own id
CREATE INDEX account_closes ON account (closes_at) WHERE state = 'active' AND closes_at IS NOT NULL;

-- Never also the address of an account.
CREATE TABLE alias (
  address TEXT PRIMARY KEY,
  account {int} NOT NULL
) {clustered};
CREATE INDEX alias_account ON alias (account);

-- The address by which a recipient was named, where it was not the account's own.
ALTER TABLE recipient ADD COLUMN alias TEXT;

CREATE TABLE delegation (
  id          {id},
  principal   {int} NOT NULL, -- whose mailbox
  delegate    {int} NOT NULL, -- whose certificate
  scope       TEXT NOT NULL,
  valid_from  {int},
  valid_until {int},
  ended       {int}
);
CREATE INDEX delegation_principal ON delegation (principal, delegate);
CREATE INDEX delegation_delegate ON delegation (delegate);
CREATE INDEX delegation_until ON delegation (valid_until) WHERE ended IS NULL AND valid_until IS NOT NULL;

CREATE TABLE acceptance (
  account {int} NOT NULL,
  version TEXT NOT NULL,
  lang    TEXT NOT NULL,
  digest  {blob} NOT NULL, -- SHA-256 of the text that was accepted
  how     TEXT NOT NULL,
  time    {int} NOT NULL,
  PRIMARY KEY (account, version)
) {clustered};
