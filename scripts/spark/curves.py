"""Plot the logs of both training stages into one picture, a line for each figure, scaled to its own range."""

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 520, 220, 36


def series(path):
    """`{figure: [(step, value), ...]}` of a log of JSON lines."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        row = json.loads(line)
        for name, value in row.items():
            if name not in ("step", "seconds"):
                found.setdefault(name, []).append((row["step"], value))
    return {name: points for name, points in found.items() if len(points) > 1}


def plot(draw, left, top, name, points):
    steps, values = zip(*points)
    low, high = min(values), max(values)
    across = lambda s: left + MARGIN + (s - steps[0]) / max(1, steps[-1] - steps[0]) * (WIDTH - 2 * MARGIN)  # noqa: E731
    up = lambda v: top + HEIGHT - MARGIN - (v - low) / max(1e-9, high - low) * (HEIGHT - 2 * MARGIN)  # noqa: E731
    draw.rectangle([left + MARGIN, top + MARGIN, left + WIDTH - MARGIN, top + HEIGHT - MARGIN], outline="lightgray")
    draw.line([(across(s), up(v)) for s, v in points], fill="black", width=2)
    draw.text((left + MARGIN, top + 12), f"{name}: {values[0]:g} to {values[-1]:g} (lowest {low:g}, highest {high:g})", fill="black")
    draw.text((left + MARGIN, top + HEIGHT - MARGIN + 6), f"steps {steps[0]} to {steps[-1]}", fill="gray")


def main(arguments):
    work = Path(arguments.work)
    stages = [(stage, series(work / f"{stage}.log.jsonl")) for stage in ("vae", "diffusion")]
    plots = [(f"{stage} {name}", points) for stage, found in stages for name, points in found.items()]
    if not plots:
        raise SystemExit(f"no training log with two lines in `{work}` yet")
    image = Image.new("RGB", (2 * WIDTH, -(-len(plots) // 2) * HEIGHT), "white")
    for i, (name, points) in enumerate(plots):
        plot(ImageDraw.Draw(image), (i % 2) * WIDTH, (i // 2) * HEIGHT, name, points)
    image.save(arguments.out)
    print(f"{arguments.out}: {len(plots)} curves")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of the logs")
    parser.add_argument("--out", default="target/spark/out/curves.png")
    main(parser.parse_args())
