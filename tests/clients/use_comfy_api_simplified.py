"""comfy-api-simplified, a Python client of ComfyUI's interface: HTTP for orders, a WebSocket for their end."""

import json
import struct
import sys
import tempfile

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

api = ComfyApiWrapper(sys.argv[1])
graph = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "spark"}, "_meta": {"title": "Model"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["1", 1]}, "_meta": {"title": "Prompt"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}, "_meta": {"title": "Negative"}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}, "_meta": {"title": "Latent"}},
    "5": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4, "cfg": 5.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}, "_meta": {"title": "Sampler"}},
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}, "_meta": {"title": "Decode"}},
    "7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["6", 0]}, "_meta": {"title": "Save"}},
}
with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(graph, file)
    file.flush()
    workflow = ComfyWorkflowWrapper(file.name)
workflow.set_node_param("Prompt", "text", "a blue car")
pictures = api.queue_and_wait_images(workflow, "Save")
assert len(pictures) == 1, list(pictures)
png = next(iter(pictures.values()))
assert struct.unpack(">II", png[16:24]) == (64, 64)
assert b"KSampler" in png, "the picture does not carry its graph"
