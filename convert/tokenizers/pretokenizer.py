"""How a byte-level BPE cuts text into words before merging: recognised by definition, not by trying it out.

| name in GGUF | expression | a word that is a token stays whole |
|---|---|---|
| bloom | ` ?[^(\\s|.,!?…。，、।۔،)]+` | no |
| qwen2 | Qwen's: contractions, letters, single digits, signs, line ends, spaces | no |
| llama-bpe | Llama 3's: the same with up to three digits | yes |
| smaug-bpe | the same | no |

BLOOM files spell one set of characters differently (its own nests one class in another), so the sets are
compared, not the texts. Source: src/llama-vocab.cpp of llama.cpp, `llm_tokenizer_bpe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile, UnsupportedTokenizer

WHITESPACE = "\\s"
BLOOM_STOPS = frozenset("(|.,!?…。，、।۔،)") | {WHITESPACE}
"""Characters that end a word, kept apart from it."""


def _byte_alphabet() -> tuple[str, ...]:
    """GPT-2's printable stand-in for each byte."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in plain else chr(next(others)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()


def _words(digits: str) -> str:
    """The expression that Llama 3 and Qwen share but for their `digits`; it leaves no character out."""
    contractions = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    letters, signs = r"[^\r\n\p{L}\p{N}]?\p{L}+", r" ?[^\s\p{L}\p{N}]+[\r\n]*"
    return "|".join([contractions, letters, digits, signs, r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


LLAMA_3_WORDS = _words(r"\p{N}{1,3}")
QWEN_2_WORDS = _words(r"\p{N}")


@dataclass(frozen=True)
class PreTokenizer:
    """GGUF's name for one; keeping: the name where a word that is a token stays whole, if there is one."""

    merging: str
    keeping: str | None = None


def read_pre_tokenizer(path: Path, part: Any) -> PreTokenizer:
    """What the `pre_tokenizer` of a tokenizer.json is in GGUF; raises `UnsupportedTokenizer`."""
    expression = _read_expression(path, part)
    if expression == LLAMA_3_WORDS:
        return PreTokenizer("smaug-bpe", keeping="llama-bpe")
    if expression == QWEN_2_WORDS:
        return PreTokenizer("qwen2")
    if word_stops(expression) == BLOOM_STOPS:
        return PreTokenizer("bloom")
    raise UnsupportedTokenizer(path, f"pre_tokenizer expression {expression[:80]}")


def _read_expression(path: Path, part: Any) -> str:
    """The one expression that cuts the text, all pieces being kept and nothing else cutting them."""
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
    return expression


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
        raise InvalidFile(path, f"{key} is not an object")
    if part.get("type") != "Sequence":
        return [part]
    steps = part.get(key)
    if not isinstance(steps, list):
        raise InvalidFile(path, f"{key} is not a list")
    return [inner for step in steps for inner in list_steps(path, step, key, depth + 1)]
