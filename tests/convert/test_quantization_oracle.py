"""Our one-pass conversion against llama.cpp's own quantizer, tensor for tensor and byte for byte."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from gguf import GGUFReader

from builders.shaped_models import ShapedModel, bloom_shaped, llama_shaped
from convert.arch.qwen2 import QWEN2
from convert.arch.qwen3 import QWEN3
from convert.pipeline import Converted, Plan, convert
from convert.recipes import TARGETS

MODELS = {
    "bloom-256-8-layers": lambda: bloom_shaped(256, 8),
    "bloom-512-untied": lambda: bloom_shaped(512, 3, tied=False),
    "bloom-64-falls-back": lambda: bloom_shaped(64, 8),
    "bloom-96-falls-back": lambda: bloom_shaped(96, 4),
    "bloom-16-no-block-fits": lambda: bloom_shaped(16, 2, ff_width=64),
    "llama-256-17-layers": lambda: llama_shaped(256, 17),
    "llama-256-tied": lambda: llama_shaped(256, 8, tied=True),
    "llama-512-grouped-query": lambda: llama_shaped(512, 9, n_heads=8, n_kv_heads=2),
    "llama-64-falls-back": lambda: llama_shaped(64, 8, ff_width=160),
    "llama-96-odd-feed-forward": lambda: llama_shaped(96, 8, ff_width=272),
    "llama-70b": lambda: llama_shaped(256, 80, ff_width=256, n_heads=8, n_kv_heads=4),
    "qwen2-256-grouped-query": lambda: llama_shaped(256, 9, n_heads=8, n_kv_heads=2, family=QWEN2),
    "qwen2-96-tied-falls-back": lambda: llama_shaped(96, 8, ff_width=272, tied=True, family=QWEN2),
    "qwen2-72b": lambda: llama_shaped(256, 80, ff_width=256, n_heads=8, n_kv_heads=8, family=QWEN2),
    "qwen3-256-wide-heads": lambda: llama_shaped(256, 17, n_kv_heads=1, head_dim=128, family=QWEN3),
    "qwen3-512-tied": lambda: llama_shaped(512, 9, n_heads=8, n_kv_heads=4, tied=True, family=QWEN3),
    "qwen3-80-layers": lambda: llama_shaped(256, 80, ff_width=256, n_heads=8, n_kv_heads=2, family=QWEN3),
}
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def run(plan: Plan, output: Path, threads: int = 2) -> Converted:
    *_, last = convert(plan, output, threads=threads)
    assert isinstance(last, Converted)
    return last


def read_tensors(path: Path) -> Tensors:
    return {
        tensor.name: (tensor.tensor_type.name, tuple(tensor.shape.tolist()), tensor.data.tobytes())
        for tensor in GGUFReader(path).tensors
    }


def quantize_with_llama_cpp(source: Path, output: Path, file_type: int) -> None:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    parameters.nthread = 2
    assert llama_cpp.llama_model_quantize(bytes(source), bytes(output), parameters) == 0


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def float16_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ShapedModel, Path]:
    model = request.param()
    path = tmp_path_factory.mktemp("oracle") / "f16.gguf"
    run(model.plan("f16"), path)
    return model, path


@pytest.mark.parametrize("target", TARGETS)
def test_equals_llama_model_quantize(
    float16_model: tuple[ShapedModel, Path], target: str, tmp_path: Path
) -> None:
    model, float16_path = float16_model
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    quantize_with_llama_cpp(float16_path, theirs, TARGETS[target].file_type)
    run(model.plan(target), ours)
    found, expected = read_tensors(ours), read_tensors(theirs)
    assert {name: tensor[:2] for name, tensor in found.items()} == {
        name: tensor[:2] for name, tensor in expected.items()
    }
    assert [name for name in expected if found[name] != expected[name]] == []


def test_float16_source_is_kept_exactly(float16_model: tuple[ShapedModel, Path]) -> None:
    model, path = float16_model
    found = {tensor.name: tensor.data for tensor in GGUFReader(path).tensors}
    for mapped in model.mapped:
        expected = mapped.source.read_rows(0, mapped.shape[0])
        np.testing.assert_array_equal(found[mapped.name].astype(np.float32), expected)
