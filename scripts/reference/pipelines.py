"""Whole generations from pictures in plain torch, in AUTOMATIC1111's order: image to image, inpainting, the second pass."""

import types

import numpy as np
import torch
from PIL import Image

import levels
import pictures
from sampling import Guided

PROMPT, SEED, STEPS, SCALE, SIDE = "an astronaut riding a horse", 42, 8, 5.0, 64


def tensor(image):
    """A picture as the autoencoder takes it: -1 to 1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255 * 2 - 1


def image(decoded):
    values = ((decoded * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values[0].permute(1, 2, 0).numpy())


class Studio:
    """A model with its prompts."""

    def __init__(self, unet, vae, context, empty):
        self.unet, self.vae, self.context, self.empty = unet, vae, context, empty
        self.model = Guided(unet, context, empty, SCALE)

    def encode(self, picture):
        return self.vae.encode(tensor(picture)).latent_dist.mode() * self.vae.config.scaling_factor

    def decode(self, latent):
        return image(self.vae.decode(latent / self.vae.config.scaling_factor).sample)

    def noise(self, latent_size):
        return torch.randn(1, 4, *latent_size, generator=torch.Generator().manual_seed(SEED))

    def walk(self, sigmas, start=None, size=(8, 8), keep=None):
        """Euler's method from noise, or from noise over `start`; `keep` is what must stay and where it may change."""
        x = self.noise(size if start is None else start.shape[2:]) * sigmas[0]
        x = x if start is None else start + x
        for now, then in zip(sigmas, sigmas[1:]):
            seen = self.model(x, now)
            if keep is not None:
                seen = seen * keep[1] + keep[0] * (1 - keep[1])
            x = x + (x - seen) / now * (then - now)
        return x if keep is None else x * keep[1] + keep[0] * (1 - keep[1])


class Looking(Guided):
    """A model that looks at a picture while it draws, through further channels; with an image scale it is asked
    without the picture too."""

    def __init__(self, unet, studio, beside, image_scale=None):
        super().__init__(unet, studio.context, studio.empty, SCALE)
        self.beside, self.image_scale = beside, image_scale
        if image_scale is not None:
            self.context = torch.cat([self.context, studio.empty])

    def noise(self, x, timestep):
        seen = torch.cat([x, self.beside], 1)
        if self.image_scale is None:
            prompted, empty = self.unet(torch.cat([seen, seen]), timestep, self.context).sample.chunk(2)
            return empty + self.scale * (prompted - empty)
        blind = torch.cat([x, torch.zeros_like(self.beside)], 1)
        found = self.unet(torch.cat([seen, seen, blind]), timestep, self.context).sample
        prompted, empty, blind = found.chunk(3)
        return blind + self.scale * (prompted - empty) + self.image_scale * (empty - blind)


def part(strength, steps=STEPS):
    """AUTOMATIC1111's share of the steps."""
    sigmas = levels.BY_NAME["Normal"](levels.TABLE, steps)
    return sigmas[steps - int(min(strength, 0.999) * steps) - 1 :]


def whole(strength, steps):
    """As many steps as were asked for, of a longer schedule."""
    longer = int(steps / min(strength, 0.999))
    return levels.BY_NAME["Normal"](levels.TABLE, longer)[longer - steps :]


def opening(mask, size):
    small = np.array(mask.resize((size[1], size[0])), dtype=np.float32) / 255
    return torch.from_numpy(np.around(small))[None, None]


def region(mask, padding, width, height):
    """The masked part with padding, grown to the proportions of the drawing: left, top, right, bottom."""
    left, top, right, bottom = mask.getbbox()
    left, top = max(left - padding, 0), max(top - padding, 0)
    right, bottom = min(right + padding, mask.width), min(bottom + padding, mask.height)
    ratio = width / height
    if (right - left) / (bottom - top) > ratio:
        missing = int((right - left) / ratio - (bottom - top))
        top, bottom = grown(top, bottom, missing, mask.height)
    else:
        missing = int((bottom - top) * ratio - (right - left))
        left, right = grown(left, right, missing, mask.width)
    return left, top, right, bottom


def grown(start, end, missing, limit):
    start, end = start - missing // 2, end + missing - missing // 2
    if end >= limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


