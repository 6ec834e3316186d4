"""A conversion, decided in full before any weight is read: keys, tensors, types, and the output's exact size.

Nothing of the checkpoint's whereabouts enters the plan's keys (no path, time, repository or hash), so the
same checkpoint gives the same bytes wherever it is read from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from convert.arch.base import Architecture, MappedTensor, MetadataValue
from convert.gguf_file import QUANTIZATION_VERSION, TensorInfo, build_header, pad
from convert.recipes import AUTO, ModelTraits, Target, auto_target, choose_type, find_target, read_traits
from convert.sources.tensors import PackedTensor
from convert.tokenizers.vocabulary import Vocabulary
from engine.native.kernels import GgmlType, row_size

CONVERTER_VERSION = 3
"""Written into the file; raised whenever the same checkpoint would give other bytes."""


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the output: `offset` from the start of the data, `size_bytes` without padding.

    is_copied: the checkpoint's own blocks are of `type` and stay.
    """

    mapped: MappedTensor
    type: GgmlType
    offset: int
    size_bytes: int
    is_copied: bool

    @property
    def info(self) -> TensorInfo:
        return TensorInfo(self.mapped.name, self.mapped.shape, int(self.type), self.offset)


@dataclass(frozen=True)
class Plan:
    """What `convert` will write. metadata: every key but `general.architecture`, in file order.

    traits: what the types of the tensors were chosen by.
    vocabulary: padded to the embedding's rows with `n_padding_tokens` unused tokens.
    """

    architecture: str
    target: Target
    name: str
    license: str | None
    chat_template: str | None
    metadata: Mapping[str, MetadataValue]
    vocabulary: Vocabulary
    n_padding_tokens: int
    tensors: tuple[PlannedTensor, ...]
    traits: ModelTraits

    @property
    def n_parameters(self) -> int:
        """Weights in the model; a tied embedding counts once."""
        return sum(prod(tensor.mapped.shape) for tensor in self.tensors)

    @cached_property
    def header(self) -> bytes:
        """The output's first bytes, up to its data; the length does not depend on the target."""
        return build_header(self.architecture, self.metadata, [tensor.info for tensor in self.tensors])

    @property
    def size_bytes(self) -> int:
        """The exact size of the output."""
        return len(self.header) + _data_size_bytes(self.tensors)


def make_plan(
    architecture: Architecture,
    mapped: Sequence[MappedTensor],
    vocabulary: Vocabulary,
    *,
    target: str,
    name: str,
    license: str | None,
    chat_template: str | None,
    tokenizer_path: Path,
    sampling: Mapping[str, MetadataValue] | None = None,
) -> Plan:
    """Decide the output for these tensors and this vocabulary.

    target: a name in `TARGETS`, or `AUTO`. name and license: `general.name` and `general.license`. sampling:
    `general.sampling.*` keys. tokenizer_path: named in errors. Raises `VocabularyTooLong` and
    `QuantizationUnsupported`.
    """
    chosen = _resolve_target(target, mapped)
    padded = vocabulary.padded(architecture.n_vocab, tokenizer_path)
    own_keys = architecture.metadata()
    metadata: dict[str, MetadataValue] = {
        "general.type": "model",
        "general.name": name,
        "general.license": license or "",
        "general.file_type": chosen.file_type,
        "general.quantization_version": QUANTIZATION_VERSION,
        "chatbelle.converter_version": CONVERTER_VERSION,
        **(sampling or {}),
        **own_keys,
        **_vocabulary_keys(padded),
        "tokenizer.chat_template": chat_template or "",
    }
    gguf_name = architecture.family.gguf_name
    traits = read_traits(
        gguf_name,
        own_keys,
        [tensor.name for tensor in mapped],
        has_fine_values=architecture.has_fine_values,
    )
    return Plan(
        architecture=gguf_name,
        target=chosen,
        name=name,
        license=license,
        chat_template=chat_template,
        metadata=metadata,
        vocabulary=padded,
        n_padding_tokens=len(padded.tokens) - len(vocabulary.tokens),
        tensors=_place_tensors(mapped, chosen, traits),
        traits=traits,
    )


def output_size_bytes(plan: Plan, target: str) -> int:
    """How large the same model would be as another target, exactly."""
    mapped = [tensor.mapped for tensor in plan.tensors]
    placed = _place_tensors(mapped, _resolve_target(target, mapped), plan.traits)
    return len(plan.header) + _data_size_bytes(placed)


def _resolve_target(name: str, mapped: Sequence[MappedTensor]) -> Target:
    if name != AUTO:
        return find_target(name)
    n_kept_weights: Counter[GgmlType] = Counter()
    for tensor in mapped:
        if tensor.packed is not None:
            n_kept_weights[_packed_type(tensor.packed)] += prod(tensor.shape)
    return auto_target(n_kept_weights, is_quantized=any(tensor.quantization for tensor in mapped))


def _packed_type(tensor: PackedTensor) -> GgmlType:
    return GgmlType[tensor.packed_type.upper()]


def _place_tensors(
    mapped: Sequence[MappedTensor], target: Target, traits: ModelTraits
) -> tuple[PlannedTensor, ...]:
    placed: list[PlannedTensor] = []
    offset = 0
    for tensor in mapped:
        packed = tensor.packed if target.keeps_blocks else None
        if packed is None:
            chosen = choose_type(target, tensor.name, tensor.shape, traits)
        else:
            chosen = _packed_type(packed)
        size_bytes = prod(tensor.shape[:-1]) * row_size(chosen, tensor.shape[-1])
        placed.append(PlannedTensor(tensor, chosen, offset, size_bytes, packed is not None))
        offset += pad(size_bytes)
    return tuple(placed)


def _data_size_bytes(tensors: Sequence[PlannedTensor]) -> int:
    return tensors[-1].offset + pad(tensors[-1].size_bytes) if tensors else 0


def _vocabulary_keys(vocabulary: Vocabulary) -> dict[str, MetadataValue]:
    """The `tokenizer.ggml.*` keys; what the vocabulary leaves open is left out."""
    keys: dict[str, MetadataValue | None] = {
        "model": vocabulary.model,
        "pre": vocabulary.pre,
        "tokens": vocabulary.tokens,
        "scores": vocabulary.scores,
        "token_type": [int(kind) for kind in vocabulary.types],
        "merges": vocabulary.merges,
        "bos_token_id": vocabulary.bos_id,
        "eos_token_id": vocabulary.eos_id,
        "eot_token_id": vocabulary.eot_id,
        "eom_token_id": vocabulary.eom_id,
        "unknown_token_id": vocabulary.unk_id,
        "padding_token_id": vocabulary.pad_id,
        "add_bos_token": vocabulary.add_bos,
        "add_space_prefix": vocabulary.add_space_prefix,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items() if value is not None}
