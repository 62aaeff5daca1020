-- What a log-in leaned on, by SHA-256 of its DER: certificates of the path, CRLs, answers of responders. Events name them by
-- that digest. One that is about a holder says about which; authorities' certificates and CRLs are nobody's.
CREATE TABLE credential (
  digest  {blob} PRIMARY KEY,
  kind    TEXT NOT NULL,
  account {int},
  octets  {blob} NOT NULL
);
CREATE INDEX credential_account ON credential (account);
