"""LoRA adapters of PEFT, merged into the base model's weights while these are read.

A folder with adapter_config.json (see `convert.sources.lora_settings`) and adapter_model.safetensors or .bin:

| tensor                                     | shape       |                                         |
|--------------------------------------------|-------------|-----------------------------------------|
| base_model.model.MODULE.lora_A.weight      | (r, in)     | A                                       |
| base_model.model.MODULE.lora_B.weight      | (out, r)    | B: W becomes W + scale * factor * B A   |
| base_model.model.MODULE.lora_embedding_A   | (r, tokens) | the same for an embedding, transposed   |
| base_model.model.MODULE.lora_embedding_B   | (width, r)  |                                         |
| base_model.model.MODULE.weight             | as the base | a module that was trained whole         |

The factor is alpha / r. Names may carry the adapter's own, as in `.lora_A.default.weight`.
Knows base models by the names of their tensors only. Source: PEFT's checkpoint format page.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.arch.base import MappedTensor
from convert.arch.table import FLOAT_DTYPES
from convert.errors import (
    AdapterMismatch,
    AdapterTargetMissing,
    DamagedFile,
    NotAnAdapter,
    UnsupportedAdapter,
)
from convert.sources.folder import LocalFolder, SourceFolder, read_file
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.lora_settings import LoraSettings, read_lora_settings
from convert.sources.lora_tensors import LoraTensor, SavedTensor
from convert.sources.safetensors import read_safetensors
from convert.sources.tensors import StoredTensor, Tensor
from convert.sources.torch_file import read_torch
from convert.sources.weight_files import WeightFiles, WeightFormat

CONFIG_FILE = "adapter_config.json"
_FORMATS = (
    WeightFormat("safetensors", "adapter_model.safetensors", read_safetensors),
    WeightFormat("torch", "adapter_model.bin", read_torch),
)
ADAPTER_FILES = (CONFIG_FILE, *(weight_format.single_file for weight_format in _FORMATS))
"""What an adapter's folder holds; none of it is a model."""

_MAX_SCALE = 100.0
_EMBEDDINGS = {"embed_tokens", "word_embeddings", "lm_head"}
_PREFIX = "base_model.model."
_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(embedding_)?(?P<side>[AB])|lora_magnitude_vector)"
    r"(\.(?!weight$)[^.]+)?(\.weight)?"
)
_SAVED = re.compile(r"(?P<module>.+?)(\.modules_to_save(\.(?!weight$|bias$)[^.]+)?)?\.(?P<kind>weight|bias)")


