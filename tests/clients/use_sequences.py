"""What Open WebUI and SillyTavern ask, in their order: request by request, without the programs themselves."""

import base64
import json
import sys
import urllib.request

ADDRESS = sys.argv[1]


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ADDRESS + path, data, {"Content-Type": "application/json", "Authorization": "Basic eDp5"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


# Open WebUI: reads all options, posts the whole object back with another model, draws.
options = ask("/sdapi/v1/options")
models = ask("/sdapi/v1/sd-models")
options["sd_model_checkpoint"] = models[0]["title"]
ask("/sdapi/v1/options", options)
assert ask("/sdapi/v1/options")["sd_model_checkpoint"] == models[0]["title"]
drawn = ask("/sdapi/v1/txt2img", {"prompt": "a red apple", "batch_size": 1, "width": 64, "height": 64, "steps": 4, "negative_prompt": ""})
assert base64.b64decode(drawn["images"][0])[:4] == b"\x89PNG" and json.loads(drawn["info"])["seed"] >= 0

# SillyTavern: pings, reads every list, waits until nothing runs, draws.
ask("/sdapi/v1/options")
for path in ("upscalers", "latent-upscale-modes", "sd-vae", "samplers", "schedulers", "sd-models"):
    assert isinstance(ask(f"/sdapi/v1/{path}"), list), path
assert ask("/sdapi/v1/progress")["state"]["job_count"] == 0
wish = {"prompt": "a cat", "negative_prompt": "", "sampler_name": "Euler a", "scheduler": "Automatic", "steps": 4, "cfg_scale": 5, "width": 64, "height": 64, "restore_faces": False, "enable_hr": False, "hr_upscaler": "Latent", "hr_scale": 1.5, "hr_additional_steps": 0, "denoising_strength": 0.7, "hr_second_pass_steps": 0, "seed": 9, "override_settings": {"CLIP_stop_at_last_layers": 1}, "override_settings_restore_afterwards": True, "clip_skip": 1, "save_images": True, "send_images": True, "do_not_save_grid": False, "do_not_save_samples": False}
assert json.loads(ask("/sdapi/v1/txt2img", wish)["info"])["seed"] == 9

# SillyTavern with ComfyUI: what there is, an order, the whole history until it is in it, the picture.
assert "devices" in ask("/system_stats")
info = ask("/object_info")
assert info["KSampler"]["input"]["required"]["sampler_name"][0]
name = info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][0]
graph = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 3, "steps": 4, "cfg": 5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
}
order = ask("/prompt", {"prompt": graph})["prompt_id"]
for _ in range(600):
    history = ask("/history")
    if order in history:
        break
    __import__("time").sleep(0.1)
picture = history[order]["outputs"]["9"]["images"][0]
query = "&".join(f"{key}={picture[key]}" for key in ("filename", "subfolder", "type"))
with urllib.request.urlopen(f"{ADDRESS}/view?{query}", timeout=10) as answer:
    assert answer.read(4) == b"\x89PNG"
