"""Reads a whole mailbox as any program with Python's own imaplib would.

HOST ADDRESS PORT CA CERTIFICATE KEY DIRECTORY: logs in by certificate, writes every letter into DIRECTORY as UID.eml,
flags all as read, and checks on the way that search, sizes and partial fetches agree with the octets.
Port 1143 is taken for STARTTLS.
"""

import imaplib
import re
import socket
import ssl
import sys

HOST, ADDRESS, PORT, CA, CERTIFICATE, KEY, DIRECTORY = sys.argv[1:]

context = ssl.create_default_context(cafile=CA)
context.load_cert_chain(CERTIFICATE, KEY)


class AtAddress:
    """The name is not in DNS: connect to the address, verify the name."""

    def _create_socket(self, timeout):
        connection = socket.create_connection((ADDRESS, int(PORT)), timeout=30)
        if isinstance(self, imaplib.IMAP4_SSL):
            return context.wrap_socket(connection, server_hostname=self.host)
        return connection


class Tls(AtAddress, imaplib.IMAP4_SSL):
    pass


class StartTls(AtAddress, imaplib.IMAP4):
    pass


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


if PORT == "1143":
    imap = StartTls(HOST, int(PORT))
    assert "AUTH=EXTERNAL" not in imap.capabilities, imap.capabilities
    ok(imap.starttls(context))
else:
    imap = Tls(HOST, int(PORT), ssl_context=context)
assert "AUTH=EXTERNAL" in imap.capabilities and "IMAP4REV1" in imap.capabilities, imap.capabilities
ok(imap.authenticate("EXTERNAL", lambda challenge: b""))
ok(imap.noop())
assert any(b'"INBOX"' in line or line.endswith(b"INBOX") for line in ok(imap.list())), imap.list()
count = int(ok(imap.select("INBOX"))[0])
uids = ok(imap.uid("SEARCH", None, "ALL"))[0].split()
assert len(uids) == count, (uids, count)
assert ok(imap.uid("SEARCH", None, "HEADER", "Message-ID", "<1@ministry.example>"))[0].split() == uids[1:2]


def search(key, text):
    imap.literal = text.encode()
    return ok(imap.uid("SEARCH", "CHARSET", "UTF-8", key))[0].split()


assert search("SUBJECT", "ԾԱՆՈՒՑՈՒՄ") == uids[:3], search("SUBJECT", "ԾԱՆՈՒՑՈՒՄ")
assert search("BODY", "պաշտոնական  ԾԱՆՈՒ") == uids[:3]
assert search("TEXT", "DECISION.PDF") == uids[3:4]
assert search("BODY", "ծանուցում չկա") == []

sizes = {}
for line in ok(imap.uid("FETCH", "1:*", "(UID RFC822.SIZE FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE)")):
    text = line if isinstance(line, bytes) else b"".join(line)
    found = re.search(rb"UID (\d+) RFC822\.SIZE (\d+)", text)
    if found:
        sizes[found[1]] = int(found[2])
assert set(sizes) == set(uids), (sizes, uids)

for uid in uids:
    octets = ok(imap.uid("FETCH", uid.decode(), "(BODY.PEEK[])"))[0][1]
    assert len(octets) == sizes[uid], (uid, len(octets), sizes[uid])
    whole = b""
    while True:
        piece = ok(imap.uid("FETCH", uid.decode(), f"(BODY.PEEK[]<{len(whole)}.50000>)"))[0]
        piece = piece[1] if isinstance(piece, tuple) else b""
        whole += piece
        if len(piece) < 50000:
            break
    assert whole == octets, f"the parts of {uid} are not the whole"
    with open(f"{DIRECTORY}/{uid.decode()}.eml", "wb") as file:
        file.write(octets)

ok(imap.uid("STORE", "1:*", "+FLAGS", "(\\Seen)"))
assert ok(imap.uid("SEARCH", None, "UNSEEN"))[0].split() == []
ok(imap.close())
imap.logout()
print(f"{len(uids)} letters")
