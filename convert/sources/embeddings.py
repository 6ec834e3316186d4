"""A model's two embeddings, of what it reads and of what it answers: one matrix, or two.

Where config.json says one (`tie_word_embeddings`) and two are stored, transformers 4 left the second out;
transformers 5 keeps both if they differ, as they do where an adapter for one was merged into a tied model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convert.sources.tensors import Tensor

_BLOOMS_OWN = "word_embeddings_layernorm.weight"
INPUTS = ("embed_tokens.weight", "word_embeddings.weight")
OUTPUT = "lm_head.weight"

# Trained apart, two matrices agree in no place; tokens that were added later, and trained alone, come last.
_N_PLACES = 16
_ROWS_PER_PLACE = 16


def find_input(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the input embedding."""
    return next((name for name in tensors if name.endswith(INPUTS)), None)


def with_input(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of a tied model, its one embedding under the input's name.

    Where two names stand for one matrix, safetensors' `save_model` writes the first in the alphabet only.
    """
    if find_input(tensors) is not None or OUTPUT not in tensors:
        return tensors
    is_bloom = any(name.endswith(_BLOOMS_OWN) for name in tensors)
    return {INPUTS[is_bloom]: tensors[OUTPUT], **tensors}


def has_two_embeddings(tensors: Mapping[str, Tensor]) -> bool:
    """Whether there are two matrices of one shape that differ; looks at rows all over, the last among them.

    Raises what reading rows raises.
    """
    name = find_input(tensors)
    if name is None or OUTPUT not in tensors:
        return False
    first, second = tensors[name], tensors[OUTPUT]
    if first.shape != second.shape:
        return False
    last = max(first.shape[0] - _ROWS_PER_PLACE, 0)
    starts = sorted({last * place // _N_PLACES for place in range(_N_PLACES + 1)})
    places = [(start, min(start + _ROWS_PER_PLACE, first.shape[0])) for start in starts]
    return not all(np.array_equal(first.read_rows(*rows), second.read_rows(*rows)) for rows in places)
