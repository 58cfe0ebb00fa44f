"""The concepts that spark can draw, their captions, and the words for colours and backgrounds.

`concepts.tsv` is the list: prompt name, label in emojibase, icon name in the two picture sets, tier, and whether the
object is also shown recoloured. Tiers: `first` (the most usual things), `core`, `rest`, and `heldout`: pictures that
no stage trains on, for the autoencoder's figures.
"""

from dataclasses import dataclass
from pathlib import Path

STYLES = ("noto", "flat")
TIERS = {"first": ("first",), "core": ("first", "core"), "all": ("first", "core", "rest")}
HUES = dict(red=0, orange=26, yellow=48, green=125, blue=215, purple=278, pink=330)
BACKGROUNDS = {
    "": (255, 255, 255),
    "light blue": (135, 206, 250),
    "yellow": (255, 214, 120),
    "green": (180, 230, 160),
    "pink": (250, 180, 200),
    "purple": (205, 180, 240),
    "gray": (225, 225, 225),
    "dark": (60, 64, 80),
}
# Colour and object are both trained, this pair never is: the measure of whether colour words generalize.
UNSEEN_PAIRS = {
    "blue apple", "purple car", "green balloon", "orange book", "yellow t-shirt", "pink butterfly", "red fish",
    "blue tulip", "green star", "purple umbrella", "blue strawberry", "pink crab", "blue rose", "green train",
    "purple mushroom", "red frog",
}  # fmt: skip
# Plural although singular in form, or the other way round, as far as articles go.
_SINGULAR_IN_S = {"octopus", "cactus", "lotus", "bus", "hibiscus", "trolleybus", "minibus", "abacus", "compass", "wheel"}


@dataclass(frozen=True)
class Concept:
    index: int
    name: str
    icons: dict
    tier: str
    recolour: bool


def load_concepts():
    """All concepts in the order of the rasterized pictures."""
    concepts = []
    for line in Path(__file__).with_name("concepts.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, _label, noto, flat, tier, recolour = line.split("\t")
            concepts.append(Concept(len(concepts), name, dict(noto=noto, flat=flat), tier, recolour == "yes"))
    return concepts


def article(words):
    """`a `, `an ` or nothing for a plural."""
    if words.endswith("s") and not words.endswith("ss") and words.split()[-1] not in _SINGULAR_IN_S:
        return ""
    return "an " if words[0] in "aeiou" else "a "


def caption(name, colour="", background="", style="", form=0):
    """One of five ways to say it; `form` 0 is the plain `a blue car, flat style`."""
    words = f"{colour} {name}".strip()
    text = [
        article(words) + words,
        words,
        f"a picture of {article(words)}{words}",
        f"a drawing of {article(words)}{words}",
        f"{words} emoji",
    ][form]
    if background:
        text += f" on a {background} background"
    if style:
        text += f", {style} style"
    return text
