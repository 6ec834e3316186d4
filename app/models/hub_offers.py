"""What can be had of a repository on a hub, told from the names of its files alone.

A GGUF is taken as it is; a checkpoint is converted while it comes. Asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from convert.arch import FAMILIES, Family
from convert.sources.weight_sets import complete_sets
from engine.models.endpoints import RemoteFile
from engine.models.hub import Repository, SearchResult
from engine.models.parts import PART

Kind = Literal["gguf", "checkpoint", "unknown"]

_GGUF = ".gguf"
_SHARDS = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)")
_SINGLE = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
_ENCRYPTED = re.compile(r"(?P<plain>.+)\.[0-9a-f]{64}\.enc")
_NOT_WEIGHTS = ("training_args.bin", "optimizer", "scheduler", "adapter_model", "adapter.", "rng_state")
# As people name what was quantized; a repository's header says for certain, once it is looked at.
_QUANTIZED = re.compile(
    r"(?<![a-z0-9])(gptq|awq|fp8|bnb|nf4|(int|w)[48](a(8|16))?)(?![a-z0-9])|\dbit|\d-bit", re.IGNORECASE
)
# By its `model_type`, and not another one whose name only contains that (qwen2_moe, llama4).
_TAGS = [(re.compile(rf"(?<![a-z]){family.model_type}(?![_\d])"), family) for family in FAMILIES]


@dataclass(frozen=True, slots=True)
class HubOffer:
    """One model of a repository.

    file: its path in `subfolder`, None for all that is there. label: for people. size_bytes: of all its
    files, None where the hub does not say. needs_key: it is encrypted. subfolder: of the repository, "" is
    its root.
    """

    kind: Literal["gguf", "checkpoint"]
    label: str
    file: str | None
    size_bytes: int | None
    n_files: int = 1
    needs_key: bool = False
    is_quantized: bool = False
    subfolder: str = ""

    @property
    def path(self) -> str:
        """Where it is in the repository, "" for the repository as a whole."""
        return "/".join(part for part in (self.subfolder, self.file) if part)


def repository_offers(repository: Repository) -> tuple[HubOffer, ...]:
    """What to choose among, GGUFs first; () where there is nothing that ChatBELLE reads."""
    return (*_ggufs(repository.files), *_checkpoints(repository))


def kind_of(result: SearchResult) -> Kind:
    """What a repository probably holds, from its tags."""
    tags = {tag.casefold() for tag in result.tags}
    if "gguf" in tags or "gguf" in result.name.casefold():
        return "gguf"
    return "checkpoint" if family_of(result) is not None else "unknown"


def family_of(result: SearchResult) -> Family | None:
    """The model family that its tags name, of those that can be converted."""
    tags = [tag.casefold() for tag in result.tags]
    return next((family for known, family in _TAGS if any(map(known.search, tags))), None)


def license_of(result: SearchResult) -> str | None:
    """The licence that its tags name."""
    return next((tag.partition(":")[2] for tag in result.tags if tag.startswith("license:")), None)


def _ggufs(files: Iterable[RemoteFile]) -> list[HubOffer]:
    found = sorted((file for file in files if file.name.lower().endswith(_GGUF)), key=lambda each: each.name)
    offers = []
    for file in found:
        match = PART.fullmatch(file.name)
        if match is None:
            offers.append(HubOffer("gguf", file.name, file.name, file.size_bytes))
        elif int(match["number"]) == 1:
            parts = [each for each in found if _is_part(each.name, match["stem"], match["count"])]
            offers.append(HubOffer("gguf", file.name, file.name, _sum(parts), len(parts)))
    return offers


def _checkpoints(repository: Repository) -> list[HubOffer]:
    """The checkpoint in the repository's root, or each single weight file there; then those in its folders.

    Beside a checkpoint in the root, single files in folders are parts of something else.
    """
    folders: dict[str, dict[str, RemoteFile]] = {"": {}}
    for file in repository.files:
        plain = _ENCRYPTED.fullmatch(file.name)
        folder, _, name = (plain["plain"] if plain else file.name).rpartition("/")
        if name.endswith(_SINGLE) and not name.startswith(_NOT_WEIGHTS):
            folders.setdefault(folder, {})[name] = file
    title = repository.name.rpartition("/")[2]
    offers = _in_folder("", title, folders.pop(""), singles=True)
    is_empty = not offers
    for folder, weights in sorted(folders.items()):
        offers += _in_folder(folder, folder, weights, singles=is_empty)
    return offers


def _in_folder(folder: str, title: str, weights: dict[str, RemoteFile], *, singles: bool) -> list[HubOffer]:
    """The checkpoint in one folder, whose weights are under transformers' names, or single files.

    Of several complete forms the one that a conversion takes.
    """
    whole = complete_sets(weights)
    if whole:
        return [_checkpoint(title, folder, None, [weights[name] for name in whole[0].files])]
    shards = {name: file for name, file in weights.items() if _SHARDS.fullmatch(name)}
    if shards:
        safe = [file for name, file in shards.items() if name.endswith(".safetensors")]
        return [_checkpoint(title, folder, None, safe or list(shards.values()))]
    if not singles:
        return []
    prefix = f"{folder}/" if folder else ""
    return [_checkpoint(prefix + name, folder, name, [file]) for name, file in sorted(weights.items())]


def _checkpoint(label: str, folder: str, file: str | None, files: list[RemoteFile]) -> HubOffer:
    return HubOffer(
        "checkpoint",
        label,
        file,
        _sum(files),
        len(files),
        subfolder=folder,
        needs_key=any(_ENCRYPTED.fullmatch(each.name) for each in files),
        is_quantized=any(_QUANTIZED.search(f"{each.repo}/{each.name}") for each in files),
    )


def _is_part(name: str, stem: str, count: str) -> bool:
    match = PART.fullmatch(name)
    return match is not None and match["stem"] == stem and match["count"] == count


def _sum(files: Iterable[RemoteFile]) -> int | None:
    sizes = [file.size_bytes for file in files]
    return sum(size or 0 for size in sizes) if sizes and None not in sizes else None
