"""LoRA adapters of PEFT: a folder with adapter_config.json and adapter_model.safetensors or .bin.

Opens them and says what they hold (see `convert.sources.lora_settings` and `convert.sources.lora_parts`);
`convert.sources.lora_merge` puts them on a base model. Source: PEFT's checkpoint format page.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import EmptyAdapter, InvalidFile, MlxAdapter, NotAnAdapter, NoTensors, UntrainedAdapter
from convert.sources.folder import LocalFolder, SourceFolder, read_file
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.lora_parts import Pair, sort_parts
from convert.sources.lora_settings import LoraSettings, read_lora_settings
from convert.sources.lora_tensors import is_all_zero
from convert.sources.safetensors import read_safetensors
from convert.sources.torch_file import read_torch
from convert.sources.weight_files import WeightFiles, WeightFormat

CONFIG_FILE = "adapter_config.json"
_FORMATS = (
    WeightFormat("safetensors", "adapter_model.safetensors", read_safetensors),
    WeightFormat("torch", "adapter_model.bin", read_torch),
)
ADAPTER_FILES = (CONFIG_FILE, *(weight_format.single_file for weight_format in _FORMATS))
"""What an adapter's folder holds; none of it is a model."""

_MLX_FILE = "adapters.safetensors"
_MAX_SCALE = 100.0


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
    """An opened adapter; close it when what it was merged into is no longer read.

    folder: where it is, with a tokenizer beside it or not. path: its weight file.
    """

    def __init__(self, folder: SourceFolder, scale: float) -> None:
        """Looks at as much of the matrices as shows that one is not zero.

        Raises `NotAnAdapter`, `MlxAdapter`, `InvalidConfig`, `UntrainedAdapter`, `InvalidFile`, and what
        `read_adapter_settings`, `sort_parts` and the readers raise.
        """
        self.folder = folder
        self.scale = scale
        if _MLX_FILE in folder.names and not folder.names & set(ADAPTER_FILES[1:]):
            raise MlxAdapter(folder.path)
        self.settings = read_adapter_settings(folder)
        weight_format = next((form for form in _FORMATS if form.single_file in folder.names), None)
        if weight_format is None:
            raise NotAnAdapter(folder.path, _FORMATS[0].single_file)
        try:
            self._weights = WeightFiles(weight_format, folder, (weight_format.single_file,))
        except NoTensors as error:  # an empty state dict
            raise EmptyAdapter(error.path) from error
        self.path = self._weights.paths[0]
        try:
            self.parts = sort_parts(self.path, self._weights.tensors)
            self._check_content()
        except BaseException:
            self.close()
            raise

    def _check_content(self) -> None:
        parts, has_magnitudes = self.parts, self.settings.has_magnitudes
        for module, pair in parts.pairs.items():
            if (pair.magnitude is not None) != has_magnitudes:
                found = "no" if has_magnitudes else "a"
                detail = f"use_dora is {has_magnitudes}, and {module!r} has {found} lora_magnitude_vector"
                raise InvalidFile(self.path, detail)
        if parts.whole or parts.rows or has_magnitudes:
            return
        if all(_adds_nothing(pair) for pair in parts.pairs.values()):
            raise UntrainedAdapter(self.path, len(parts.pairs))

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._weights.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _adds_nothing(pair: Pair) -> bool:
    """B begins as zeros, for embeddings A does."""
    return (is_all_zero(pair.b) or is_all_zero(pair.a)) and (pair.bias is None or is_all_zero(pair.bias))


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
