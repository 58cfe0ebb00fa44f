"""What the scripts that measure have in common."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
MIB = 1 << 20


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def release_build(*more):
    """Builds in release and returns the folder of the programs; `more` are arguments of another build."""
    say("building")
    for arguments in [(), more] if more else [()]:
        subprocess.run(["cargo", "build", "--locked", "--release", "--quiet", *arguments], cwd=ROOT, check=True)
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"


def machine():
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores of {cpu}, {memory:.0f} GiB of memory, Linux {platform.release()}"


def escape(text):
    return text.replace("|", "\\|")


class Targets:
    """Lines `ratio WHAT N.NNN (target …) ok|MISSED`, and the same as a table."""

    def __init__(self):
        self.lines, self.good = [], True

    def line(self, what, value, target, unit="", at_most=False):
        holds = value <= target if at_most else value >= target
        target = f"{'<=' if at_most else '>='} {target}{unit}"
        print(f"ratio {what} {value:.3f}{unit} (target {target}) {'ok' if holds else 'MISSED'}", flush=True)
        self.lines.append(f"| {escape(what)} | {value:.3f}{unit} | {target} | {'yes' if holds else '**no**'} |\n")
        self.good &= holds

    def table(self):
        return "| what | measured | target | met |\n| --- | --- | --- | --- |\n" + "".join(self.lines)


def write_page(script, tables):
    """Replaces what `script` wrote into docs/performance.md the last time."""
    begin, end = f"<!-- written by scripts/{script} -->\n", f"<!-- end of what scripts/{script} wrote -->\n"
    head, rest = PAGE.read_text().split(begin)
    _, tail = rest.split(end)
    PAGE.write_text(head + begin + "\n" + tables + "\n" + end + tail)
