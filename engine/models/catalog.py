"""What models exist: the catalog that is shipped, and what a person added to it.

The caller hands in the catalog's JSON text. Everything in it is checked, and what is not known is None: a
size or a hash that is missing is for the hub to tell. Knows no network and nothing of this disk's models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.memory import Footprint
from engine.model_shape import ModelShape
from engine.models.errors import CatalogInvalid
from engine.typed_json import JsonMismatch, from_json, parse_json

VERSION = 1
_MAX_TEXT = 4 << 20

Form = Literal["hf", "gptq-pt", "xor-hf", "xor-gptq", "gguf", "private-container"]
Role = Literal["weights", "tokenizer", "config"]
Group = Literal["belle", "small"]


@dataclass(frozen=True, slots=True)
class Wording:
    """One text in both languages."""

    zh: str
    en: str

    def in_language(self, language: str) -> str:
        """The Chinese text for any `zh...`, else the English one."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file of a repository. size_bytes: exact; about_bytes: as its page shows it, rounded.

    sha256: hexadecimal; plain_sha256: of an encrypted file after decryption. variant: files of one variant
    belong together, and one variant is enough; "" belongs to all.
    """

    name: str
    role: Role
    size_bytes: int | None = None
    about_bytes: int | None = None
    sha256: str | None = None
    plain_sha256: str | None = None
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a person must have besides: `name` is a file (a key), or a repository (a tokenizer's)."""

    kind: Literal["key", "tokenizer"]
    name: str


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The same files elsewhere. modelscope: "owner/name@revision"."""

    modelscope: str | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model family's dimensions.

    n_kv_heads, head_width: of keys and values; None is as many heads as there are for queries, and the
    embedding's share of each. has_merges: byte-level BPE, with about as many merges as tokens. is_tied: the
    output is the embedding once more. gguf_bytes: the weights' size by quantization, as our converter's
    recipes make them; empty where the makers publish GGUF files themselves.
    """

    name: str
    n_parameters: int
    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_vocab: int
    context_tokens: int
    is_gated: bool
    has_merges: bool
    n_kv_heads: int | None = None
    head_width: int | None = None
    is_tied: bool = False
    gguf_bytes: Mapping[str, int] = field(default_factory=dict)

    def footprint(self, quantization: str) -> Footprint | None:
        """For the memory estimate; None for a quantization whose size is not known."""
        size_bytes = self.gguf_bytes.get(quantization)
        return self.footprint_of(size_bytes) if size_bytes is not None else None

    def footprint_of(self, weights_bytes: int) -> Footprint:
        """For the memory estimate, of weights that take so much."""
        shape = ModelShape(
            n_layers=self.n_layers,
            n_embd=self.n_embd,
            n_ff=self.n_ff,
            n_heads=self.n_heads,
            n_vocab=self.n_vocab,
            kv_width=2 * self.n_layers * (self.n_kv_heads or self.n_heads) * self._head_width,
            trained_context_tokens=self.context_tokens,
        )
        n_merges = self.n_vocab if self.has_merges else 0
        return Footprint(shape, weights_bytes, is_gated=self.is_gated, n_merges=n_merges)

    @property
    def _head_width(self) -> int:
        return self.head_width or self.n_embd // self.n_heads


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One published model, or one form of it.

    id: what a person types. repo: on the hub. architecture: None where it is not known. prompt_format: one of
    `engine.prompt.PROMPT_FORMATS`; prompt_verified: whether that was seen on the weights or their card.
    files: None where the list is not known. rank: lower is recommended first; None is not recommended.
    is_set: it is several models, each in a folder of the repository; which ones, the hub tells. group: BELLE
    itself, or the smaller and newer models of others that stand beside it.
    """

    id: str
    name: str
    repo: str
    family: str
    license: str
    form: Form
    prompt_format: str
    prompt_verified: bool
    about: Wording
    recommendation: Wording
    architecture: str | None = None
    files: tuple[CatalogFile, ...] | None = None
    needs: tuple[Requirement, ...] = ()
    mirrors: Mirrors = Mirrors()
    rank: int | None = None
    is_set: bool = False
    group: Group = "belle"

    @property
    def can_be_used(self) -> bool:
        """Whether ChatBELLE can turn it into something that runs."""
        return self.form != "private-container"

    @property
    def is_quantized(self) -> bool:
        """Whether its weights were published in blocks of few bits, to be kept as they are."""
        return self.form in ("gptq-pt", "xor-gptq")

    @property
    def variants(self) -> tuple[str, ...]:
        """What one can choose among, the recommended one first; ("",) where there is no choice."""
        found = [item.variant for item in self.files or () if item.role == "weights"]
        return tuple(dict.fromkeys(found)) or ("",)

    def variant_files(self, variant: str | None = None) -> tuple[CatalogFile, ...]:
        """The files of a variant, by default the recommended one, and those that belong to all."""
        wanted = ("", self.variants[0] if variant is None else variant)
        return tuple(item for item in self.files or () if item.variant in wanted)

    def about_bytes(self, variant: str | None = None) -> int | None:
        """Size of a variant's weights, rounded; None where it is not known."""
        weights = [item for item in self.variant_files(variant) if item.role == "weights"]
        sizes = [item.size_bytes or item.about_bytes for item in weights]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else None

    def file(self, name: str) -> CatalogFile | None:
        """The file of this name."""
        return next((item for item in self.files or () if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that is known to exist, in the order to show it."""

    models: tuple[CatalogModel, ...]
    architectures: Mapping[str, Architecture]

    def find(self, name: str) -> CatalogModel | None:
        """The model with this id, name or repository; upper and lower case don't matter."""
        wanted = name.casefold()
        for model in self.models:
            if wanted in (model.id.casefold(), model.name.casefold(), model.repo.casefold()):
                return model
        return None

    def search(self, query: str) -> tuple[CatalogModel, ...]:
        """Models in whose texts every word of `query` occurs."""
        words = query.casefold().split()
        return tuple(model for model in self.models if all(word in _haystack(model) for word in words))

    def architecture(self, model: CatalogModel) -> Architecture | None:
        """Its dimensions, where they are known."""
        return self.architectures.get(model.architecture) if model.architecture else None


@dataclass(frozen=True, slots=True)
class _Document:
    version: int
    models: tuple[CatalogModel, ...]


def parse_catalog(text: str) -> Catalog:
    """The catalog in a JSON text; raises CatalogInvalid, which names the place."""
    if len(text) > _MAX_TEXT:
        raise CatalogInvalid("", "less text")
    try:
        content = parse_json(text)
    except ValueError as error:
        raise CatalogInvalid("", f"JSON ({error})") from error
    try:
        document = from_json(_Document, content)
        architectures = _parse_architectures(content.get("architectures"))
    except JsonMismatch as error:
        raise CatalogInvalid(error.location, error.expected) from error
    if document.version != VERSION:
        raise CatalogInvalid("version", str(VERSION))
    _check(document.models, architectures)
    return Catalog(document.models, architectures)


def _parse_architectures(content: object) -> dict[str, Architecture]:
    if not isinstance(content, dict):
        raise JsonMismatch("architectures", "an object")
    parsed = {}
    for name, entry in content.items():
        location = f"architectures.{name}"
        if not isinstance(entry, dict):
            raise JsonMismatch(location, "an object")
        sizes = entry.get("gguf_bytes", {})
        if not isinstance(sizes, dict) or not all(type(size) is int and size > 0 for size in sizes.values()):
            raise JsonMismatch(f"{location}.gguf_bytes", "sizes by quantization")
        parsed[name] = _architecture(name, entry, sizes, location)
    return parsed


def _architecture(
    name: str, entry: Mapping[str, object], sizes: Mapping[str, int], location: str
) -> Architecture:
    numbers = from_json(_Dimensions, entry, location)
    return Architecture(
        name=name,
        n_parameters=numbers.n_parameters,
        n_layers=numbers.n_layers,
        n_embd=numbers.n_embd,
        n_ff=numbers.n_ff,
        n_heads=numbers.n_heads,
        n_vocab=numbers.n_vocab,
        context_tokens=numbers.context_tokens,
        is_gated=numbers.is_gated,
        has_merges=numbers.has_merges,
        n_kv_heads=numbers.n_kv_heads,
        head_width=numbers.head_width,
        is_tied=numbers.is_tied,
        gguf_bytes=dict(sizes),
    )


@dataclass(frozen=True, slots=True)
class _Dimensions:
    n_parameters: int
    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_vocab: int
    context_tokens: int
    is_gated: bool
    has_merges: bool
    n_kv_heads: int | None = None
    head_width: int | None = None
    is_tied: bool = False

    def __post_init__(self) -> None:
        counts = [self.n_parameters, self.n_layers, self.n_embd, self.n_ff, self.n_heads, self.n_vocab]
        counts += [count for count in (self.n_kv_heads, self.head_width) if count is not None]
        if min(*counts, self.context_tokens) < 1:
            raise JsonMismatch("architectures", "positive numbers")


def _check(models: tuple[CatalogModel, ...], architectures: Mapping[str, Architecture]) -> None:
    """What single values can't show."""
    seen: set[str] = set()
    for index, model in enumerate(models):
        location = f"models[{index}]"
        if not model.id or model.id.casefold() in seen:
            raise CatalogInvalid(f"{location}.id", "a name that no other model has")
        seen.add(model.id.casefold())
        if model.repo.count("/") != 1:
            raise CatalogInvalid(f"{location}.repo", "owner/name")
        if model.architecture is not None and model.architecture not in architectures:
            raise CatalogInvalid(f"{location}.architecture", "one of " + ", ".join(architectures))
        for number, item in enumerate(model.files or ()):
            _check_file(item, f"{location}.files[{number}]")


def _check_file(item: CatalogFile, location: str) -> None:
    if not item.name or item.name.startswith("/") or ".." in item.name.split("/") or "\\" in item.name:
        raise CatalogInvalid(f"{location}.name", "a path inside the repository")
    for size in (item.size_bytes, item.about_bytes):
        if size is not None and size < 1:
            raise CatalogInvalid(f"{location}.size_bytes", "a positive number")
    for digest in (item.sha256, item.plain_sha256):
        if digest is not None and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise CatalogInvalid(f"{location}.sha256", "64 hexadecimal digits")


def _haystack(model: CatalogModel) -> str:
    texts = (model.id, model.name, model.repo, model.family, model.license, model.about.zh, model.about.en)
    return " ".join(texts).casefold()
