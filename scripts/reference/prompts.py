"""What prompts mean to AUTOMATIC1111 and to ComfyUI, written down independently of both and of the engine: the
definitions below follow the observed behaviour, not the programs' code, and have no care for speed.

The results were compared once with those of AUTOMATIC1111's own parser for 10,000 random prompts: equal, except where
its own result changes with Python's hash seed (a schedule directly before a stray bracket or colon)."""

import re
from functools import lru_cache

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Unreadable(Exception):
    pass


def grammar(text):
    """The text as a list of strings and of tuples: ("alternate", parts) or ("scheduled", before, after, when)."""

    def plain(at):
        """Behind the plain characters at a place."""
        while at < len(text) and text[at] not in "[]():|":
            if text[at] == "\\":
                if at + 1 == len(text) or text[at + 1] == "\n":
                    raise Unreadable
                at += 1
            at += 1
        return at

    @lru_cache(None)
    def prompt(at):
        """A sequence of plain text and whole brackets: its end, and what it is."""
        items = []
        while True:
            end = plain(at)
            if end > at:
                items.append(text[at:end])
                at = end
            found = bracket(at) if at < len(text) and text[at] in "[(" else None
            if found is None:
                return at, items
            at, more = found
            items += more

    @lru_cache(None)
    def bracket(at):
        """A whole bracket: its end and what it is, or None."""
        parts, separators, end = [], [], at
        while end == at or text[end] in ":|":
            if end > at:
                separators.append(text[end])
            end, items = prompt(end + 1)
            parts.append((text[end - sum(map(len, items)) : end] if all(isinstance(i, str) for i in items) else None, items))
            if end == len(text):
                return None
        kind, marks = text[at] + text[end], "".join(separators)
        lists = [items for _, items in parts]
        if kind == "[]" and marks and set(marks) == {"|"}:
            return end + 1, [("alternate", lists)]
        last = parts[-1][0]
        if kind == "[]" and marks in (":", "::") and last is not None and NUMBER.fullmatch(last.strip()):
            before = lists[0] if marks == "::" else []
            return end + 1, [("scheduled", before, lists[-2], last.strip())]
        if kind == "[]" and marks == "" or kind == "()" and marks == "":
            return end + 1, [text[at], *lists[0], text[end]]
        if kind == "()" and marks == ":":
            return end + 1, ["(", *lists[0], ":", *lists[1], ")"]
        return None

    items, at = [], 0
    while at < len(text):
        at, more = prompt(at)
        items += more
        if at < len(text):
            if text[at] == "|":
                raise Unreadable
            items.append(text[at])
            at += 1
    return items


def schedule(text, steps, first=None):
    """[[last call, text]]; `first` is the number of calls in the pass before."""
    try:
        items = grammar(text)
    except Unreadable:
        return [[steps, text]]
    ends = {steps}

    def last(when):
        value = float(when)
        if first is not None:
            value = (value - 1) * steps if "." in when else value - first
        elif "." in when:
            value *= steps
        return min(steps, int(value))

    def collect(items):
        for item in items:
            if item[0] == "alternate":
                ends.update(range(1, steps + 1))
                for part in item[1]:
                    collect(part)
            elif item[0] == "scheduled":
                ends.add(last(item[3]))
                collect(item[1])
                collect(item[2])

    def say(items, call):
        words = ""
        for item in items:
            if isinstance(item, str):
                words += item
            elif item[0] == "alternate":
                words += say(item[1][(call - 1) % len(item[1])], call)
            else:
                words += say(item[1] if call <= last(item[3]) else item[2], call)
        return words

    collect([item for item in items if not isinstance(item, str)])
    return [[end, say(items, end)] for end in sorted(ends) if end >= 1 or end == steps]


def networks(text):
    """The prompt without its tags, and [kind, arguments] of each."""
    found = []
    rest = re.sub(r"<(\w+):([^>]+)>", lambda m: found.append([m[1], m[2]]) or "", text)
    return rest, found


def parts(text):
    """[[text, weight]] of what AND separates."""
    found = []
    for part in re.split(r"\bAND\b", text):
        match = re.fullmatch(r"(.*?)\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*", part, re.S)
        found.append([match[1], float(match[2])] if match else [part.rstrip(), 1.0])
    return found


BREAK = object()


