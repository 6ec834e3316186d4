"""How the weights of a Hugging Face folder are quantized: read by that kind's reader, or refused by its name.

What the tensors are decides, since a configuration is often left as it was when the weights were merged or
restored; what it says of the method, and of blocks, goes to the reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.arch.config import ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedQuantization
from convert.forms import AWQ, BITSANDBYTES, FORMS, FP8, GPTQ
from convert.notes import Note
from convert.sources.awq import is_awq, read_awq
from convert.sources.bitsandbytes import is_bitsandbytes, read_bitsandbytes
from convert.sources.folder import SourceFolder, read_file
from convert.sources.gptq import is_gptq, read_gptq
from convert.sources.gptq_settings import SETTINGS_FILE, read_settings
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.scaled import Block, is_scaled, read_scaled
from convert.sources.tensors import StoredTensor, Tensor
from convert.sources.weight_files import WeightFiles

# Of these, some files can be read: those whose tensors are of a kind below.
_METHODS = ("gptq", "awq", "bitsandbytes", "fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "quark")
_FP8_METHODS = ("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "quark")
_SECTIONS = ("quantization_config", "compression_config")
_MAX_BLOCK = 1 << 20

# Tensors that only one kind of quantization has, by the ends of their names.
_MARKS = tuple(
    (re.compile(rf".+{pattern}"), kind)
    for pattern, kind in (
        (r"\.W_q", "HQQ"),
        (r"\.codebooks", "AQLM"),
        (r"\.weight_packed", "compressed-tensors, packed"),
        (r"\.weight_scale_2", "NVFP4"),
        (r"\.weight_scales", "EETQ"),
        (r"\.(gate_up|down)_proj_blocks", "MXFP4"),
        (r"\.centroids(\.weight)?", "VPTQ"),
        (r"\.dense_weights", "SpQR"),
        (r"\.weight\._data", "Quanto"),
        (r"_qdata", "torchao"),
    )
)
_INTEGERS = ("u8", "i8", "i16", "u16", "i32", "u32", "i64", "u64")
# Scales of activations and of the key/value cache, one number each: they change no weight.
_NO_WEIGHT = re.compile(
    r".+\.(input_scale(_inv)?|activation_scale|qscale_act|output_scale|[qkv]_scale|kv_scale|prob_scale)"
)


@dataclass(frozen=True)
class RestoredWeights:
    """form: for people, with what is particular. tensors: each quantized matrix as one that can be read."""

    form: str
    tensors: Mapping[str, Tensor]
    notes: tuple[Note, ...] = ()


def restore_weights(
    folder: SourceFolder, weights: WeightFiles, config_path: Path, config: Mapping[str, Any]
) -> RestoredWeights:
    """The tensors of `weights`, with those that are quantized put together.

    Raises `UnsupportedQuantization` for a kind that can't be read, and what the kind's reader raises.
    """
    tensors, stated = weights.tensors, _stated(config_path, config)
    _refuse_other_kinds(tensors, config_path, stated)
    if stated or is_scaled(tensors):
        tensors = {name: tensor for name, tensor in tensors.items() if not _NO_WEIGHT.fullmatch(name)}
    if is_awq(tensors, stated):
        awq = read_awq(tensors, config_path, stated)
        return RestoredWeights(f"{AWQ.label} {awq.details}", awq.tensors)
    if is_gptq(tensors):
        own_path, own = folder.path / SETTINGS_FILE, None
        if SETTINGS_FILE in folder.names:
            own = parse_json_object(own_path, read_file(folder, SETTINGS_FILE, MAX_JSON_BYTES))
        gptq = read_gptq(tensors, read_settings(own_path, own, config_path, config))
        return RestoredWeights(f"{GPTQ.label} {gptq.details}", gptq.tensors, gptq.notes)
    if is_bitsandbytes(tensors):
        packed = read_bitsandbytes(tensors)
        return RestoredWeights(f"{BITSANDBYTES.label} {packed.details}", packed.tensors)
    if is_scaled(tensors):
        needs_scales = stated.get("quant_method") in _FP8_METHODS
        scaled = read_scaled(tensors, block=_stated_block(config_path, stated), needs_scales=needs_scales)
        notes = () if scaled.has_scales else (Note("fp8_without_scales"),)
        return RestoredWeights(f"{FP8.label} {scaled.details}", scaled.tensors, notes)
    return RestoredWeights(FORMS[weights.format.name].describe(), tensors)


def refuse_method(config_path: Path, config: Mapping[str, Any]) -> None:
    """Raise `UnsupportedQuantization` where a configuration names a method that can't be read."""
    method = _stated(config_path, config).get("quant_method")
    if method is not None and method not in _METHODS:
        raise UnsupportedQuantization(config_path, "quant_method", shorten(method))


def _stated(config_path: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    reader = ConfigReader(config_path, config)
    return next((found for found in (reader.section(name).config for name in _SECTIONS) if found), {})


def _refuse_other_kinds(
    tensors: Mapping[str, StoredTensor], config_path: Path, stated: Mapping[str, Any]
) -> None:
    """Refuse what has tensors of a kind that no reader knows, by the method's name if there is one."""
    for name, tensor in tensors.items():
        if (kind := _kind_of(name)) is not None:
            refuse_method(config_path, {_SECTIONS[0]: stated})
            raise UnsupportedQuantization(tensor.source.path, name, kind)
    integer = next((tensor for name, tensor in tensors.items() if _is_integer_matrix(name, tensor)), None)
    if integer is None or is_bitsandbytes(tensors):
        return
    refuse_method(config_path, {_SECTIONS[0]: stated})
    if f"{integer.name.removesuffix('weight')}biases" in tensors:
        raise UnsupportedQuantization(integer.source.path, integer.name, "MLX")
    for setting in ("format", "quant_algo", "quant_method"):
        if stated.get(setting):
            raise UnsupportedQuantization(config_path, setting, shorten(stated[setting]))


def _kind_of(name: str) -> str | None:
    return next((kind for pattern, kind in _MARKS if pattern.fullmatch(name)), None)


def _is_integer_matrix(name: str, tensor: StoredTensor) -> bool:
    return name.endswith(".weight") and len(tensor.shape) > 1 and tensor.dtype in _INTEGERS


def _stated_block(config_path: Path, stated: Mapping[str, Any]) -> Block | None:
    value = stated.get("weight_block_size")
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2:
        n_rows, width = value
        if all(type(length) is int and 1 <= length <= _MAX_BLOCK for length in value):
            return n_rows, width
    raise InvalidConfig(config_path, "weight_block_size", shorten(value))
