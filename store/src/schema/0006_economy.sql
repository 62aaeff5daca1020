-- Trace fields are kept squeezed from now on, so what IMAP serves of a letter is counted when it is deposited.

ALTER TABLE message ADD COLUMN served {int}; -- octets: the trace fields and the original
UPDATE message SET served = size + LENGTH(trace);