def pieces(text):
    """[[text, weight]] with weights in brackets. A BREAK has the weight -1 times those of the brackets around it."""
    pieces, open_ = [], {"(": [], "[": []}

    def close(kind, factor, token):
        if not open_[kind]:
            pieces.append([token, 1.0])
            return
        for piece in pieces[open_[kind].pop() :]:
            piece[1] *= factor

    at = 0
    while at < len(text):
        rest = text[at:]
        weight = re.match(r":\s*([+-]?[.0-9]+)\s*\)", rest)
        if weight and not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", weight[1]):
            weight = None
        token = rest[0]
        if token == "\\":
            escaped = rest[1:2] if rest[1:2] and rest[1:2] in "()[]\\" else ""
            pieces.append([escaped, 1.0])
            token += escaped
        elif token in "([":
            open_[token].append(len(pieces))
        elif token in ")]":
            close("(" if token == ")" else "[", 1.1 if token == ")" else 1 / 1.1, token)
        elif weight:
            token = weight[0]
            close("(", float(weight[1]), token)
        elif token == ":":
            pieces.append([token, 1.0])
        else:
            token = re.match(r"[^\\()\[\]:]+", rest)[0]
            words = re.split(r"(\s*\bBREAK\b\s*)", token)
            pieces += [["BREAK", -1.0] if i % 2 else [word, 1.0] for i, word in enumerate(words)]
        at += len(token)
    for kind, factor in (("(", 1.1), ("[", 1 / 1.1)):
        while open_[kind]:
            start = open_[kind].pop(0)
            for piece in pieces[start:]:
                piece[1] *= factor
    merged = []
    for words, weight in pieces:
        if merged and merged[-1][1] == weight:
            merged[-1][0] += words
        else:
            merged.append([words, weight])
    return merged or [["", 1.0]]


def comfy_pieces(text):
    """[[text, weight]] with parentheses only."""
    hidden = text.replace(r"\)", "\uE000").replace(r"\(", "\uE001")
    return [[w.replace("\uE000", ")").replace("\uE001", "("), weight] for w, weight in comfy_weights(hidden, 1.0)]


def comfy_weights(text, weight):
    cuts, depth = [0], 0
    for at, character in enumerate(text):
        if character == "(":
            cuts += [at] if depth == 0 else []
            depth += 1
        elif character == ")":
            depth -= 1
            cuts += [at + 1] if depth == 0 else []
    result = []
    for start, end in zip(cuts, cuts[1:] + [len(text)]):
        part = text[start:end]
        if len(part) >= 2 and part[0] == "(" and part[-1] == ")":
            inner, own = part[1:-1], weight * 1.1
            words, colon, number = inner.rpartition(":")
            if words and colon:
                try:
                    inner, own = (words, float(number))
                except ValueError:
                    pass
            result += comfy_weights(inner, own)
        elif part:
            result.append([part, weight])
    return result


def webui_chunks(pieces, tokenize, vectors, start, end, comma):
    """[(ids, weights, [(place, name, first row)])] of 77 each. `vectors`: {name: number of vectors}."""
    names = sorted(((tokenize(name), name) for name in vectors), key=lambda pair: -len(pair[0]))
    chunks, words, fixes, last_comma = [], [], [], None

    def finish():
        nonlocal words, fixes, last_comma
        ids = [start] + [word for word, _ in words]
        weights = [1.0] + [weight for _, weight in words]
        chunks.append((ids + [end] * (77 - len(ids)), weights + [1.0] * (77 - len(weights)), fixes))
        words, fixes, last_comma = [], [], None

    for text, weight in pieces:
        if text == "BREAK" and weight == -1:
            finish()
            continue
        ids = tokenize(text)
        while ids:
            if ids[0] == comma:
                last_comma = len(words)
            elif len(words) == 75 and last_comma is not None and 75 - last_comma <= 20:
                words, moved = words[: last_comma + 1], words[last_comma + 1 :]
                finish()
                words = moved
            if len(words) == 75:
                finish()
            found = next(((own, name) for own, name in names if ids[: len(own)] == own), None)
            if found is None:
                words.append((ids.pop(0), weight))
                continue
            own, name = found
            if len(words) + vectors[name] > 75:
                finish()
            fixes.append((len(words) + 1, name, 0))
            words += [(0, weight)] * vectors[name]
            ids = ids[len(own) :]
    if words or not chunks:
        finish()
    return chunks


def comfy_chunks(pieces, tokenize, vectors, start, end):
    """The same as ComfyUI cuts."""
    groups = []
    for text, weight in pieces:
        for stretch in re.split(r"(?<=\s)(?=embedding:)", text):
            called = re.match(r"embedding:([^\s<\[]*)", stretch)
            if called:
                name = called[1].strip(",")
                stretch = called[1][len(called[1].rstrip(",")) :] + " " + stretch[called.end() :]
                if name in vectors:
                    groups.append([((0, name, row), weight) for row in range(vectors[name])])
            groups.append([((token, None, 0), weight) for token in tokenize(stretch)])
    chunks = [[]]
    for group in groups:
        long = len(group) >= 8
        while group:
            room = 75 - len(chunks[-1])
            if len(group) <= room:
                chunks[-1] += group
                break
            if long:
                chunks[-1] += group[:room]
                group = group[room:]
            chunks.append([])
    result = []
    for words in chunks:
        ids = [start] + [token for (token, _, _), _ in words]
        weights = [1.0] + [weight for _, weight in words]
        fixes = []
        for place, ((_, name, row), _) in enumerate(words, 1):
            starts = name is not None and (row == 0 or place == 1)
            fixes += [(place, name, row)] if starts else []
        result.append((ids + [end] * (77 - len(ids)), weights + [1.0] * (77 - len(weights)), fixes))
    return result
