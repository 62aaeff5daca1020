"""Reads a whole mailbox with IMAPClient: LIBRARY HOST PORT CA CERTIFICATE KEY DIRECTORY."""

import ssl
import sys

LIBRARY, HOST, PORT, CA, CERTIFICATE, KEY, DIRECTORY = sys.argv[1:]
sys.path.insert(0, LIBRARY)
from imapclient import IMAPClient, SEEN  # noqa: E402

context = ssl.create_default_context(cafile=CA)
context.load_cert_chain(CERTIFICATE, KEY)
with IMAPClient(HOST, port=int(PORT), ssl_context=context, timeout=30) as client:
    client.sasl_login("EXTERNAL", lambda challenge: b"")
    assert any(name == "INBOX" for _, _, name in client.list_folders())
    count = client.select_folder("INBOX")[b"EXISTS"]
    uids = client.search("UNSEEN")
    assert len(uids) == count, (uids, count)
    listed = client.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE"])
    for uid in uids:
        octets = client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
        assert len(octets) == listed[uid][b"RFC822.SIZE"], uid
        with open(f"{DIRECTORY}/{uid}.eml", "wb") as file:
            file.write(octets)
    client.add_flags(uids, [SEEN])
    assert client.search("UNSEEN") == []
print(f"{len(uids)} letters")
