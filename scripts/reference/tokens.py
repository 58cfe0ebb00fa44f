"""CLIP's tokenizer as transformers has it, from the vocabulary in the package clip-anytorch; and spark's."""

import gzip
import importlib.util
import json
import pathlib

from tokenizers import Tokenizer
from transformers import CLIPTokenizer

PROMPTS = [
    "",
    "a banana",
    "A  Banana!!  with\tcafé\n№ 42 🍌",
    "an astronaut riding a horse, (masterpiece:1.2), [blurry], 8k -- don't I'll we've",
    "naïve Ångström ﬁnd ÉCOLE e\u0301cole",
    "一只香蕉 と バナナ बनाना",
    "<|endoftext|> hidden <|startoftext|>",
    "x1y2z3 supercalifragilisticexpialidocious \u00a0\u3000 wide  spaces",
    "a red car, " * 40,
]


def clip(folder):
    """The vocabulary is written to `folder`, where transformers reads it."""
    package = pathlib.Path(importlib.util.find_spec("clip").origin).parent
    text = gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8").read()
    merges = text.split("\n")[1 : 49152 - 256 - 2 + 1]
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(byte) for byte in own] + [chr(256 + i) for i in range(256 - len(own))]
    vocabulary = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(merge.split()) for merge in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(names))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return lambda prompt: tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids


def words(folder):
    """CLIP's ids without start, end and padding; `clip` has filled the folder."""
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return lambda text: tokenizer(text, add_special_tokens=False).input_ids


def spark(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")

    def ids(prompt):
        found = tokenizer.encode(prompt).ids
        found = found[:76] + [end] if len(found) > 77 else found
        return found + [end] * (77 - len(found))

    return ids