@dataclass(frozen=True)
class LoraChoice:
    """An adapter's folder, and what to multiply its change of the weights with."""

    path: Path
    scale: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`DIR` or `DIR:SCALE`; raises `ValueError` for no folder and a scale that makes no sense."""
        folder, colon, number = text.rpartition(":")
        if not text or (colon and not folder):
            raise ValueError(text)
        if not colon or os.path.exists(text):
            return cls(Path(text))
        try:
            scale = float(number)
        except ValueError:  # a colon of the path's own, as after a drive's letter
            return cls(Path(text))
        if not (math.isfinite(scale) and abs(scale) <= _MAX_SCALE):
            raise ValueError(text)
        return cls(Path(folder), scale)


class LoraAdapter:
    """An opened adapter; close it when what it was merged into is no longer read."""

    def __init__(self, folder: SourceFolder, scale: float) -> None:
        """Raises `NotAnAdapter`, `InvalidConfig`, `UnsupportedAdapter`, and what the readers raise."""
        self.scale = scale
        self.settings = read_adapter_settings(folder)
        weight_format = next((form for form in _FORMATS if form.single_file in folder.names), None)
        if weight_format is None:
            raise NotAnAdapter(folder.path, _FORMATS[0].single_file)
        self._weights = WeightFiles(weight_format, folder, (weight_format.single_file,))
        self.path = self._weights.paths[0]

    def merge_into(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The base's tensors, those that the adapter changes replaced; nothing is read yet.

        Raises `AdapterTargetMissing`, `AdapterMismatch`, `UnsupportedAdapter` or `DamagedFile`.
        """
        merged = dict(tensors)
        pairs: dict[tuple[str, str], dict[str, StoredTensor]] = {}
        for name, tensor in self._weights.tensors.items():
            short = name.removeprefix(_PREFIX)
            match = _PART.fullmatch(short)
            if match is None:
                self._replace(merged, short, tensor)
                continue
            if match["side"] is None:
                raise UnsupportedAdapter(self.settings.path, "use_dora", match["part"])
            sides = pairs.setdefault((match["module"], match["part"][:-1]), {})
            if match["side"] in sides:
                raise DamagedFile(self.path, f"tensor {name!r} stands twice")
            sides[match["side"]] = tensor
        for (module, part), sides in pairs.items():
            self._add(merged, module, part, sides)
        return merged

    def _add(
        self, merged: dict[str, Tensor], module: str, part: str, sides: Mapping[str, StoredTensor]
    ) -> None:
        if len(sides) != 2:
            raise DamagedFile(self.path, f"half of {part}A and {part}B of {module!r} is missing")
        a, b = sides["A"], sides["B"]
        rank = self.settings.rank_of(module)
        if len(a.shape) != 2 or len(b.shape) != 2 or not a.shape[0] == b.shape[1] == rank:
            raise AdapterMismatch(self.path, module, f"r = {rank}", f"A {a.shape}, B {b.shape}")
        for side in (a, b):
            if side.dtype not in FLOAT_DTYPES:
                raise AdapterMismatch(self.path, side.name, " / ".join(sorted(FLOAT_DTYPES)), side.dtype)
        name = self._find(merged, f"{module}.weight")
        # An embedding's rows are its tokens, which A counts.
        is_transposed = self.settings.is_transposed or part.startswith("lora_embedding")
        change = (a.shape[1], b.shape[0]) if is_transposed else (b.shape[0], a.shape[1])
        if merged[name].shape != change:
            raise AdapterMismatch(self.path, name, str(merged[name].shape), str(change))
        factor = self.scale * self.settings.factor_of(module)
        merged[name] = LoraTensor(merged[name], a, b, factor, is_transposed)

    def _replace(self, merged: dict[str, Tensor], short: str, tensor: StoredTensor) -> None:
        if ".original_module." in short:  # what the module was before
            return
        match = _SAVED.fullmatch(short)
        if match is None or match["module"].rpartition(".")[2] not in self._saved_modules():
            raise UnsupportedAdapter(self.path, "tensor", short)
        if self.scale != 1.0:
            raise UnsupportedAdapter(self.settings.path, "modules_to_save", match["module"])
        name = self._find(merged, f"{match['module']}.{match['kind']}")
        if merged[name].shape != tensor.shape:
            raise AdapterMismatch(self.path, name, str(merged[name].shape), str(tensor.shape))
        merged[name] = SavedTensor(merged[name], tensor)

    def _saved_modules(self) -> set[str]:
        """Last names of the modules that may come whole; embeddings are saved without being listed."""
        return {name.rpartition(".")[2] for name in self.settings.saved_modules} | _EMBEDDINGS

    def _find(self, tensors: Mapping[str, Tensor], name: str) -> str:
        """The base's name for a tensor: with or without the prefix of its family."""
        bare = name.removeprefix("model.").removeprefix("transformer.")
        found = [known for known in (name, bare, f"model.{bare}", f"transformer.{bare}") if known in tensors]
        if not found:
            raise AdapterTargetMissing(self.path, name, self.settings.base)
        return found[0]

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._weights.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_adapter(choice: LoraChoice) -> LoraAdapter:
    """Open an adapter by its folder, or by one of its files; raises what `LoraAdapter` raises."""
    path = choice.path.parent if os.path.isfile(choice.path) else choice.path
    return LoraAdapter(LocalFolder(path), choice.scale)


def read_adapter_settings(folder: SourceFolder) -> LoraSettings:
    """The settings of the adapter in a folder; raises `NotAnAdapter` and what `read_lora_settings` raises."""
    if CONFIG_FILE not in folder.names:
        raise NotAnAdapter(folder.path, CONFIG_FILE)
    path = folder.path / CONFIG_FILE
    return read_lora_settings(path, parse_json_object(path, read_file(folder, CONFIG_FILE, MAX_JSON_BYTES)))


def merge_adapters(tensors: Mapping[str, Tensor], adapters: Sequence[LoraAdapter]) -> Mapping[str, Tensor]:
    """All adapters merged, in order; raises what `LoraAdapter.merge_into` raises."""
    for adapter in adapters:
        tensors = adapter.merge_into(tensors)
    return tensors


def check_merged(
    tensors: Mapping[str, Tensor], mapped: Sequence[MappedTensor], adapters: Sequence[LoraAdapter]
) -> None:
    """What an adapter changed is in the model: a tied output matrix, for one, would be left out.

    Raises `UnsupportedAdapter`.
    """
    used = {tensor.source.name for tensor in mapped}
    for tensor in tensors.values():
        if isinstance(tensor, LoraTensor | SavedTensor) and tensor.name not in used:
            raise UnsupportedAdapter(adapters[-1].path, "tensor", tensor.name)
