"""The values that makers published for their model families, and which of them are meant for a model.

The caller hands in the JSON text. A family is recognised by its architecture and by all words of the names in
the header: a word that is neither the family's nor a size, a date or a type of numbers is another maker's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.gguf_header import GgufHeader
from engine.models.errors import CatalogInvalid
from engine.partial_sampling import NOTHING, PartialSampling, check_partial
from engine.typed_json import JsonMismatch, from_json, parse_json

VERSION = 1

_NAME_KEYS = ("general.name", "general.basename")
_MORE_KEYS = ("general.finetune", "general.size_label")
_VERSION_KEY = "general.version"

_VERSION = re.compile(r"v?\d+(\.\d+)*")
# What files of one model are told apart by: sizes (8b, a3b, 8x7b), context lengths, dates, and containers.
_PLAIN = re.compile(r"([ae]|\d+x)?\d+(\.\d+)?[bmt]|\d+k|\d{4}|\d{6}|\d{8}|gguf|hf")
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])(i?q\d([_-](k|[01]|xxs|xs|s|m|l|xl|nl))*|tq\d_0|mxfp4([_-]moe)?|nvfp4|b?f16|fp16|f32|fp8"
    r"|int[48]|[48]bit|bnb|awq|gptq|qat|unquantized|imatrix)(?![a-z0-9])"
)


@dataclass(frozen=True, slots=True)
class Family:
    """Models with one set of values.

    architectures: any of these. begins: every name begins with one of these. has, may, lacks: words that the
    names have, all of them, may have, or have none of. source: the address of the page that says so. values:
    while the model thinks, or at all; without_thought: in its place while it does not think.
    """

    id: str
    architectures: tuple[str, ...]
    begins: tuple[str, ...]
    source: str
    values: PartialSampling
    without_thought: PartialSampling | None = None
    has: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def is_meant(self, header: GgufHeader) -> bool:
        """Whether the header is one of this family's."""
        if header.architecture not in self.architectures:
            return False
        names = [words for key in _NAME_KEYS if (words := _words(header.text(key)))]
        if not names or not all(self._n_begin(name) for name in names):
            return False
        more = [_words(header.text(key)) for key in _MORE_KEYS]
        version = _words(header.text(_VERSION_KEY))
        further = {word for words in (*names, *more) for word in words[self._n_begin(words) :]}
        further |= {word for word in version if not _VERSION.fullmatch(word)}
        found = further.union(version)
        is_known = all(_PLAIN.fullmatch(word) or word in (*self.has, *self.may) for word in further)
        return is_known and found.issuperset(self.has) and found.isdisjoint(self.lacks)

    def _n_begin(self, words: Sequence[str]) -> int:
        """With how many words of the family's name these begin."""
        starts = map(_words, self.begins)
        return max((len(start) for start in starts if tuple(words[: len(start)]) == start), default=0)


@dataclass(frozen=True, slots=True)
class PublishedSampling:
    """All families; the first that is meant counts."""

    version: int
    families: tuple[Family, ...]

    def find(self, header: GgufHeader) -> Family | None:
        """The family of a model; None where nothing was published, or nothing is known of it."""
        return next((family for family in self.families if family.is_meant(header)), None)


def parse_published(text: str) -> PublishedSampling:
    """Read the file's text. Raises CatalogInvalid, and InvalidSampling for values out of their range."""
    try:
        published = from_json(PublishedSampling, parse_json(text))
    except JsonMismatch as error:
        raise CatalogInvalid(error.location, error.expected) from error
    except ValueError as error:
        raise CatalogInvalid("", f"JSON ({error})") from error
    if published.version != VERSION:
        raise CatalogInvalid("version", str(VERSION))
    for family in published.families:
        check_partial(family.values)
        check_partial(family.without_thought or NOTHING)
    return published


def _words(name: str | None) -> tuple[str, ...]:
    """Lower-case words of a name: `Qwen3-4B-Instruct-Q4_0` is `qwen3`, `4b`, `instruct`."""
    return tuple(re.findall(r"[^\s_/:-]+", _QUANTIZATION.sub(" ", (name or "").lower())))
