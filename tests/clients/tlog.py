"""Checks one .tlog-proof with hashlib and openssl alone, from the specifications, without any of our code.

PROOF EVENT SALT KEY: the proof file, the event's canonical octets, its salt, and the log's key as `name+hash+base64`
(c2sp.org/signed-note). Exit 0 if the event stands in the tree that this log signed.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def inclusion_root(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    assert index < size, "index beyond the tree"
    fn, sn, node = index, size - 1, leaf
    for sibling in path:
        assert sn != 0, "path too long"
        if fn & 1 or fn == sn:
            node = sha256(b"\x01", sibling, node)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            node = sha256(b"\x01", node, sibling)
        fn >>= 1
        sn >>= 1
    assert sn == 0, "path too short"
    return node


def check_note(note, key):
    """c2sp.org/signed-note with Ed25519; gives the text that is signed."""
    name, _, rest = key.partition("+")
    digest, _, encoded = rest.partition("+")
    raw = base64.b64decode(encoded, validate=True)
    assert raw[0] == 1 and len(raw) == 33, "not an Ed25519 key"
    assert sha256(name.encode(), b"\n", raw)[:4].hex() == digest, "the key's hash is not its own"
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        assert dash == "\u2014", line
        value = base64.b64decode(value, validate=True)
        if signer == name and value[:4].hex() == digest:
            break
    else:
        raise AssertionError("no signature by " + name)
    with tempfile.TemporaryDirectory() as directory:
        # SubjectPublicKeyInfo of Ed25519 (RFC 8410): a fixed beginning and the 32 octets.
        spki = bytes.fromhex("302a300506032b6570032100") + raw[1:]
        for file, octets in (("key.der", spki), ("text", text.encode()), ("signature", value[4:])):
            with open(f"{directory}/{file}", "wb") as out:
                out.write(octets)
        verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der"]
        said = subprocess.run(verify + ["-in", "text", "-sigfile", "signature"], cwd=directory, capture_output=True)
        assert said.returncode == 0, said
    return text


def main():
    proof_file, event_file, salt_file, key = sys.argv[1:]
    event, salt = open(event_file, "rb").read(), open(salt_file, "rb").read()
    assert len(salt) == 32
    # RFC 8785 of an object of texts, integers and objects is what json.dumps gives with these settings.
    again = json.dumps(json.loads(event), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert again == event, "the event is not in its canonical form"
    leaf_data = sha256(b"knik/leaf/v1\n", salt, event)
    proof = open(proof_file, encoding="utf-8").read()
    head, _, note = proof.partition("\n\n")
    lines = head.splitlines()
    assert lines[0] == "c2sp.org/tlog-proof@v1", lines[0]
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    word, index = lines[0].split(" ")
    assert word == "index", lines[0]
    path = [base64.b64decode(line, validate=True) for line in lines[1:]]
    origin, size, root = check_note(note, key).splitlines()[:3]
    assert origin == key.partition("+")[0], origin
    # The log's entry is the leaf data; the tree hashes it as RFC 6962 says.
    found = inclusion_root(sha256(b"\x00", leaf_data), int(index), int(size), path)
    assert found == base64.b64decode(root, validate=True), "the path leads to another root"
    print(f"entry {index} of {size} in {origin}")


main()
