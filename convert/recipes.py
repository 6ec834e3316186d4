"""Which ggml type each tensor gets, for every target that can be asked for.

The choices equal those of llama.cpp's `llama_model_quantize` (src/llama-quant.cpp, without importance matrix)
for the families of `convert.arch`: on the same float16 model both write the same bytes. Nothing here reads
weights or knows a family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from convert.errors import QuantizationUnsupported
from engine.native.kernels import GgmlType, block_size


@dataclass(frozen=True)
class Target:
    """A kind of GGUF: `file_type` is its `general.file_type`, `base` what a plain weight matrix becomes.

    keeps_blocks: matrices that the checkpoint holds in blocks are copied as they are.
    """

    name: str
    file_type: int
    base: GgmlType
    keeps_blocks: bool = False


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("f32", 0, GgmlType.F32),
        Target("f16", 1, GgmlType.F16),
        Target("bf16", 32, GgmlType.BF16),
        Target("q8_0", 7, GgmlType.Q8_0),
        Target("q6_k", 18, GgmlType.Q6_K),
        Target("q5_k_m", 17, GgmlType.Q5_K),
        Target("q5_k_s", 16, GgmlType.Q5_K),
        Target("q5_0", 8, GgmlType.Q5_0),
        Target("q5_1", 9, GgmlType.Q5_1),
        Target("q4_k_m", 15, GgmlType.Q4_K),
        Target("q4_k_s", 14, GgmlType.Q4_K),
        Target("q4_0", 2, GgmlType.Q4_0),
        Target("q4_1", 3, GgmlType.Q4_1),
        Target("iq4_xs", 30, GgmlType.IQ4_XS),
        Target("q3_k_m", 12, GgmlType.Q3_K),
    )
}
DEFAULT_TARGET = "q4_k_m"
_NEARLY_LOSSLESS = "q8_0"

AUTO = "auto"
"""Asks for `auto_target`'s choice; not a target itself."""

# `general.file_type` of a file whose weights are mostly of one type; of k-quants, the middle mix.
_FILE_TYPES = {
    GgmlType.Q4_0: 2,
    GgmlType.Q4_1: 3,
    GgmlType.Q8_0: 7,
    GgmlType.Q5_0: 8,
    GgmlType.Q5_1: 9,
    GgmlType.Q2_K: 10,
    GgmlType.Q3_K: 12,
    GgmlType.Q4_K: 15,
    GgmlType.Q5_K: 17,
    GgmlType.Q6_K: 18,
}

