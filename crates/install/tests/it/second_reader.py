"""Reads a bundle by what docs/format.md says, and by nothing of ours; needs Python 3.8 and the program zstd.

    python3 second_reader.py TARGET FOLDER...      the bundle folders of all sticks, in any order

Everything that it relies on is checked, so that it fails where the description is wrong. It reads no updates and no frozen
folders, and does not compare the BLAKE3 digests of chunks, which Python has not.
"""
import hashlib
import io
import json
import pathlib
import re
import struct
import subprocess
import sys
import tarfile

CHUNK = 4194304
ZSTD, VOLUME, SEEK = 0xFD2FB528, 0x184D2A50, 0x184D2A5E


def sha256(data):
    return hashlib.sha256(data).digest()


def frame_end(data, at):
    """Where the zstd frame at `at` ends, and the size of its content (RFC 8878)."""
    descriptor = data[at + 4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    assert checksum, "every ordinary frame carries zstd's checksum"
    place = at + 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    assert width, "every ordinary frame states its content size"
    content = int.from_bytes(data[place : place + width], "little") + (256 if width == 2 else 0)
    place += width
    while True:
        block = int.from_bytes(data[place : place + 3], "little")
        place += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        if block & 1:
            return place + 4, content


class Volume:
    """One volume, taken apart and checked alone."""

    def __init__(self, path):
        data = path.read_bytes()
        self.frames, self.ordinary, self.end, at = [], [], None, 0
        while at < len(data):
            (magic,) = struct.unpack_from("<I", data, at)
            if magic == ZSTD:
                end, content = frame_end(data, at)
                self.ordinary.append((data[at:end], content))
            else:
                assert 0x184D2A50 <= magic <= 0x184D2A5F, "a skippable frame"
                (length,) = struct.unpack_from("<I", data, at + 4)
                end, content = at + 8 + length, 0
                if magic == VOLUME:
                    self.record(data, at, data[at + 8 : end])
                if magic == SEEK:
                    self.table = data[at:end]
                    assert end == len(data), "nothing is behind the seek table"
                    break
            self.frames.append((end - at, content))
            at = end
        assert self.end, f"{path} was cut off"
        assert self.next - self.first == len(self.ordinary)

    def record(self, data, at, content):
        fields, check = content[:-8], content[-8:]
        assert sha256(fields)[:8] == check, "the check of a record"
        tag, self.bundle = fields[:8], fields[8:40]
        if tag == b"FFVOL1\0\0":
            assert at == 0, "a volume begins with its header"
            self.number, self.first = struct.unpack("<IQ", fields[40:])
        else:
            assert tag == b"FFEND1\0\0"
            number, self.last, self.next, digest = struct.unpack("<IBQ32s", fields[40:])
            assert number == self.number and digest == sha256(data[:at])
            self.end = True


def volumes(folders):
    name = re.compile(r".*\.tar\.zst(\.\d{3,})?$")
    found = [Volume(path) for folder in folders for path in folder.iterdir() if name.match(path.name)]
    found.sort(key=lambda volume: volume.number)
    assert [volume.number for volume in found] == list(range(1, len(found) + 1)), "all volumes are there"
    assert [volume.last for volume in found] == [0] * (len(found) - 1) + [1]
    assert len({volume.bundle for volume in found}) == 1, "all of one bundle"
    assert found[0].first == 0 and all(a.next == b.first for a, b in zip(found, found[1:]))
    check_seek_table(found[-1].table, [frame for volume in found for frame in volume.frames])
    return found


def check_seek_table(table, frames):
    entries, flags, magic = struct.unpack("<IBI", table[-9:])
    assert (entries, flags, magic) == (len(frames), 0, 0x8F92EAB1)
    assert [struct.unpack_from("<II", table, 8 + 8 * at) for at in range(entries)] == frames


def decoded(found):
    """The content of every ordinary frame."""
    packed = b"".join(frame for volume in found for frame, _ in volume.ordinary)
    stream = subprocess.run(["zstd", "-dcq"], input=packed, stdout=subprocess.PIPE, check=True).stdout
    pieces, at = [], 0
    for size in (size for volume in found for _, size in volume.ordinary):
        pieces.append(stream[at : at + size])
        at += size
    assert at == len(stream)
    return stream, pieces


def chunks(file):
    head, size = file.get("head", 0), file["size"]
    cut = [min(CHUNK, head - at) for at in range(0, head, CHUNK)]
    cut += [min(CHUNK, size - at) for at in range(head, size, CHUNK)]
    assert len(cut) == len(file["chunks"])
    return cut


def joined(member, head):
    """What a member in byte planes stands for."""
    tag, size, lead, block, width = struct.unpack_from("<8sQQII", member)
    assert tag == b"FFPLN1\0\0" and block == CHUNK and width in (2, 4) and len(member) == size + 32 and lead == head
    out = bytearray(member[32 : 32 + lead])
    for at in range(32 + lead, len(member), block):
        planes = member[at : at + block]
        numbers, whole = len(planes) // width, bytearray(len(planes))
        for plane in range(width):
            whole[plane : numbers * width : width] = planes[plane * numbers : (plane + 1) * numbers]
        whole[numbers * width :] = planes[numbers * width :]
        out += whole
    return bytes(out)


def main(target, folders):
    found = volumes(folders)
    stream, pieces = decoded(found)
    archive = tarfile.open(fileobj=io.BytesIO(stream))
    members = {member.name: archive.extractfile(member).read() for member in archive}
    names = [member.name for member in archive]
    text = members["MANIFEST.json"]
    assert sha256(text) == found[0].bundle, "its SHA-256 is the bundle's id"
    manifest = json.loads(text)
    files = manifest["files"]
    assert manifest["format"] == (2 if any("codec" in file for file in files) else 1)
    assert manifest["chunk_size"] == CHUNK and "frozen" not in manifest
    signed = "MANIFEST.json.minisig" in members
    expected = ["MANIFEST.json"] + ["MANIFEST.json.minisig"] * signed
    expected += [file["path"] + (".planes" if "codec" in file else "") for file in files]
    assert names == expected and [file["path"] for file in files] == sorted(
        (file["path"] for file in files), key=lambda path: path.encode()
    )
    assert all((m.mode, m.uid, m.gid, m.mtime, m.isreg()) == (0o644, 0, 0, 0, True) for m in archive)
    # The frames, in the order of the table.
    sizes = [512] + [min(CHUNK, len(text) - at) for at in range(0, len(text), CHUNK)]
    before = len(text)
    if signed:
        sizes += [-before % 512 + 512, len(members["MANIFEST.json.minisig"])]
        before = sizes[-1]
    for file in files:
        size = file["size"] + (32 if "codec" in file else 0)
        sizes += [None] + chunks(file)
        before = size
    sizes += [-before % 512 + 1024]
    assert len(sizes) == len(pieces)
    assert all(size is None or size == len(piece) for size, piece in zip(sizes, pieces)), "the table of frames"
    for file in files:
        assert "carried" not in file, "this is an update"
        member = members[file["path"] + (".planes" if "codec" in file else "")]
        content = joined(member, file.get("head", 0)) if "codec" in file else member
        assert len(content) == file["size"] and sha256(content).hex() == file["sha256"], file["path"]
        place = target / file["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


main(pathlib.Path(sys.argv[1]), [pathlib.Path(folder) for folder in sys.argv[2:]])
