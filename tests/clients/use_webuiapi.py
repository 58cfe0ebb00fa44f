"""webuiapi (MIT), the Python client of AUTOMATIC1111's interface."""

import sys
from urllib.parse import urlparse

import webuiapi

address = urlparse(sys.argv[1])
api = webuiapi.WebUIApi(host=address.hostname, port=address.port)

drawn = api.txt2img(prompt="a red apple", negative_prompt="blur", seed=5, steps=4, cfg_scale=5, width=64, height=72, sampler_name="Euler a")
assert drawn.image.size == (64, 72), drawn.image.size
assert drawn.info["seed"] == 5 and drawn.info["sampler_name"] == "Euler a", drawn.info
again = api.txt2img(prompt="a red apple", negative_prompt="blur", seed=5, steps=4, cfg_scale=5, width=64, height=72, sampler_name="Euler a")
assert again.image.tobytes() == drawn.image.tobytes(), "the same seed drew another picture"
several = api.txt2img(prompt="a cat", seed=7, steps=2, batch_size=2, n_iter=2)
assert len(several.images) >= 4 and several.info["all_seeds"] == [7, 8, 9, 10], several.info["all_seeds"]

changed = api.img2img(images=[drawn.image], prompt="a green apple", seed=5, steps=4, denoising_strength=0.5, width=64, height=72)
assert changed.image.size == (64, 72) and changed.image.tobytes() != drawn.image.tobytes()
told = api.png_info(drawn.image)
assert "Seed: 5" in told.info, told.info

assert any(sampler["name"] == "Euler a" for sampler in api.get_samplers())
names = api.util_get_model_names()
assert names, "no model"
api.util_set_model(names[0])
assert names[0].split(" ")[0] in api.util_get_current_model()
options = api.get_options()
assert "sd_model_checkpoint" in options
api.set_options(options)
progress = api.get_progress()
assert 0 <= progress["progress"] <= 1 and "state" in progress
for ask in (api.get_upscalers, api.get_loras, api.get_prompt_styles, api.get_schedulers, api.get_embeddings, api.get_memory, api.get_sd_vae, api.get_scripts, api.get_cmd_flags, api.get_face_restorers, api.get_hypernetworks):
    ask()
api.refresh_checkpoints()
api.interrupt()
api.skip()
