"""openai (Apache-2.0), OpenAI's own Python client."""

import base64
import struct
import sys
from io import BytesIO

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="any", max_retries=0, timeout=60)


def size(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:8]
    return struct.unpack(">II", png[16:24])


models = [model.id for model in client.models.list()]
assert models, "no model"
drawn = client.images.generate(model=models[0], prompt="a red apple", n=2, size="64x64", response_format="b64_json", extra_body={"seed": 3, "steps": 4})
pngs = [base64.b64decode(one.b64_json) for one in drawn.data]
assert [size(png) for png in pngs] == [(64, 64)] * 2 and pngs[0] != pngs[1]
again = client.images.generate(model=models[0], prompt="a red apple", size="64x64", response_format="b64_json", extra_body={"seed": 3, "steps": 4})
assert base64.b64decode(again.data[0].b64_json) == pngs[0], "the same seed drew another picture"

edited = client.images.edit(model=models[0], image=("apple.png", BytesIO(pngs[0]), "image/png"), prompt="a green apple", size="64x64", response_format="b64_json", extra_body={"seed": 3, "steps": 4})
assert size(base64.b64decode(edited.data[0].b64_json)) == (64, 64)

kinds = []
for event in client.images.generate(model=models[0], prompt="a cat", size="64x64", stream=True, partial_images=2, extra_body={"seed": 1, "steps": 20}):
    kinds.append(event.type)
    last = event
assert kinds[-1] == "image_generation.completed", kinds
assert size(base64.b64decode(last.b64_json)) == (64, 64)

try:
    client.images.generate(model=models[0], prompt="a cat", size="63x64")
    raise SystemExit("a size that is none was taken")
except openai.BadRequestError as error:
    assert error.body and error.body.get("message"), error
