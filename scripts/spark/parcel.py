"""Carry a half-finished training elsewhere in files of at most 15 MiB: averages, logs and vocabulary, no optimizer.

What is unpacked goes on from the averaged weights, with the same steps and time behind it.
"""

import argparse
import io
import tarfile
from pathlib import Path

import torch

from stage import save_atomically

LIMIT = 15 << 20
PLAIN = ("tokenizer.json", "vae.log.jsonl", "decoder.log.jsonl", "diffusion.log.jsonl", "folded.pt")


def pack(work, folder):
    """Write `parcel.00`, `parcel.01`, ... into `folder`."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in PLAIN:
            if (work / name).exists():
                tar.add(work / name, name)
        for name in ("vae.pt", "diffusion.pt"):
            if (work / name).exists():
                state = torch.load(work / name, map_location="cpu")
                state.update(raw=None, optimizer=None, optimizer_of=None)
                content = io.BytesIO()
                torch.save(state, content)
                entry = tarfile.TarInfo(name)
                entry.size = content.tell()
                content.seek(0)
                tar.addfile(entry, content)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, whole.tell(), LIMIT)):
        (folder / f"parcel.{number:02}").write_bytes(whole.getbuffer()[start : start + LIMIT])
    print(f"packed {whole.tell():,} bytes into `{folder}`", flush=True)


def unpack(folder, work):
    whole = io.BytesIO(b"".join(part.read_bytes() for part in sorted(folder.glob("parcel.*"))))
    work.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=whole) as tar:
        tar.extractall(work, filter="data")
    for name in ("vae.pt", "diffusion.pt"):
        if (work / name).exists():
            state = torch.load(work / name, map_location="cpu")
            save_atomically(dict(state, raw=state["average"]), work / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pack", "unpack"])
    parser.add_argument("folder", help="of the parcel")
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    arguments = parser.parse_args()
    if arguments.what == "pack":
        pack(Path(arguments.work), Path(arguments.folder))
    else:
        unpack(Path(arguments.folder), Path(arguments.work))
