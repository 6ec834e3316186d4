"""How a tokenizer.json of LLaMA's kind writes spaces: as `▁`, with one put before a text, or before none.

Two forms: a normalizer that prepends and replaces, or the pre-tokenizer `Metaspace`. llama.cpp knows one
switch: a space before every text and after every control token, or never.
Format: huggingface.co/docs/tokenizers, `Prepend`, `Replace`, `Metaspace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convert.errors import UnsupportedTokenizer
from convert.notes import Note
from convert.tokenizers.pretokenizer import list_steps
from convert.tokenizers.vocabulary import SPACE_MARK

FIRST_ONLY = Note("tokenizer_space_first")
"""For an original that puts a space before the first text only."""

Prefix = Literal["always", "first", "never"]
_PREFIXES: dict[Any, Prefix] = {"always": "always", "first": "first", "never": "never"}


@dataclass(frozen=True)
class Spaces:
    """prefix: which of the texts between added tokens get a space before them; `first` is the one with which
    all begins. doubles: also one that begins with a space. splits: no token goes across a space.
    is_normalizer: added tokens that are `normalized` are looked for after this.
    """

    prefix: Prefix
    doubles: bool
    splits: bool
    is_normalizer: bool

    def notes(self) -> list[Note]:
        """What llama.cpp's one switch can not say."""
        if self.prefix == "never" or self.doubles:
            return []
        return [FIRST_ONLY if self.prefix == "first" else Note("tokenizer_space_once")]


def read_spaces(path: Path, root: Mapping[str, Any]) -> Spaces:
    """From the parts of a tokenizer.json; raises `UnsupportedTokenizer` naming the part, or `InvalidFile`."""
    normalizer = _read_normalizer(path, root.get("normalizer"))
    steps = list_steps(path, root.get("pre_tokenizer"), "pretokenizers")
    if not steps:
        if normalizer is None:
            raise UnsupportedTokenizer(path, "no part that writes spaces as ▁")
        return normalizer
    if len(steps) > 1 or steps[0].get("type") != "Metaspace" or normalizer is not None:
        raise UnsupportedTokenizer(path, "pre_tokenizer " + _names(steps))
    return _read_metaspace(path, steps[0])


def prefixes_first_only(path: Path, root: Mapping[str, Any]) -> bool:
    """Whether the space comes before the first text alone, whatever else the file says of spaces."""
    steps = list_steps(path, root.get("pre_tokenizer"), "pretokenizers")
    return any(step.get("prepend_scheme") == "first" for step in steps)


def check_decoder(path: Path, root: Mapping[str, Any]) -> None:
    """Raises `UnsupportedTokenizer` for a decoder that does more than llama.cpp: spaces and bytes back."""
    for step in list_steps(path, root.get("decoder"), "decoders"):
        kind = step.get("type")
        is_known = kind in ("ByteFallback", "Fuse", "Metaspace") or _replaces(step, SPACE_MARK, " ")
        if not is_known and (kind != "Strip" or step.get("content") != " "):
            raise UnsupportedTokenizer(path, f"decoder {str(kind)[:40]}")


def _read_normalizer(path: Path, part: Any) -> Spaces | None:
    steps = list_steps(path, part, "normalizers")
    if not steps:
        return None
    *before, last = steps
    if not _replaces(last, " ", SPACE_MARK) or len(before) > 1:
        raise UnsupportedTokenizer(path, "normalizer " + _names(steps))
    if not before:
        return Spaces("never", doubles=False, splits=False, is_normalizer=True)
    if before[0].get("type") != "Prepend" or before[0].get("prepend") not in (SPACE_MARK, " "):
        raise UnsupportedTokenizer(path, "normalizer " + _names(steps))
    return Spaces("always", doubles=True, splits=False, is_normalizer=True)


def _read_metaspace(path: Path, step: Mapping[str, Any]) -> Spaces:
    """Files of older versions have `add_prefix_space` alone, and split always."""
    if step.get("replacement") != SPACE_MARK:
        raise UnsupportedTokenizer(path, "pre_tokenizer Metaspace with a sign of its own")
    default = "never" if step.get("add_prefix_space") is False else "always"
    prefix = _PREFIXES.get(str(step.get("prepend_scheme", default)))
    if prefix is None:
        raise UnsupportedTokenizer(path, "pre_tokenizer Metaspace prepend_scheme")
    return Spaces(prefix, doubles=False, splits=step.get("split") is not False, is_normalizer=False)


def _replaces(step: Mapping[str, Any], old: str, new: str) -> bool:
    return (
        step.get("type") == "Replace"
        and step.get("pattern") == {"String": old}
        and step.get("content") == new
    )


def _names(steps: list[dict[str, Any]]) -> str:
    return ", ".join(str(step.get("type"))[:40] for step in steps[:8])
