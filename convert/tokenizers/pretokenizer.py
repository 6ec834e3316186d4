"""How a byte-level BPE cuts text into words before merging: recognised by definition, not by trying it out.

llama.cpp's "bloom" cuts with the expression ` ?[^(\\s|.,!?…。，、।۔،)]+`. A file may spell the same set of
characters differently (BLOOM's own nests one class in another), so the sets are compared, not the texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, UnsupportedTokenizer

WHITESPACE = "\\s"
BLOOM_STOPS = frozenset("(|.,!?…。，、।۔،)") | {WHITESPACE}
"""Characters that end a word, kept apart from it."""


def _byte_alphabet() -> tuple[str, ...]:
    """GPT-2's printable stand-in for each byte."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in plain else chr(next(others)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()


def pre_tokenizer_name(path: Path, part: Any) -> str:
    """GGUF's name for the `pre_tokenizer` of a tokenizer.json; raises `UnsupportedTokenizer`."""
    steps = list_steps(path, part, "pretokenizers")
    kinds = [str(step.get("type"))[:40] for step in steps[:8]]
    if kinds != ["Split", "ByteLevel"]:
        raise UnsupportedTokenizer(path, "pre_tokenizer " + ", ".join(kinds))
    split, byte_level = steps
    pattern = split.get("pattern")
    expression = pattern.get("Regex") if isinstance(pattern, dict) else None
    if not isinstance(expression, str) or len(expression) > 200:
        raise UnsupportedTokenizer(path, "pre_tokenizer Split without a short expression")
    if split.get("behavior") != "Isolated" or split.get("invert"):
        raise UnsupportedTokenizer(path, "pre_tokenizer Split is not isolated")
    if byte_level.get("add_prefix_space", True) or byte_level.get("use_regex", True):
        raise UnsupportedTokenizer(path, "pre_tokenizer ByteLevel with a prefix space or a cut of its own")
    if word_stops(expression) != BLOOM_STOPS:
        raise UnsupportedTokenizer(path, f"pre_tokenizer expression {expression[:80]}")
    return "bloom"


def word_stops(expression: str) -> frozenset[str] | None:
    """The characters excluded by an expression of the form ` ?[^…]+`; None for any other form.

    Nested classes are unions, as in Oniguruma, the engine of the tokenizers library.
    """
    start, end = " ?[^", "]+"
    if not expression.startswith(start) or not expression.endswith(end):
        return None
    stops: set[str] = set()
    depth = 0
    body = iter(expression[len(start) : -len(end)])
    for char in body:
        if char == "\\":
            escaped = next(body, "")
            if escaped.isalnum() and escaped != "s" or not escaped:
                return None
            stops.add(WHITESPACE if escaped == "s" else escaped)
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
        elif char in "-^&:":
            return None
        else:
            stops.add(char)
        if depth < 0:
            return None
    return frozenset(stops) if depth == 0 else None


def list_steps(path: Path, part: Any, key: str, depth: int = 0) -> list[dict[str, Any]]:
    """The steps of a part of tokenizer.json: none, one, or a `Sequence` with its list under `key`."""
    if part is None:
        return []
    if not isinstance(part, dict) or depth > 4:
        raise DamagedFile(path, f"{key} is not an object")
    if part.get("type") != "Sequence":
        return [part]
    steps = part.get(key)
    if not isinstance(steps, list):
        raise DamagedFile(path, f"{key} is not a list")
    return [inner for step in steps for inner in list_steps(path, step, key, depth + 1)]
