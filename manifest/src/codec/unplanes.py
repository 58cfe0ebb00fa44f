#!/usr/bin/env python3
"""Turns NAME.planes, as a Fieldforge bundle holds it, back into NAME:  python3 unplanes.py FILE.planes...

A .planes file, numbers little-endian: 8 bytes "FFPLN1\\0\\0"; size of NAME (8 bytes); lead (8): so many bytes of NAME
come first, as they are; block (4): what follows comes in blocks of so many bytes, the last one shorter; width (4):
bytes of a number. Of a block of n bytes first come the first bytes of its n // width numbers, then their second bytes,
and so on; n % width bytes are left and stand at the end as they are. Licensed MIT OR Apache-2.0. No warranty.
"""
import os, struct, sys

def decode(source, target):
    head = source.read(32)
    if len(head) != 32 or head[:8] != b"FFPLN1\0\0":
        raise ValueError("this is no .planes file")
    left, lead, block, width = struct.unpack("<QQII", head[8:])
    if lead > left or not 1 <= width <= 16 or not 1 <= block <= 4 << 20:
        raise ValueError("its header makes no sense")
    while left > 0:
        data = source.read(min(block, lead or left))
        if len(data) != min(block, lead or left):
            raise ValueError("it is cut off: extract it again")
        left -= len(data)
        if lead:
            lead -= len(data)
        else:
            count = len(data) // width
            whole = bytearray(data)
            for plane in range(width):
                whole[plane : count * width : width] = data[plane * count : (plane + 1) * count]
            data = whole
        target.write(data)
    if source.read(1):
        raise ValueError("it goes on behind its end: extract it again")

def main(names):
    failed = not names
    if failed:
        print(__doc__, file=sys.stderr)
    for name in names:
        made = False
        try:
            if not name.endswith(".planes"):
                raise ValueError("its name does not end in .planes")
            with open(name, "rb") as source, open(name[:-7], "xb") as target:
                made = True
                decode(source, target)
            print(f"{name}: done")
        except (OSError, ValueError) as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
            if made:
                os.remove(name[:-7])
    return 1 if failed else 0

sys.exit(main(sys.argv[1:]))