def inpainted(studio, init, hole, strength, fill, padding=None):
    """The final latent and the picture put together."""
    hole = pictures.blurred(hole, 4, 4)
    if padding is None:
        drawn_from, mask, box = init, hole, (0, 0, *init.size)
        overlay = Image.fromarray(np.clip(np.array(hole).astype(np.float32) * 2, 0, 255).astype(np.uint8))
    else:
        area = region(hole, padding, SIDE, SIDE)
        drawn_from = pictures.fit(init.crop(area), SIDE, SIDE, "fill")
        mask = pictures.fit(hole.crop(area).convert("RGB"), SIDE, SIDE, "fill").convert("L")
        overlay, box = hole, (area[0], area[1], area[2] - area[0], area[3] - area[1])
    if fill != "original":
        drawn_from = pictures.filled(drawn_from, mask)
    latent = studio.encode(drawn_from)
    where = opening(mask, latent.shape[2:])
    if fill == "noise":
        latent = latent * (1 - where) + studio.noise(latent.shape[2:]) * where
    if fill == "nothing":
        latent = latent * (1 - where)
    final = studio.walk(part(strength), latent, keep=(latent, where))
    return final, pictures.pasted(init, overlay, studio.decode(final), box)


def looking(studio, inpaint_unet, edit_unet):
    """Models with 9 and 8 input channels: inpainting, with and without a picture, and editing by instruction."""
    encode = lambda values: studio.vae.encode(values).latent_dist.mode()
    scale = studio.vae.config.scaling_factor
    init, hole = pictures.picture(SIDE, SIDE), pictures.blurred(pictures.mask(SIDE, SIDE), 4, 4)
    open_pixels = torch.from_numpy(np.around(np.array(hole, dtype=np.float32) / 255))[None, None]
    small = torch.nn.functional.interpolate(open_pixels, size=(8, 8))
    latent = studio.encode(init)
    walk = lambda unet, beside, *rest, image_scale=None, **options: Studio.walk(
        types.SimpleNamespace(model=Looking(unet, studio, beside, image_scale), noise=studio.noise), *rest, **options
    )
    beside = torch.cat([small, encode(tensor(init) * (1 - open_pixels)) * scale], 1)
    nothing = torch.cat([torch.ones(1, 1, 8, 8), encode(torch.zeros(1, 3, SIDE, SIDE)) * scale], 1)
    where = opening(hole, (8, 8))
    return {
        "looking.inpaint": walk(inpaint_unet, beside, part(0.75), latent, keep=(latent, where)),
        "looking.inpaint.text": walk(inpaint_unet, nothing, levels.BY_NAME["Normal"](levels.TABLE, STEPS)),
        "looking.edit": walk(edit_unet, encode(tensor(init)), part(1.0), latent, image_scale=1.5),
    }


def goldens(unet, vae, encode, inpaint_unet, edit_unet):
    """`encode` makes a prompt what the UNet is conditioned on."""
    studio = Studio(unet, vae, encode(PROMPT), encode(""))
    bytes_of = lambda picture: torch.from_numpy(np.array(picture))
    init, hole, wide = pictures.picture(SIDE, SIDE), pictures.mask(SIDE, SIDE), pictures.picture(150, 110)
    tensors = {}
    for strength in (0.0, 0.5, 1.0):
        tensors[f"image.{strength}"] = studio.walk(part(strength), studio.encode(init))
    for mode in ("crop", "fill"):
        tensors[f"image.{mode}"] = studio.walk(part(0.5), studio.encode(pictures.fit(wide, SIDE, SIDE, mode)))
    own_size = torch.nn.functional.interpolate(studio.encode(wide), size=(8, 8), mode="bilinear")
    tensors["image.latent"] = studio.walk(part(0.5), own_size)
    for fill in ("fill", "original", "noise", "nothing"):
        final, picture = inpainted(studio, init, hole, 0.75, fill)
        tensors[f"inpaint.{fill}"], tensors[f"inpaint.{fill}.picture"] = final, bytes_of(picture)
    final, picture = inpainted(studio, wide, pictures.mask(150, 110), 0.75, "original", padding=6)
    tensors["inpaint.only"], tensors["inpaint.only.picture"] = final, bytes_of(picture)
    first = studio.walk(levels.BY_NAME["Normal"](levels.TABLE, STEPS))
    for name, (mode, antialias) in {"Latent": ("bilinear", False), "Latent (nearest-exact)": ("nearest-exact", False)}.items():
        larger = torch.nn.functional.interpolate(first, size=(12, 12), mode=mode, antialias=antialias)
        tensors[f"hires.{name}"] = studio.walk(whole(0.6, 4), larger)
    larger = studio.decode(first).resize((96, 96), Image.Resampling.LANCZOS)
    tensors["hires.Lanczos"] = studio.walk(whole(0.6, 4), studio.encode(larger))
    return tensors | looking(studio, inpaint_unet, edit_unet)
