"""What a list of models says about a file: a few values out of its header, small enough to be remembered.

Knows what the metadata's names and numbers mean, nothing of where files are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from engine.errors import TruncatedModel
from engine.gguf_header import GgufHeader, read_gguf_header
from engine.memory import Footprint, footprint
from engine.model_kinds import require_chat_model
from engine.model_shape import read_model_shape
from engine.prompt import detect_format

# `general.file_type`, LLAMA_FTYPE of llama.h.
_FILE_TYPES = {
    **{0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k"},
    **{11: "q3_k_s", 12: "q3_k_m", 13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m"},
    **{18: "q6_k", 19: "iq2_xxs", 20: "iq2_xs", 21: "q2_k_s", 22: "iq3_xs", 23: "iq3_xxs", 24: "iq1_s"},
    **{25: "iq4_nl", 26: "iq3_s", 27: "iq3_m", 28: "iq2_s", 29: "iq2_m", 30: "iq4_xs", 31: "iq1_m"},
    **{32: "bf16", 36: "tq1_0", 37: "tq2_0", 38: "mxfp4"},
}
# ggml types that a model may mostly consist of, for files that do not say.
_TENSOR_TYPES = {
    **{0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 10: "q2_k", 11: "q3_k"},
    **{12: "q4_k", 13: "q5_k", 14: "q6_k", 20: "iq4_nl", 23: "iq4_xs", 30: "bf16", 39: "mxfp4"},
}


EDITION = 1
"""Which rules a summary follows; one that was kept by older rules is made anew."""


@dataclass(frozen=True, slots=True)
class HeaderSummary:
    """A model as its header describes it.

    title: `general.name`, "" without one. quantization: as `belle-convert --type` names it, "?" where it is
    none of them. prompt_format: the one the engine would choose. edition: see `EDITION`.
    """

    title: str
    architecture: str
    quantization: str
    n_parameters: int
    license: str | None
    prompt_format: str
    footprint: Footprint
    edition: int = 0


def summarize(path: Path, parts: tuple[Path, ...] = ()) -> HeaderSummary:
    """Read the headers of a model: `path`, and for a split one all its `parts`, `path` among them.

    Raises the subclasses of ModelFileError.
    """
    header = read_gguf_header(path)
    summary = _summarize_one(header)
    for other in (part for part in parts if part != path):
        found = _summarize_part(read_gguf_header(other), summary)
        summary = replace(
            summary,
            n_parameters=summary.n_parameters + found.n_parameters,
            footprint=replace(
                summary.footprint,
                weights=summary.footprint.weights + found.footprint.weights,
                repacked=summary.footprint.repacked + found.footprint.repacked,
                is_gated=summary.footprint.is_gated or found.footprint.is_gated,
            ),
        )
    return summary


def _summarize_one(header: GgufHeader) -> HeaderSummary:
    require_chat_model(header)
    shape = read_model_shape(header)
    return HeaderSummary(
        title=header.text("general.name") or "",
        architecture=header.architecture,
        quantization=_quantization(header),
        n_parameters=_n_parameters(header),
        license=header.text("general.license") or None,
        prompt_format=detect_format(header.architecture, header.text("tokenizer.chat_template")),
        footprint=footprint(header, shape),
        edition=EDITION,
    )


def _summarize_part(header: GgufHeader, first: HeaderSummary) -> HeaderSummary:
    """Later parts have tensors, but hardly any metadata."""
    if not header.tensors:
        raise TruncatedModel(header.path, 1, 0)
    model = footprint(header, first.footprint.shape)
    return replace(first, n_parameters=_n_parameters(header), footprint=model)


def _n_parameters(header: GgufHeader) -> int:
    return sum(prod(tensor.shape) for tensor in header.tensors)


def _quantization(header: GgufHeader) -> str:
    file_type = header.metadata.get("general.file_type")
    if isinstance(file_type, int) and file_type in _FILE_TYPES:
        return _FILE_TYPES[file_type]
    sizes: Counter[int] = Counter()
    for tensor in header.tensors:
        sizes[tensor.type] += tensor.size_bytes
    return _TENSOR_TYPES.get(sizes.most_common(1)[0][0], "?") if sizes else "?"