_UNQUANTIZED = (GgmlType.F32, GgmlType.F16, GgmlType.BF16)
# What takes over when a row is not whole blocks of 256; when it is not whole blocks of 32 either: float16.
_NARROW_ROW = {
    GgmlType.Q3_K: GgmlType.Q4_0,
    GgmlType.Q4_K: GgmlType.Q5_0,
    GgmlType.Q5_K: GgmlType.Q5_1,
    GgmlType.Q6_K: GgmlType.Q8_0,
    GgmlType.IQ4_XS: GgmlType.IQ4_NL,
}
_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class ModelTraits:
    """What the recipes look at beside the tensor itself.

    tied: the embedding is also the output matrix. has_fine_values: see `Architecture`.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    tied: bool
    has_fine_values: bool = False

    @property
    def heads_per_kv(self) -> int:
        """Query heads that share one key/value head (grouped-query attention); 1 without grouping."""
        return self.n_heads // self.n_kv_heads if self.n_kv_heads else 0


def find_target(name: str) -> Target:
    """The target called `name`; raises `QuantizationUnsupported` for a name not in `TARGETS`."""
    try:
        return TARGETS[name]
    except KeyError:
        raise QuantizationUnsupported(name, "") from None


def auto_target(n_kept_weights: Mapping[GgmlType, int], *, is_quantized: bool = False) -> Target:
    """What a checkpoint becomes that nobody chose a type for.

    n_kept_weights: how many weights it holds in blocks of each type. is_quantized: whether any of its weights
    were quantized, in whatever form. If not it becomes `DEFAULT_TARGET`; otherwise its blocks stay, since
    quantizing twice only loses, and all other matrices become q8_0.
    """
    if not n_kept_weights:
        return TARGETS[_NEARLY_LOSSLESS if is_quantized else DEFAULT_TARGET]
    main_type = max(n_kept_weights, key=lambda type_: n_kept_weights[type_])
    return Target(AUTO, _FILE_TYPES[main_type], GgmlType.Q8_0, keeps_blocks=True)


def read_traits(
    architecture: str,
    metadata: Mapping[str, object],
    names: Sequence[str],
    *,
    has_fine_values: bool = False,
) -> ModelTraits:
    """The traits of a model with these `<arch>.*` keys and tensors."""

    def count(key: str, default: int) -> int:
        value = metadata.get(f"{architecture}.{key}", default)
        return value if isinstance(value, int) else default

    n_heads = count("attention.head_count", 1)
    return ModelTraits(
        n_layers=count("block_count", 0),
        n_heads=n_heads,
        n_kv_heads=count("attention.head_count_kv", n_heads),
        tied="output.weight" not in names,
        has_fine_values=has_fine_values,
    )


def choose_type(target: Target, name: str, shape: tuple[int, ...], model: ModelTraits) -> GgmlType:
    """The type of the GGUF tensor `name` of row-major `shape`; vectors and norms are always float32."""
    if not _is_matrix(name, shape):
        return GgmlType.F32
    if target.base in _UNQUANTIZED:
        return target.base
    return _fit_to_width(_preferred_type(target, name, shape[-1], model), shape[-1])


def _is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    is_vector = prod(shape[:-1]) <= 1
    return not is_vector and name.endswith("weight") and not name.endswith("_norm.weight")


def _preferred_type(target: Target, name: str, width: int, model: ModelTraits) -> GgmlType:
    """What the recipe wants for this matrix, whether or not its width allows it."""
    if name == "output.weight" or (model.tied and name == "token_embd.weight"):
        return _output_type(target, width)
    found = _LAYER.match(name)
    if found is None:
        return target.base
    layer = int(found.group(1))
    match name[found.end() :]:
        case "attn_v.weight" | "attn_qkv.weight":
            return _value_type(target, layer, model)
        case "attn_output.weight":
            return GgmlType.Q4_K if target.name == "q3_k_m" else target.base
        case "ffn_down.weight":
            return _down_type(target, layer, model.n_layers)
        case _:
            return target.base


def _output_type(target: Target, width: int) -> GgmlType:
    if target.base is GgmlType.Q8_0 or width % block_size(target.base):
        return GgmlType.Q8_0
    return GgmlType.Q6_K


def _value_type(target: Target, layer: int, model: ModelTraits) -> GgmlType:
    """Attention values (in BLOOM together with queries and keys) suffer most from few bits."""
    chosen = target.base
    match target.name:
        case "q4_k_m" | "q5_k_m" if _is_sensitive(layer, model.n_layers):
            chosen = GgmlType.Q6_K
        case "q4_k_s" if layer < 4:
            chosen = GgmlType.Q5_K
        case "q3_k_m":
            chosen = GgmlType.Q5_K if layer < 2 else GgmlType.Q4_K
        case "iq4_xs" if model.heads_per_kv >= 4:
            chosen = GgmlType.Q5_K
    if model.has_fine_values and chosen in (GgmlType.Q3_K, GgmlType.Q4_K):
        return GgmlType.Q5_K
    return chosen


def _down_type(target: Target, layer: int, n_layers: int) -> GgmlType:
    """The feed-forward's second matrix: more bits in the first layers, and in some others."""
    match target.name:
        case "q4_k_m" | "q5_k_m" if _is_sensitive(layer, n_layers):
            return GgmlType.Q6_K
        case "q4_k_s" | "iq4_xs" if layer < n_layers // 8:
            return GgmlType.Q5_K
        case "q3_k_m":
            return GgmlType.Q5_K if layer < n_layers // 16 else GgmlType.Q4_K
        case _:
            return target.base


def _is_sensitive(layer: int, n_layers: int) -> bool:
    """The first and last eighth of the layers, and every third between them."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _fit_to_width(wanted: GgmlType, width: int) -> GgmlType:
    """`wanted`, or the nearest type whose blocks fill a row of `width` weights."""
    if width % block_size(wanted) == 0:
        return wanted
    narrower = _NARROW_ROW.get(wanted, wanted)
    return narrower if width % block_size(narrower) == 0 else GgmlType.F16
