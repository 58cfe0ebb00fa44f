"""A small CLIP-style byte-level BPE vocabulary, learned from spark's captions and from emoji names and key words.

3,000 entries, words end in `</w>`, `<|startoftext|>` is 2998, `<|endoftext|>` is 2999 and pads, as CLIP's does.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from concepts import BACKGROUNDS, HUES, STYLES, caption, load_concepts
from text_encoder import TOKENS

START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY = 3000
# CLIP's way of cutting text into pieces.
PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
USUAL_WORDS = (
    "red orange yellow green blue purple pink brown black white gray grey light dark big small background on a an the of "
    "and in with style picture drawing photo image cute flat simple colorful two three"
).split()


def byte_letters():
    """GPT-2's printable stand-ins for the 256 bytes, in its order."""
    order = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = [chr(byte) for byte in order], 0
    for byte in range(256):
        if byte not in order:
            letters.append(chr(256 + extra))
            extra += 1
    return letters


def with_pieces(tokenizer):
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def all_captions():
    captions = []
    for concept in load_concepts():
        captions += [caption(concept.name, form=form) for form in range(5)]
        captions += [caption(concept.name, background=name) for name in BACKGROUNDS if name]
        captions += [caption(concept.name, style=style) for style in STYLES]
        if concept.recolour:
            captions += [caption(concept.name, colour) for colour in HUES]
    return captions


def emoji_words(packages):
    words = []
    for entry in json.loads((packages / "emojibase-data/en/data.json").read_text(encoding="utf-8")):
        words += [entry["label"], *entry.get("tags", [])]
    for keywords in json.loads((packages / "emojilib/dist/emoji-en-US.json").read_text(encoding="utf-8")).values():
        words += [keyword.replace("_", " ") for keyword in keywords]
    return words


def count_words(packages):
    """How often each piece of the texts occurs, in byte letters."""
    cutter = with_pieces(Tokenizer(models.BPE()))
    counts = Counter()
    for weight, texts in ((10, all_captions()), (1, emoji_words(packages)), (50, USUAL_WORDS)):
        for text in texts:
            pieces = cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(text))
            counts.update({piece: weight * n for piece, n in Counter(piece for piece, _ in pieces).items()})
    return counts


def learn_merges(counts, entries):
    """Join the most frequent pair of neighbours again and again, until `entries` is full.

    Written out here since the trainer in `tokenizers` breaks ties differently each time; here the first in the alphabet wins.
    """
    words = [([*word[:-1], word[-1] + "</w>"], n) for word, n in sorted(counts.items())]
    frequencies, where = Counter(), {}
    for number, (parts, n) in enumerate(words):
        for pair in zip(parts, parts[1:]):
            frequencies[pair] += n
            where.setdefault(pair, set()).add(number)
    known, merges = set(entries), []
    while len(entries) < VOCABULARY - 2:
        pair = min(frequencies, key=lambda pair: (-frequencies[pair], pair))
        joined = pair[0] + pair[1]
        for number in sorted(where[pair]):
            parts, n = words[number]
            for old in zip(parts, parts[1:]):
                frequencies[old] -= n
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == pair:
                    parts[i : i + 2] = [joined]
                i += 1
            for new in zip(parts, parts[1:]):
                frequencies[new] += n
                where.setdefault(new, set()).add(number)
        del frequencies[pair]
        merges.append(pair)
        if joined not in known:
            known.add(joined)
            entries.append(joined)
    return merges


def learn(packages):
    # CLIP's order: bytes, bytes at the end of a word, merges, the two marks.
    letters = byte_letters()
    entries = letters + [letter + "</w>" for letter in letters]
    merges = learn_merges(count_words(packages), entries)
    entries += [START, END]
    numbers = {entry: number for number, entry in enumerate(entries)}
    tokenizer = with_pieces(
        Tokenizer(
            models.BPE(vocab=numbers, merges=merges, end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token=END)
        )
    )
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, numbers[START]), (END, numbers[END])]
    )
    return tokenizer


def token_numbers(tokenizer, text):
    """The 77 numbers of a caption, padded with the end mark."""
    end = tokenizer.token_to_id(END)
    numbers = tokenizer.encode(text).ids
    if len(numbers) > TOKENS:
        numbers = numbers[: TOKENS - 1] + [end]
    return numbers + [end] * (TOKENS - len(numbers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    arguments = parser.parse_args()
    made = learn(Path(__file__).parent / "node_modules")
    Path(arguments.work).mkdir(parents=True, exist_ok=True)
    made.save(str(Path(arguments.work) / "tokenizer.json"))
    print(f"tokenizer.json: {made.get_vocab_size()} entries")
