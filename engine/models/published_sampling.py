"""The values that makers published for their model families, and which of them are meant for a model.

The caller hands in the JSON text. A family is recognised by its architecture and by whole words of the
names in the header, so that a model nobody published anything for is not taken for another one.
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
_MORE_KEYS = ("general.finetune", "general.version", "general.size_label")


@dataclass(frozen=True, slots=True)
class Family:
    """Models with one set of values.

    architectures: any of these. begins: one of the names begins with one of these. has, lacks: words that the
    names have, all of them, or have none of. source: the address of the page that says so. values: while the
    model thinks, or at all; without_thought: in its place while it does not think.
    """

    id: str
    architectures: tuple[str, ...]
    begins: tuple[str, ...]
    source: str
    values: PartialSampling
    without_thought: PartialSampling | None = None
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def is_meant(self, header: GgufHeader) -> bool:
        """Whether the header is one of this family's."""
        if header.architecture not in self.architectures:
            return False
        names = [_words(header.text(key) or "") for key in _NAME_KEYS]
        if not any(_begins(name, _words(start)) for name in names for start in self.begins):
            return False
        words = {word for name in names for word in name}
        words |= {word for key in _MORE_KEYS for word in _words(header.text(key) or "")}
        return words.issuperset(self.has) and words.isdisjoint(self.lacks)


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


def _words(name: str) -> tuple[str, ...]:
    """Lower-case words of a name: `Qwen3-4B-Instruct` is `qwen3`, `4b`, `instruct`."""
    return tuple(re.findall(r"[^\s_/:-]+", name.lower()))


def _begins(name: Sequence[str], start: Sequence[str]) -> bool:
    return bool(start) and tuple(name[: len(start)]) == tuple(start)
