"""Golden numbers of the upscalers, by spandrel, from tiny networks with weights computed from tensor names."""

import torch
from spandrel import ModelLoader

import models

WIDTH, GROWTH, BLOCKS = 16, 32, 2  # spandrel knows a growth of 32 only


def layer(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}


def dense(prefix, suffix=""):
    shapes = {}
    for i in range(5):
        shapes |= layer(f"{prefix}.conv{i + 1}{suffix}", WIDTH + i * GROWTH, GROWTH if i < 4 else WIDTH)
    return shapes


def first_code(doublings):
    """ESRGAN's first code: modules in a sequence; each doubling, convolution and activation has a number."""
    shapes = layer("model.0", 3, WIDTH) | layer(f"model.1.sub.{BLOCKS}", WIDTH, WIDTH)
    for block in range(BLOCKS):
        for part in "123":
            shapes |= dense(f"model.1.sub.{block}.RDB{part}", ".0")
    for i in range(doublings):
        shapes |= layer(f"model.{3 * i + 3}", WIDTH, WIDTH)
    end = 3 * doublings + 2
    return shapes | layer(f"model.{end}", WIDTH, WIDTH) | layer(f"model.{end + 2}", WIDTH, 3)


def named(block, part, trunk, doubling, large, inputs=3):
    """ESRGAN's second code and Real-ESRGAN."""
    shapes = layer("conv_first", inputs, WIDTH) | layer(trunk, WIDTH, WIDTH)
    for i in range(BLOCKS):
        for number in "123":
            shapes |= dense(f"{block}.{i}.{part}{number}")
    for name in (f"{doubling}1", f"{doubling}2", large):
        shapes |= layer(name, WIDTH, WIDTH)
    return shapes | layer("conv_last", WIDTH, 3)


def compact(factor):
    """SRVGGNetCompact with two activated convolutions between the first and the last."""
    shapes = {}
    for i in range(4):
        shapes |= layer(f"body.{2 * i}", 3 if i == 0 else WIDTH, WIDTH if i < 3 else 3 * factor * factor)
        if i < 3:
            shapes[f"body.{2 * i + 1}.weight"] = (WIDTH,)
    return shapes


real = ("body", "rdb", "conv_body", "conv_up", "conv_hr")
CASES = {
    "first-x1": first_code(0),
    "first-x2": first_code(1),
    "first-x4": first_code(2),
    "first-x8": first_code(3),
    "second-x4": named("RRDB_trunk", "RDB", "trunk_conv", "upconv", "HRconv"),
    "real-x1": named(*real, inputs=48),
    "real-x2": named(*real, inputs=12),
    "real-x4": named(*real),
    "compact-x2": compact(2),
    "compact-x4": compact(4),
}


def golden():
    """Returns the tensors and, for each case, the listing of names and shapes in its file."""
    picture = torch.rand(1, 3, 9, 14, generator=torch.Generator().manual_seed(5))
    tensors = {"picture": picture}
    for case, shapes in CASES.items():
        state = {name: models.procedural(name, shape) for name, shape in shapes.items()}
        found = ModelLoader(device="cpu").load_from_state_dict(state)
        assert f"x{found.scale}" == case.split("-")[1], (case, found.scale)
        tensors[case] = found.model.eval()(picture)
    return tensors, CASES
