"""What the training pictures show, and how they are painted."""

from dataclasses import dataclass

import torch

from concepts import BACKGROUNDS, HUES, STYLES, TIERS, UNSEEN_PAIRS
from pictures import on_background, place, recolour
from stage import SEED


@dataclass(frozen=True)
class Scene:
    """What one latent shows; concepts and style are indices, `second` is -1 for a single object."""

    concept: int
    style: int
    colour: str = ""
    background: str = ""
    second: int = -1


class Painter:
    """Turns scenes into pictures with a random size and position of the object."""

    def __init__(self, pictures, side, device, seed, smallest):
        self.pictures, self.side, self.device, self.smallest = pictures, side, device, smallest
        self.generator = torch.Generator().manual_seed(seed)

    def integer(self, low, high):
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def single(self, picture):
        size = self.integer(round(self.side * self.smallest), round(self.side * 0.97))
        room = self.side - size
        return place(picture[None], size, self.integer(0, room), self.integer(0, room), self.side)

    def object(self, concept, style, colour):
        picture = self.pictures[style, concept].to(self.device).float() / 255
        return recolour(picture[None], colour)[0] if colour else picture

    def paint(self, scene):
        """RGB in -1..1, `[1, 3, side, side]`."""
        first = self.object(scene.concept, scene.style, scene.colour)
        if scene.second < 0:
            layer = self.single(first)
        else:
            size = round(self.side * 0.48)
            top = self.integer(0, self.side - size)
            layer = place(first[None], size, top, 0, self.side)
            other = self.object(scene.second, scene.style, "")
            top = self.integer(0, self.side - size)
            layer = layer + place(other[None], size, top, self.side - size, self.side)
        colour = torch.tensor([BACKGROUNDS[scene.background]], device=self.device) / 255
        return on_background(layer, colour)


def all_scenes(concepts, usable, arguments):
    """`usable`: `[2, concepts]`, false where a style's picture is blank."""
    generator = torch.Generator().manual_seed(SEED)
    chosen = [concept for concept in concepts if concept.tier in TIERS[arguments.tiers]]
    named = [name for name in BACKGROUNDS if name]
    scenes = []
    for style in range(len(STYLES)):
        for concept in chosen:
            if not usable[style, concept.index]:
                continue
            scenes += [Scene(concept.index, style)] * arguments.placements
            for k in torch.randperm(len(named), generator=generator)[: arguments.backgrounds].tolist():
                scenes.append(Scene(concept.index, style, background=named[k]))
            if concept.recolour:
                for colour in HUES:
                    if f"{colour} {concept.name}" not in UNSEEN_PAIRS:
                        scenes += [Scene(concept.index, style, colour=colour)] * arguments.recoloured
    firsts = [concept.index for concept in concepts if concept.tier == "first"]
    for _ in range(arguments.pairs):
        left, right = torch.randperm(len(firsts), generator=generator)[:2].tolist()
        style = int(torch.randint(len(STYLES), (), generator=generator))
        if usable[style, firsts[left]] and usable[style, firsts[right]]:
            scenes.append(Scene(firsts[left], style, second=firsts[right]))
    return scenes
