"""Picture operations as Pillow, OpenCV and torch do them, in the order and with the numbers of AUTOMATIC1111."""

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

FILTERS = {
    "Nearest": Image.Resampling.NEAREST,
    "Box": Image.Resampling.BOX,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}
# no size with fewer rows and more columns: Pillow 13 shrinks the columns first there, the versions in use did not
SIZES = [(37, 23), (64, 64), (20, 50), (90, 30), (37, 40), (1, 1)]
LATENT_MODES = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


def picture(width, height):
    """Smooth waves with hard edges; made again by the tests."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    values = (x * 5 + y * 3 + c * 60 + (x // 7 + y // 5) % 3 * 90) % 256
    return Image.fromarray(values.astype(np.uint8))


def mask(width, height):
    """A rectangle, a single pixel and a soft slope."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.where((x >= width // 3) & (x < width // 2) & (y >= height // 4) & (y < height // 2), 255, 0)
    values[height - 2, width - 3] = 200
    values[height // 2, : width // 3] = np.arange(width // 3) * 4 % 256
    return Image.fromarray(values.astype(np.uint8))


def fit(image, width, height, mode):
    """Crop (1) and fill (2)."""
    ratio, own = width / height, image.width / image.height
    wide, high = (width, image.height * width // image.width), (image.width * height // image.height, height)
    inner = (wide if ratio > own else high) if mode == "crop" else (wide if ratio < own else high)
    resized = image.resize(inner, Image.Resampling.LANCZOS)
    result = Image.new("RGB", (width, height))
    x, y = width // 2 - inner[0] // 2, height // 2 - inner[1] // 2
    result.paste(resized, (x, y))
    if mode == "fill" and y > 0:
        result.paste(resized.resize((width, y), box=(0, 0, width, 0)), (0, 0))
        result.paste(resized.resize((width, y), box=(0, inner[1], width, inner[1])), (0, y + inner[1]))
    if mode == "fill" and x > 0:
        result.paste(resized.resize((x, height), box=(0, 0, 0, height)), (0, 0))
        result.paste(resized.resize((x, height), box=(inner[0], 0, inner[0], height)), (x + inner[0], 0))
    return result


def blurred(image, x, y):
    values = np.array(image)
    size = lambda sigma: 2 * int(2.5 * sigma + 0.5) + 1
    if x > 0:
        values = cv2.GaussianBlur(values, (size(x), 1), x)
    if y > 0:
        values = cv2.GaussianBlur(values, (1, size(y)), y)
    return Image.fromarray(values)


def kept(image, hole):
    """What a mask leaves of a picture, colours multiplied by their opacity."""
    result = Image.new("RGBa", image.size)
    result.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(hole))
    return result


def filled(image, hole):
    result, rest = Image.new("RGBA", image.size), kept(image, hole)
    for radius, times in [(256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)]:
        layer = rest.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(layer)
    return result.convert("RGB")


def pasted(image, hole, drawn, box):
    """The drawn part below what the mask leaves of the picture; `box` is left, top, width, height."""
    below = Image.new("RGBA", image.size)
    below.paste(fit(drawn, box[2], box[3], "crop"), (box[0], box[1]))
    below.alpha_composite(kept(image, hole).convert("RGBA"))
    return below.convert("RGB")


def goldens():
    tensors = {}
    add = lambda name, image: tensors.__setitem__(name, torch.from_numpy(np.array(image)))
    image, hole = picture(37, 23), mask(37, 23)
    for name, how in FILTERS.items():
        for width, height in SIZES:
            add(f"resized.{name}.{width}x{height}", image.resize((width, height), how))
    for mode in ("crop", "fill"):
        for width, height in SIZES[:-1] + [(48, 16), (16, 48)]:
            add(f"fit.{mode}.{width}x{height}", fit(image, width, height, mode))
    for x, y in [(4, 4), (0, 3), (2.5, 0), (1, 12), (0.3, 40)]:
        add(f"blurred.{x}.{y}", blurred(hole, x, y))
    add("filled.hard", filled(image, hole))
    add("filled.soft", filled(image, blurred(hole, 4, 4)))
    large = picture(300, 200)
    add("filled.large", filled(large, blurred(mask(300, 200), 4, 4)).crop((90, 40, 170, 110)))
    add("pasted", pasted(image, blurred(hole, 2, 2), picture(64, 64), (3, 2, 30, 20)))
    latent = torch.randn(1, 4, 9, 13, generator=torch.Generator().manual_seed(5))
    tensors["latent"] = latent
    for name, (mode, antialias) in LATENT_MODES.items():
        for size in [(18, 26), (13, 13), (5, 7)]:
            shape = f"{size[0]}x{size[1]}"
            tensors[f"interpolated.{name}.{shape}"] = torch.nn.functional.interpolate(
                latent, size=size, mode=mode, antialias=antialias
            )
    return tensors
