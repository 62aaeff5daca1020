-- The first notice in a mailbox. Every account is owed one from the transaction that opens it, by whatever way: a row begins
-- without the name of the one it got. Accounts from before this migration are owed it too.

ALTER TABLE account ADD COLUMN noticed TEXT; -- the first notice that was deposited for it; NULL: it is owed
CREATE INDEX account_owed ON account (state, lang, id) WHERE noticed IS NULL;
