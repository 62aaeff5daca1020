-- Trace fields are kept squeezed from now on, so what IMAP serves of a letter is counted when it is deposited.

ALTER TABLE message ADD COLUMN served {int}; -- octets: the trace fields and the original
UPDATE message SET served = size + LENGTH(trace);
-- Whether anybody refers to a file or an object of content: asked for each of them when a crash is cleared away.
CREATE INDEX message_content ON message (content_file);
