"""Checks the mails that came back, as an agency's own programs can: AUTHORITY MAIL… .

Python's email package reads them, openssl the signatures. A line for each: its kind, and the Message-ID it answers.
"""

import email
import email.policy
import subprocess
import sys

AUTHORITY, *MAILS = sys.argv[1:]

for name in MAILS:
    with open(name, "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    assert not mail.defects, (name, mail.defects)
    assert mail["Auto-Submitted"], name
    assert mail["Return-Path"] == "<>", (name, mail["Return-Path"])
    kind = mail.get_content_type()
    if kind == "multipart/signed":
        for more in [], ["-cades"]:
            subprocess.run(
                ["openssl", "cms", "-verify", *more, "-in", name, "-CAfile", AUTHORITY, "-purpose", "any", "-out", "/dev/null"],
                check=True,
            )
        parts = [part for part in mail.walk() if part.get_content_subtype() == "xml"]
        assert parts, f"{name}: no evidence XML"
        said = f"signed {len(parts)}"
    elif kind == "multipart/report":
        kind = mail.get_param("report-type")
        part = next(part for part in mail.walk() if part.get_content_type() == f"message/{kind}")
        if kind == "delivery-status":
            groups = part.get_payload()
            assert groups[0]["Original-Envelope-Id"] == "case-7", groups[0].items()
            assert [group["Action"] for group in groups[1:]] == ["delivered"], part.as_string()
            said = f"{kind} delivered"
        else:
            group = part.get_payload()[0]
            said = f"{kind} {group['Disposition'].rsplit(';')[-1].strip()}"
    else:
        raise AssertionError(f"{name}: {kind}")
    print(f"{said}: {mail['In-Reply-To']}")
