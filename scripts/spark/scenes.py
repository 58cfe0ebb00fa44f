"""What the training pictures show, and how they are painted."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from concepts import BACKGROUNDS, HUES, STYLES, TIERS, UNSEEN_PAIRS
from pictures import COLOURS, on_background, place, recolour, shrink_to
from stage import SEED

# Size of the largest single object and of each of two, in parts of the picture's side.
LARGEST, HALF = 0.97, 0.48


@dataclass(frozen=True)
class Scene:
    """What one latent shows; concepts and style are indices, `second` is -1 for a single object."""

    concept: int
    style: int
    colour: str = ""
    background: str = ""
    second: int = -1


class Painter:
    """Turns scenes into pictures with a random size and position of the object, on the device that holds the pictures."""

    def __init__(self, pictures, side, seed, smallest):
        self.pictures, self.side, self.smallest = pictures, side, smallest
        self.generator = torch.Generator(pictures.device).manual_seed(seed)

    def tensor(self, values):
        return torch.tensor(values, device=self.pictures.device)

    def random(self, count):
        return torch.rand(count, generator=self.generator, device=self.pictures.device)

    def objects(self, concepts, scenes, colours):
        chosen = self.pictures[self.tensor([scene.style for scene in scenes]), self.tensor(concepts)].float() / 255
        return recolour(chosen, self.tensor([COLOURS.index(name) if name else -1 for name in colours]))

    def paint(self, scenes):
        """RGB in -1..1, `[scenes, 3, side, side]`."""
        objects = self.objects([scene.concept for scene in scenes], scenes, [scene.colour for scene in scenes])
        size = self.smallest + (LARGEST - self.smallest) * self.random(len(scenes))
        layer = place(objects, size, self.random(len(scenes)) * (1 - size), self.random(len(scenes)) * (1 - size))
        pairs = [number for number, scene in enumerate(scenes) if scene.second >= 0]
        if pairs:
            layer[self.tensor(pairs)] = self.side_by_side(objects[self.tensor(pairs)], [scenes[i] for i in pairs])
        backgrounds = self.tensor([BACKGROUNDS[scene.background] for scene in scenes]) / 255
        return shrink_to(on_background(layer, backgrounds), self.side)

    def side_by_side(self, left, scenes):
        right = self.objects([scene.second for scene in scenes], scenes, [""] * len(scenes))
        layer = 0
        for objects, edge in ((left, 0.0), (right, 1 - HALF)):
            size = torch.full((len(scenes),), HALF, device=left.device)
            # Halved first, since `place` takes single pixels and would leave out every second one.
            layer = layer + place(F.avg_pool2d(objects, 2), size, torch.full_like(size, edge), self.random(len(scenes)) * (1 - HALF))
        return layer


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
