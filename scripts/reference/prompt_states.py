"""Hidden states of weighted prompts in plain torch over transformers' CLIPTextModel: AUTOMATIC1111's and ComfyUI's
formulas, long prompts, embeddings, CLIP skip. Written from the observed behaviour of both programs."""

import json

import torch

import models
import prompt_goldens
import prompts

START, END, COMMA = 49406, 49407, 267
TINY_STEPS = 10


class Encoder:
    """A text encoder whose vocabulary has the embeddings' vectors behind its own tokens."""

    def __init__(self, clip, tokenize, prefix="embedding", skip=1, normed=True, padding=END):
        self.clip, self.tokenize, self.skip, self.normed, self.padding = clip, tokenize, skip, normed, padding
        own = clip.get_input_embeddings().weight.data
        self.first, rows = {}, [own]
        for name, count in prompt_goldens.VECTORS.items():
            self.first[name] = sum(len(table) for table in rows)
            rows.append(models.procedural(f"{prefix}.{name}", [count, own.shape[1]]))
        clip.set_input_embeddings(torch.nn.Embedding.from_pretrained(torch.cat(rows)))
        self.norm = next(module for name, module in clip.named_modules() if name.endswith("final_layer_norm"))

    def __call__(self, chunks, clip_skip):
        """[len(chunks), 77, width]"""
        rows = []
        for ids, _, vectors in chunks:
            end = ids.index(END) + 1
            ids = ids[:end] + [self.padding] * (77 - end)
            for place, name, first in vectors:
                for row in range(first, min(prompt_goldens.VECTORS[name], first + 76 - place)):
                    ids[place + row - first] = self.first[name] + row
            rows.append(ids)
        result = self.clip(torch.tensor(rows), output_hidden_states=True)
        self.pooled = getattr(result, "text_embeds", None)
        states = result.hidden_states[-max(clip_skip, self.skip)]
        return self.norm(states) if self.normed else states

    def webui_chunks(self, text, emphasis):
        pieces = [[text, 1.0]] if emphasis == "None" else prompts.pieces(text)
        return prompts.webui_chunks(pieces, self.tokenize, prompt_goldens.VECTORS, START, END, COMMA)

    def webui(self, texts, emphasis, clip_skip):
        """What AUTOMATIC1111 makes of the texts of one schedule: [len(texts), 77 * chunks, width]."""
        cut = [self.webui_chunks(text, emphasis) for text in texts]
        count = max(map(len, cut))
        empty = self.webui_chunks("", emphasis)
        columns = []
        for column in zip(*[chunks + empty * (count - len(chunks)) for chunks in cut]):
            states = self(column, clip_skip)
            if emphasis in ("Original", "No norm"):
                before = states.mean()
                states = states * torch.tensor([weights for _, weights, _ in column]).unsqueeze(-1)
                if emphasis == "Original":
                    states = states * (before / states.mean())
            columns.append(states)
        return torch.cat(columns, dim=1)

    def comfy_chunks(self, text):
        return prompts.comfy_chunks(prompts.comfy_pieces(text), self.tokenize, prompt_goldens.VECTORS, START, END)

    def comfy(self, text, clip_skip):
        chunks = self.comfy_chunks(text)
        empty = self([([START] + [END] * 76, None, [])], clip_skip)
        weights = torch.tensor([weights for _, weights, _ in chunks]).unsqueeze(-1)
        states = self(chunks, clip_skip)
        return ((states - empty) * weights + empty).reshape(1, -1, states.shape[-1])


# name: prompt, emphasis, CLIP skip, call of the model
CASES = {
    "original": ("a (red:1.4) car on a [blue] road, (((sky)))", "Original", 1, 0),
    "no norm": ("a (red:1.4) car on a [blue] road, (((sky)))", "No norm", 1, 0),
    "ignore": ("a (red:1.4) car on a [blue] road, (((sky)))", "Ignore", 1, 0),
    "none": ("a (red:1.4) car on a [blue] road, (((sky)))", "None", 1, 0),
    "comfy": ("a (red:1.4) car on a [blue] road, (((sky)))", "ComfyUI", 1, 0),
    "negative weights": ("a (red:-0.5) car, (sky:0)", "Original", 1, 0),
    "clip skip": ("a (red:1.4) car", "Original", 2, 0),
    "comfy clip skip": ("a (red:1.4) car", "ComfyUI", 2, 0),
    "three chunks": (f"{prompt_goldens.LONG}, (the end:1.3)", "Original", 1, 0),
    "comfy three chunks": (f"{prompt_goldens.LONG}, (the end:1.3)", "ComfyUI", 1, 0),
    "break": ("a (red:1.2) car BREAK a [blue] road", "Original", 1, 0),
    "embeddings": ("(easy negative:1.2), bad-hands, (easy:0.7) cat", "Original", 1, 0),
    "comfy embeddings": ("embedding:easy (embedding:bad-hands:1.2), a cat", "ComfyUI", 1, 0),
    "embedding cut off": (f"{prompt_goldens.WORDS}, pear easy pear pear", "Original", 1, 0),
    "schedule before": ("a [(red:1.5) car:blue boat:0.5] on a road", "Original", 1, 5),
    "schedule after": ("a [(red:1.5) car:blue boat:0.5] on a road", "Original", 1, 6),
    "alternation": ("a [(red:1.5)|blue|green] car", "Original", 1, 2),
}


XL_CASES = {
    "xl original": ("a (red:1.4) car, (easy:0.7), (((sky)))", "Original", 1, 0),
    "xl no norm, three chunks": (f"{prompt_goldens.LONG}, (the end:1.3)", "No norm", 1, 0),
    "xl comfy": ("a (red:1.4) car embedding:easy, (((sky)))", "ComfyUI", 1, 0),
    "xl clip skip": ("a (red:1.4) car", "Original", 3, 0),
}


def states(encoder, prompt, emphasis, clip_skip, call):
    if emphasis == "ComfyUI":
        return encoder.comfy(prompt, clip_skip)
    schedule = prompts.schedule(prompt, TINY_STEPS)
    texts = [text for _, text in schedule]
    entry = next(i for i, (until, _) in enumerate(schedule) if call <= until)
    return encoder.webui(texts, emphasis, clip_skip)[entry : entry + 1]


def goldens(clip, small, big, tokenize):
    """For each case every eleventh position, and the norm of each. `clip` is Stable Diffusion 1.x's text encoder,
    `small` and `big` are XL's."""
    one = [Encoder(clip, tokenize)]
    two = [
        Encoder(small, tokenize, "embedding.clip_l", skip=2, normed=False),
        Encoder(big, tokenize, "embedding.clip_g", skip=2, normed=False, padding=0),
    ]
    tensors = {}
    for name, case in [*CASES.items(), *XL_CASES.items()]:
        encoders = two if name in XL_CASES else one
        whole = torch.cat([states(encoder, *case) for encoder in encoders], dim=-1)
        tensors[f"{name}.states"] = whole[:, ::11]
        tensors[f"{name}.norms"] = whole.norm(dim=-1)
        if encoders is two:
            first = two[1].webui_chunks(case[0], case[1])[:1]
            if case[1] == "ComfyUI":
                first = two[1].comfy_chunks(case[0])[:1]
            two[1](first, case[2])
            tensors[f"{name}.pooled"] = two[1].pooled
    return tensors


def write_cases(file):
    """The cases for the tests: [{name, prompt, emphasis, clip_skip, call}]."""
    keys = ("name", "prompt", "emphasis", "clip_skip", "call")
    rows = [dict(zip(keys, (name, *case))) for name, case in [*CASES.items(), *XL_CASES.items()]]
    file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
