"""Writes copies of a bundle, each with one octet changed in one kind of file, and prints their names.

BUNDLE DIRECTORY
"""

import sys
import zipfile

bundle, directory = sys.argv[1:]
source = zipfile.ZipFile(bundle)
members = {name: source.read(name) for name in source.namelist()}
kinds = sorted({name.partition("/")[0] for name in members if name != "VERIFY.txt"})
for kind in kinds:
    altered = next(name for name in sorted(members) if name.partition("/")[0] == kind)
    file = f"{directory}/altered-{kind.replace('.', '-')}.zip"
    with zipfile.ZipFile(file, "w") as out:
        for name, octets in members.items():
            if name == altered:
                middle = len(octets) // 2
                octets = octets[:middle] + bytes([octets[middle] ^ 1]) + octets[middle + 1 :]
            out.writestr(name, octets)
    print(file)
