"""Reads one mail from standard input with Python's email package, and says what it found.

Exit status 1, with the reason on standard error, for any defect the package knows: in the mail, in a part, in a header.
"""

import sys
from email import message_from_bytes, policy

octets = sys.stdin.buffer.read()
defects = []
lines = octets.split(b"\r\n")
if any(b"\r" in line or b"\n" in line for line in lines):
    defects.append("a line that does not end with CRLF")
if any(len(line) > 998 for line in lines):
    defects.append("a line of more than 998 octets")
if not octets.isascii() and "--8bit" not in sys.argv:
    defects.append("an octet above 127")

mail = message_from_bytes(octets, policy=policy.default.clone(raise_on_defect=False))


def show(message, depth):
    """One entity: its fields where it is a mail, its type, its text or fields."""
    defects.extend(f"{message.get_content_type()}: {defect!r}" for defect in message.defects)
    for name, value in message.items():
        defects.extend(f"{name}: {defect!r}" for defect in getattr(value, "defects", ()))
        print(f"{'  ' * depth}{name}: {value}")
    kind = message.get_content_type()
    print(f"{'  ' * depth}[{kind}]")
    payload = message.get_payload()
    if isinstance(payload, list):
        for part in payload:
            show(part, depth + 1)
    elif message.get_content_maintype() == "text":
        for line in message.get_content().splitlines():
            print(f"{'  ' * depth}| {line}")


show(mail, 0)
for defect in defects:
    print(defect, file=sys.stderr)
sys.exit(1 if defects else 0)
