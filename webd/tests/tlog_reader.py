#!/usr/bin/env python3
"""Reads a tiled transparency log over HTTP and checks it, from the specifications alone.

    tlog_reader.py PREFIX KEY [INDEX...]

PREFIX is the log's URL, KEY its verifier key ("<name>+<hash>+<base64>", C2SP signed-note). Fetches the checkpoint and
every tile and entry bundle that its size demands, verifies the signature (openssl), recomputes the root from the
entries, compares every hash tile with what the entries make of it, and proves the entry at each INDEX from the tiles
alone. Prints one JSON document; ends with 1 and a line on standard error at the first thing that does not hold.

Knows nothing of the program that serves the log: hashlib, urllib and openssl only.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import urllib.request

WIDTH = 256
# SubjectPublicKeyInfo of an Ed25519 key before its 32 octets (RFC 8410, section 4).
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check(holds, what):
    if not holds:
        sys.exit(f"tlog_reader: {what}")


def fetch(url, kind):
    with opener.open(url, timeout=20) as answer:
        check(answer.headers["Content-Type"] == kind, f"{url}: Content-Type is {answer.headers['Content-Type']}")
        return answer.read()


def sha256(octets):
    return hashlib.sha256(octets).digest()


def leaf_hash(entry):
    return sha256(b"\0" + entry)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def root(hashes):
    """RFC 6962, section 2.1, as it is written."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(root(hashes[:k]), root(hashes[k:]))


def verified_text(note, key):
    """The text of a signed note, if the key signed it."""
    name, key_hash, encoded = key.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    check(public[0] == 1 and len(public) == 33, "the key is not an Ed25519 key")
    key_id = sha256(name.encode() + b"\n" + public)[:4]
    check(key_id.hex() == key_hash, "the key's hash is not that of its octets")
    text, _, lines = note.decode().rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and signer == name and signature[:4] == key_id:
            verify(text.encode(), signature[4:], public[1:])
            return text
    sys.exit("tlog_reader: the key has not signed the checkpoint")


def verify(message, signature, public):
    with tempfile.TemporaryDirectory() as folder:
        def put(name, octets):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(octets)
            return f"{folder}/{name}"
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin",
                   "-inkey", put("key", ED25519_SPKI + public),
                   "-sigfile", put("signature", signature), "-in", put("message", message)]
        ended = subprocess.run(command, capture_output=True, text=True)
        check(ended.returncode == 0, f"the checkpoint's signature is false: {ended.stdout}{ended.stderr}")


def tile_path(kind, index, width):
    elements = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        elements.insert(0, f"x{index % 1000:03}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{kind}/{'/'.join(elements)}{partial}"


class Log:
    def __init__(self, prefix, key):
        self.prefix = prefix.rstrip("/") + "/"
        note = fetch(self.prefix + "checkpoint", "text/plain; charset=utf-8")
        self.origin, size, encoded = verified_text(note, key).split("\n")[:3]
        self.size, self.root = int(size), base64.b64decode(encoded, validate=True)
        check(self.origin == key.split("+")[0], "the checkpoint is of another log")
        self.tiles = {}

    def read(self, kind, count):
        """All tiles of a kind over `count` hashes or entries: (index, width, octets)."""
        for index in range((count + WIDTH - 1) // WIDTH):
            width = min(WIDTH, count - index * WIDTH)
            path = tile_path(kind, index, width)
            yield index, width, fetch(self.prefix + path, "application/octet-stream")

    def entries(self):
        for index, width, bundle in self.read("entries", self.size):
            at = 0
            for _ in range(width):
                length = int.from_bytes(bundle[at:at + 2], "big")
                entry = bundle[at + 2:at + 2 + length]
                check(len(entry) == length, f"bundle {index} ends within an entry")
                yield entry
                at += 2 + length
            check(at == len(bundle), f"bundle {index} is longer than its entries")

    def check_tiles(self, leaves):
        level, row = 0, leaves
        while row:
            for index, width, octets in self.read(level, len(row)):
                want = row[index * WIDTH:index * WIDTH + width]
                check(octets == b"".join(want), f"tile {index} of level {level} is not what the entries make of it")
                self.tiles[level, index] = [octets[at:at + 32] for at in range(0, len(octets), 32)]
            full = len(row) // WIDTH
            row = [root(row[at * WIDTH:(at + 1) * WIDTH]) for at in range(full)]
            level += 1

    def subtree(self, level, index):
        """The root of 2**level leaves, out of the tiles."""
        tile_level, height = divmod(level, 8)
        start = index << height
        tile = self.tiles[tile_level, start // WIDTH]
        hashes = tile[start % WIDTH:start % WIDTH + (1 << height)]
        check(len(hashes) == 1 << height, "a tile is too narrow")
        return root(hashes)

    def range_root(self, start, end):
        """The root over leaves start..end, out of complete subtrees."""
        parts = []
        while start < end:
            level = (end - start).bit_length() - 1
            parts.append(self.subtree(level, start >> level))
            start += 1 << level
        while len(parts) > 1:
            right, left = parts.pop(), parts.pop()
            parts.append(node_hash(left, right))
        return parts[0]

    def inclusion_proof(self, index):
        """RFC 6962, section 2.1.1, from the tiles alone."""
        proof, start, end = [], 0, self.size
        while end - start > 1:
            k = 1 << ((end - start - 1).bit_length() - 1)
            if index < start + k:
                proof.append(self.range_root(start + k, end))
                end = start + k
            else:
                proof.append(self.range_root(start, start + k))
                start += k
        return proof[::-1]


def root_of_proof(leaf, index, size, proof):
    """RFC 9162, section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        check(sn != 0, "the proof is too long")
        if fn % 2 or fn == sn:
            r = node_hash(p, r)
            while fn % 2 == 0 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    check(sn == 0, "the proof is too short")
    return r


def main(prefix, key, *indexes):
    log = Log(prefix, key)
    leaves = [leaf_hash(entry) for entry in log.entries()]
    check(len(leaves) == log.size, "there are fewer entries than the checkpoint says")
    check(root(leaves) == log.root, "the entries do not lead to the signed root")
    log.check_tiles(leaves)
    proved = []
    for index in map(int, indexes):
        proof = log.inclusion_proof(index)
        check(root_of_proof(leaves[index], index, log.size, proof) == log.root, f"entry {index} is not proved")
        proved.append({"log_index": index, "hashes": len(proof)})
    print(json.dumps({"origin": log.origin, "size": log.size, "root": log.root.hex(), "proved": proved}))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
