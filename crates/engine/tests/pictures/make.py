"""Makes the small foreign pictures beside it: how other programs store what they say. Needs Pillow and piexif.

Each is 24x16: the left half red, the right half blue, the upper left quarter white, so that a turn is seen.
"""

import pathlib

import piexif
import piexif.helper
from PIL import Image

here = pathlib.Path(__file__).parent
INFOTEXT = "a café 🍌, \"ripe\"\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 24x16"

picture = Image.new("RGB", (24, 16), (255, 0, 0))
picture.paste((0, 0, 255), (12, 0, 24, 16))
picture.paste((255, 255, 255), (0, 0, 12, 8))


def exif(orientation=1):
    comment = piexif.helper.UserComment.dump(INFOTEXT, encoding="unicode")
    return piexif.dump({"0th": {piexif.ImageIFD.Orientation: orientation}, "Exif": {piexif.ExifIFD.UserComment: comment}})


# as the camera saves it lying on its side: orientation 6 is shown turned by 90 degrees to the right
picture.transpose(Image.Transpose.ROTATE_90).save(here / "turned.jpg", quality=95, subsampling=0, exif=exif(6))
picture.save(here / "progressive.jpg", quality=95, progressive=True)
picture.convert("L").save(here / "grey.jpg", quality=95)
picture.convert("CMYK").save(here / "cmyk.jpg", quality=95)
picture.save(here / "lossy.webp", quality=95, exif=exif())
alpha = picture.copy()
alpha.putalpha(Image.linear_gradient("L").resize((24, 16)))
alpha.save(here / "alpha.webp", lossless=True)
picture.save(here / "animated.webp", lossless=True, save_all=True, append_images=[Image.new("RGB", (24, 16))])
