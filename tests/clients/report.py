"""Reads a receipt or report with Python's own mail parser: no defect, and the structure its type promises."""

import email
import email.policy
import sys

with open(sys.argv[1], "rb") as file:
    message = email.message_from_binary_file(file, policy=email.policy.SMTP)


def walk(part):
    assert not part.defects, (part.get_content_type(), part.defects)
    for child in part.iter_parts() if part.is_multipart() else []:
        walk(child)


walk(message)
kind = message.get_content_type()
parts = [part.get_content_type() for part in message.iter_parts()]
if kind == "multipart/signed":
    assert parts == ["multipart/mixed", "application/pkcs7-signature"], parts
elif kind == "multipart/report":
    machine = "message/" + message.get_param("report-type")
    assert parts[:2] == ["text/plain", machine], parts
else:
    sys.exit("neither a receipt nor a report: " + kind)
print(kind.split("/")[1], *parts)
