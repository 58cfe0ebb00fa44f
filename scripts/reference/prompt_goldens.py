"""Golden files of prompts: what the grammars read, how chunks are cut, what weights do to hidden states."""

import json

import prompts

STEPS, SECOND = 12, 6
# Embeddings that prompts may name: how many vectors each has.
VECTORS = {"easy": 3, "easy negative": 9, "bad-hands": 4, "long one": 40, "full": 75}
LONG = ", ".join(f"a red car number {i} in the rain" for i in range(25))
WORDS = " ".join(["apple"] * 70)

PROMPTS = [
    "",
    " ",
    "a banana",
    "A  Banana,\nripe\t",
    "normal text",
    "an (important) word",
    "(unbalanced",
    "unbalanced)",
    "[unbalanced",
    "unbalanced]",
    "([mixed)]",
    r"\(literal\] \\ \[x\) \a \:",
    "trailing backslash \\",
    "(unnecessary)(parens)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
    "((((deep)))) [[[[shallow]]]]",
    "(a:1.5) (b: -0.5 ) (c:+2) (d:.5) (e:0)",
    "(a:) (b:x) (c:1.2.3) (d:.) (e:1,2)",
    "a:b outside, 16:9, 4:3 b",
    "widescreen 16:9",
    "(a:b) (a:b:1.2) a:1.2) :1.2)",
    "() [] (()) ([])",
    "[a:b:0.5] c",
    "a [b:3]",
    "a [b: 3 ] [c: :0.25]",
    "a [b::4] c",
    "a [b : c : 1] d",
    "a[b:[c:d:2]:1]e",
    "a [[[b]]:2]",
    "[(a:2):3]",
    "[a:b:1.0] [c:d:1.] [e:f:0] [g:h:-1] [i:j:0.0] [k:l:99]",
    "[a:b:1.5] [c:d:15] [e:f:1e0] [g:h:1.5e-1]",
    "[a:b:x] [a:b] [a:b:c:3] [:] [::] [:3] [::3]",
    "((a][:b:c [d:3]",
    "[a|b]",
    "[a|b|c] d",
    "[fe|]male",
    "[fe|||]male",
    "[a|(b:1.1)] [c|[d:e:0.5]]",
    "[a|b:3] x",
    "a | b [c:d:3]",
    "[a [b:c:3] d:x:4] [y:z:9]",
    "[before:after:0.5 [stray",
    "a cat AND a dog",
    "a cat :1.2 AND a dog:0.5 AND a [bird:fish:3] : -.25",
    "AND",
    "ANDROID BAND AND, and AND",
    "a BREAK b",
    "BREAK BREAK a, BREAK",
    "BREAKING a_BREAK (b BREAK c) [BREAK]",
    "(a BREAK b:-1) (BREAK:-1)",
    "<lora:detail:0.8> a cat <lora:style:0.5:1><lyco:x>",
    "a <b> < c:d> <wildcard:x> <hypernet:y:1> <lora:z:much>",
    "(<lora:a:1> cat:1.2), {prompt} & #hash {a|b",
    "naïve ÉCOLE (une pomme:1.2), 一只(香蕉), 🍌[🍎]",
    "(a\n(b:1.2)\nc) [d\n:e\n:\n3\n]",
    LONG,
    f"({LONG}:1.2), (end:0.8)",
    f"{WORDS}, one two three, four five six seven eight nine ten eleven twelve",
    " ".join(["apple"] * 200),
    f"{WORDS} BREAK {WORDS} (x:1.3)",
    "a cat, easy, dog",
    "(easy negative:1.2), bad-hands, (easy:0.7)",
    f"{WORDS}, easy negative, b",
    f"{WORDS}, easy, pear pear pear",
    f"{WORDS}, pear easy pear pear",
    "full, a, long one, b, long one",
    "embedding:easy (embedding:bad-hands:1.2), embedding:easy, x",
    "a embedding:none, b embedding:easy<c xembedding:easy",
    f"{WORDS} (six more words in one piece:1.2) b",
    f"{WORDS} (nine more words in one piece of one weight:1.2) b",
]


def runs(weights):
    """Weights as [weight, how often in a row]."""
    result = []
    for weight in weights:
        if result and result[-1][0] == weight:
            result[-1][1] += 1
        else:
            result.append([weight, 1])
    return result


def chunks(cut):
    """Chunks without the padding at their ends."""
    result = []
    for ids, weights, vectors in cut:
        used = len(ids)
        while used > 1 and ids[used - 2] == ids[-1]:
            used -= 1
        result.append({"ids": ids[:used], "weights": runs(weights), "vectors": [[at, name] for at, name, _ in vectors]})
    return result


def cut(prompt, tokenize, start, end, comma):
    """The chunks of a text in both grammars."""
    webui = prompts.webui_chunks(prompts.pieces(prompt), tokenize, VECTORS, start, end, comma)
    comfy = prompts.comfy_chunks(prompts.comfy_pieces(prompt), tokenize, VECTORS, start, end)
    return webui, comfy


def row(prompt, tokenize, start, end, comma):
    text, tags = prompts.networks(prompt)
    parts = prompts.parts(text)
    first = prompts.schedule(parts[0][0], STEPS)
    webui, _ = cut(first[0][1], tokenize, start, end, comma)
    _, comfy = cut(prompt, tokenize, start, end, comma)
    return {
        "prompt": prompt,
        "text": text,
        "tags": tags,
        "parts": parts,
        "schedules": [prompts.schedule(part, STEPS) for part, _ in parts],
        "second": [prompts.schedule(part, SECOND, STEPS) for part, _ in parts],
        "pieces": prompts.pieces(text),
        "comfy": prompts.comfy_pieces(prompt),
        "webui_chunks": chunks(webui),
        "comfy_chunks": chunks(comfy),
    }


def write(file, tokenize, start, end, comma):
    rows = [row(prompt, tokenize, start, end, comma) for prompt in PROMPTS]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{file.name}: {len(rows)} prompts, {file.stat().st_size} bytes")
