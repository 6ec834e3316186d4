"""A checkpoint folder, converted by the whole pipeline, gives the logits of an independent forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.qwen import write_qwen
from convert.detect import open_checkpoint
from convert.pipeline import Converted, convert
from reference import bloom, llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0] * 2
BLOOM_FLOOR = 5e-4
"""ggml's GELU goes through a float16 table, whatever the weights' type."""

CASES: list[Any] = [
    pytest.param(write_bloom, bloom.logits, {}, BLOOM_FLOOR, id="bloom"),
    pytest.param(write_bloom, bloom.logits, {"n_head": 6, "hidden": 96}, BLOOM_FLOOR, id="bloom-6-heads"),
    pytest.param(write_bloom, bloom.logits, {"n_head": 3, "hidden": 96}, BLOOM_FLOOR, id="bloom-3-heads"),
    pytest.param(write_llama, llama.logits, {}, 5e-6, id="llama"),
    pytest.param(write_llama, llama.logits, {"n_head_kv": 2, "tied": True}, 5e-6, id="llama-gqa-tied"),
    pytest.param(write_qwen, llama.logits, {"family": "qwen2"}, 5e-6, id="qwen2"),
    pytest.param(write_qwen, llama.logits, {"family": "qwen3", "tied": True}, 5e-6, id="qwen3-tied"),
    pytest.param(write_qwen, llama.logits, {"family": "qwen3", "head_dim": 32}, 5e-6, id="qwen3-wide-heads"),
]
FORMS: list[Any] = [
    pytest.param({}, id="one-file"),
    pytest.param({"dtype": "f16", "n_shards": 3}, id="f16-shards"),
    pytest.param({"dtype": "bf16", "n_vocab": 640}, id="bf16-padded"),
]


def _convert(checkpoint: Checkpoint, target: str, output: Path) -> None:
    with open_checkpoint(checkpoint.folder) as opened:
        *_, last = convert(opened.plan(target, opened.prompt("none")), output, threads=1)
    assert isinstance(last, Converted)


def _largest_relative_error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("write", "logits", "sizes", "bound"), CASES)
def test_converted_logits_equal_the_reference(
    tmp_path: Path,
    write: Callable[..., Checkpoint],
    logits: Callable[..., Any],
    sizes: dict[str, Any],
    bound: float,
    form: dict[str, Any],
) -> None:
    checkpoint = write(tmp_path / "hf", **sizes, **form)
    expected = logits(checkpoint.config, checkpoint.weights, IDS)
    for target, limit in (("f32", bound), ("f16", 3e-3)):
        output = tmp_path / f"{target}.gguf"
        _convert(checkpoint, target, output)
        with LoadedModel(output) as model:
            assert _largest_relative_error(model.logits(IDS), expected) < limit
