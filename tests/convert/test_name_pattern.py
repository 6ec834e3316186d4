"""Patterns matched as PEFT matches them, with Python's own regular expressions as oracle."""

from __future__ import annotations

import random
import re

import pytest

from convert.sources.name_pattern import MAX_PATTERN_LENGTH, NamePattern

NAMES = (
    "model.layers.0.self_attn.q_proj",
    "model.layers.11.mlp.down_proj",
    "lm_head",
    "proj",
    "a.b.",
    "",
    ".",
)
ATOMS = ("a", "b", r"\.", ".", r"\d", "[ab]", "[^a]", "[]a]", "[0-9]", "1", "^", "$")
ENDS = ("*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "+?")


def peft_matches(pattern: str, name: str) -> bool:
    """`get_pattern_key` of PEFT's `utils/other.py`."""
    return re.match(rf"(.*\.)?({pattern})$", name) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "q_proj",
        "proj",
        "self_attn.q_proj",
        r"model\.layers\.0\.self_attn\.q_proj",
        r"^model\.layers\.(0|11)\..*",
        r"layers\.\d+\.(?:self_attn|mlp)\..*_proj",
        ".*_proj",
        ".*",
        "",
        "q_proj|lm_head",
        r"layers.[0-9]{2}.mlp.\w+",
        "lm_hea[c-e]$",
        r"(.*\.)?down_proj",
    ],
)
def test_patterns_of_adapters(pattern: str) -> None:
    parsed = NamePattern.parse(pattern)
    for name in NAMES:
        assert parsed.matches(name) == peft_matches(pattern, name), name


def make_pattern(source: random.Random, depth: int = 0) -> str:
    kind = source.random()
    if depth > 2 or kind < 0.5:
        return source.choice(ATOMS)
    if kind < 0.65:
        return make_pattern(source, depth + 1) + make_pattern(source, depth + 1)
    inner = make_pattern(source, depth + 1)
    if kind < 0.8:
        return f"({inner}|{make_pattern(source, depth + 1)})"
    return f"(?:{inner}){source.choice(ENDS)}"


def test_any_pattern_matches_what_it_matches_in_python() -> None:
    source = random.Random(1)
    n_matches = 0
    for _ in range(1500):
        pattern = "".join(make_pattern(source) for _ in range(source.randint(1, 3)))
        parsed = NamePattern.parse(pattern)
        for _ in range(6):
            name = "".join(source.choice("ab.1") for _ in range(source.randint(0, 5)))
            expected = peft_matches(pattern, name)
            assert parsed.matches(name) == expected, (pattern, name)
            n_matches += expected
    assert n_matches > 1000


def test_what_would_take_python_years_is_matched_at_once() -> None:
    name = "a" * 400 + "b"
    for pattern in ("(a+)+", "(a|a)*", "(.*)*(.*)*x", "(a?){30}a{30}"):
        assert not NamePattern.parse(pattern).matches(name)
    assert NamePattern.parse("((a+)+)+b").matches(name)


NO_PATTERNS = ("(a", "a)", "[a", "*a", "a**", "a{2}{3}", "a{3,2}", "a{x}")
NOT_KNOWN = ("(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", r"\bq", "a*+")
TOO_MUCH = ("((a{999}){999}){999}", "(" * 30 + ")" * 30, "a" * (MAX_PATTERN_LENGTH + 1))


@pytest.mark.parametrize("pattern", [*NO_PATTERNS, *NOT_KNOWN, *TOO_MUCH])
def test_what_is_no_pattern_or_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="^"):
        NamePattern.parse(pattern)
