"""What the tensors of an adapter's file are, by their names.

| tensor                                        | shape         |                                            |
|-----------------------------------------------|---------------|--------------------------------------------|
| MODULE.lora_A.weight                          | (r, in)       | A                                          |
| MODULE.lora_B.weight                          | (out, r)      | B: W becomes W + factor * B A              |
| MODULE.lora_B.bias                            | (out,)        | the bias becomes bias + factor * this      |
| MODULE.lora_embedding_A                       | (r, tokens)   | the same for an embedding, transposed      |
| MODULE.lora_embedding_B                       | (width, r)    |                                            |
| MODULE.lora_magnitude_vector                  | (out,)        | DoRA: the lengths of W's vectors           |
| MODULE.token_adapter.trainable_tokens_delta   | (n, width)    | rows of an embedding                       |
| MODULE.base_layer.weight                      | as the base   | what A and B were trained on: a copy       |
| MODULE.weight, MODULE.bias                    | as the base   | trained whole, or resized                  |

Names begin with `base_model.model.` and may carry the adapter's own, as in `.lora_A.default.weight`; what
wraps a model for training has left its own parts in some. Knows no base model. Source: PEFT's checkpoint
format page, and `utils/save_and_load.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

from convert.arch.table import FLOAT_DTYPES
from convert.errors import AdapterMismatch, EmptyAdapter, InvalidFile, UngatheredAdapter, UnsupportedAdapter
from convert.sources.tensors import StoredTensor

_WRAPPER = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_PREFIX = re.compile(r"\A(module\.|base_model\.model\.)+")
_OWN_NAME = r"(?:\.(?!weight$|bias$)(?P<own_name>[^.]+))?"
# In this order: names of the last kind are names of the others, too.
_KINDS = {
    "before": re.compile(
        r"(?P<module>.+)\.(original_module\..+|token_adapter\.(token_indices|trainable_tokens_original)\b.*)"
    ),
    "matrix": re.compile(
        rf"(?P<module>.+)\.lora_(?P<part>(embedding_)?[AB]){_OWN_NAME}(\.(?P<end>weight|bias))?"
    ),
    "magnitude": re.compile(rf"(?P<module>.+)\.lora_magnitude_vector{_OWN_NAME}(\.weight)?"),
    "rows": re.compile(rf"(?P<module>.+)\.token_adapter\.trainable_tokens_delta{_OWN_NAME}"),
    "copy": re.compile(r"(?P<module>.+?)(\.token_adapter)?\.base_layer\.(?P<end>weight|bias)"),
    "listed": re.compile(rf"(?P<module>.+?)\.modules_to_save{_OWN_NAME}\.(?P<end>weight|bias)"),
    "whole": re.compile(r"(?P<module>.+)\.(?P<end>weight|bias)"),
}


@dataclass(frozen=True)
class Pair:
    """The matrices A and B of one module; bias: of B. magnitude: DoRA's lengths."""

    module: str
    is_embedding: bool
    a: StoredTensor
    b: StoredTensor
    bias: StoredTensor | None
    magnitude: StoredTensor | None


@dataclass(frozen=True)
class AdapterParts:
    """The tensors of one adapter; modules are named as the base's, without what PEFT puts before.

    whole: by the name of the tensor that each takes the place of. copies: of the base's own, likewise. rows:
    of embeddings, by module.
    """

    pairs: Mapping[str, Pair]
    whole: Mapping[str, StoredTensor]
    copies: Mapping[str, StoredTensor]
    rows: Mapping[str, StoredTensor]


def sort_parts(path: Path, tensors: Mapping[str, StoredTensor]) -> AdapterParts:
    """What the tensors of the adapter's file at `path` are.

    Raises `EmptyAdapter`, `UngatheredAdapter`, `AdapterMismatch` for what is no float, `InvalidFile`, or
    `UnsupportedAdapter` for two adapters in one file and for names of no known kind.
    """
    if not tensors:
        raise EmptyAdapter(path)
    n_empty = sum(not prod(tensor.shape) for tensor in tensors.values())
    if n_empty:
        raise UngatheredAdapter(path, n_empty)
    parsed = [(_parse(path, tensor.name), tensor) for tensor in tensors.values()]
    own_names = {name.own_name for name, _ in parsed if name.own_name}
    if len(own_names) > 1:
        raise UnsupportedAdapter(path, "adapters", ", ".join(sorted(own_names))[:80])
    found: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in parsed:
        if tensor.dtype not in FLOAT_DTYPES:
            raise AdapterMismatch(path, tensor.name, " / ".join(sorted(FLOAT_DTYPES)), tensor.dtype)
        parts = found.setdefault(name.module, {})
        if name.part in parts:
            raise InvalidFile(path, f"{name.part} of {name.module!r} stands twice")
        parts[name.part] = tensor
    # PEFT of some versions saved a module that it was to save under both names.
    whole = _named(found, "listed") | _named(found, "whole")
    return AdapterParts(
        pairs={module: _pair(path, module, parts) for module, parts in found.items() if _HALVES & set(parts)},
        whole=whole,
        copies=_named(found, "copy"),
        rows={module: parts["rows"] for module, parts in found.items() if "rows" in parts},
    )


_HALVES = {"A", "B", "embedding_A", "embedding_B", "B.bias", "magnitude"}


class _Name(NamedTuple):
    """own_name: the adapter's, where it is in the tensor's."""

    module: str
    part: str
    own_name: str | None


def _parse(path: Path, name: str) -> _Name:
    short = _PREFIX.sub("", _WRAPPER.sub("", name))
    for kind, pattern in _KINDS.items():
        match = pattern.fullmatch(short)
        if match is None:
            continue
        groups = match.groupdict()
        part = kind
        if kind == "matrix":
            part = f"{groups['part']}.bias" if groups["end"] == "bias" else groups["part"]
            if part not in _HALVES:
                break
        elif kind == "before":
            part = short  # of no use, and none of them stands twice
        elif groups.get("end"):
            part = f"{kind}.{groups['end']}"
        return _Name(groups["module"], part, groups.get("own_name"))
    raise UnsupportedAdapter(path, "tensor", short)


def _named(found: Mapping[str, Mapping[str, StoredTensor]], kind: str) -> dict[str, StoredTensor]:
    return {
        f"{module}.{end}": parts[f"{kind}.{end}"]
        for module, parts in found.items()
        for end in ("weight", "bias")
        if f"{kind}.{end}" in parts
    }


def _pair(path: Path, module: str, parts: Mapping[str, StoredTensor]) -> Pair:
    is_embedding = "embedding_A" in parts or "embedding_B" in parts
    start = "embedding_" if is_embedding else ""
    halves = {part for part in parts if part in _HALVES} - {"magnitude", "B.bias"}
    if halves != {f"{start}A", f"{start}B"}:
        raise InvalidFile(path, f"of {module!r} there is only {', '.join(sorted(_HALVES & set(parts)))}")
    a, b = parts[f"{start}A"], parts[f"{start}B"]
    return Pair(module, is_embedding, a, b, parts.get("B.bias"), parts.get("magnitude"))
