"""What transformers itself reads from a config.json, and the logits of its own models, against ours."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.tokenizers import write_bloom_tokenizer
from convert.arch import read_architecture
from convert.arch.bloom import Bloom
from convert.arch.gated import GatedTransformer
from convert.detect import open_checkpoint
from convert.pipeline import Converted, convert
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0] * 2
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
SMALL = {
    "vocab_size": 400,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TINY_BLOOM = {"model_type": "bloom", "vocab_size": 400, "hidden_size": 64, "n_layer": 2, "n_head": 4}
MODELS: dict[str, dict[str, Any]] = {
    "bloom": TINY_BLOOM,
    "llama": {"model_type": "llama"},
    "llama-biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama3": {
        "model_type": "llama",
        "rope_parameters": {**LLAMA3, "rope_theta": 5e5},
        "tie_word_embeddings": True,
    },
    "llama-linear": {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}},
    "llama-dynamic": {"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "llama-yarn": {"model_type": "llama", "rope_scaling": YARN, "rope_theta": 5e5},
    "llama-yarn-mscale": {
        "model_type": "llama",
        "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.4},
    },
    "llama-swish": {"model_type": "llama", "hidden_act": "swish"},
    "qwen2": {"model_type": "qwen2"},
    "qwen2-tied": {"model_type": "qwen2", "tie_word_embeddings": True, "rope_theta": 1e6},
    "qwen2-yarn": {"model_type": "qwen2", "rope_scaling": {**YARN, "attention_factor": 1.4}},
    "qwen2-window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 40,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", "head_dim": 32},
    "qwen3-tied": {"model_type": "qwen3", "head_dim": 16, "tie_word_embeddings": True, "rope_theta": 1e6},
    "qwen3-yarn": {"model_type": "qwen3", "head_dim": 32, "rope_scaling": YARN},
}


def _settings(changes: dict[str, Any]) -> dict[str, Any]:
    return {**SMALL, **changes} if changes["model_type"] != "bloom" else changes


def _auto_config(folder: Path) -> Any:
    from transformers import AutoConfig

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoConfig.from_pretrained(folder)


@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS.keys())
def test_a_config_without_architectures_is_read_as_transformers_reads_it(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(_settings(changes)))
    theirs = _auto_config(tmp_path)
    ours = read_architecture(path, json.loads(path.read_text()))
    theirs.save_pretrained(tmp_path / "saved")
    again = read_architecture(path, json.loads((tmp_path / "saved" / "config.json").read_text()))

    assert ours.metadata().items() <= again.metadata().items()
    assert ours.family.model_type == theirs.model_type
    assert ours.n_vocab == theirs.vocab_size
    if isinstance(ours, Bloom):
        found = (ours.n_embd, ours.n_head, ours.n_layer, ours.norm_eps)
        assert found == (theirs.hidden_size, theirs.n_head, theirs.n_layer, theirs.layer_norm_epsilon)
        return
    assert isinstance(ours, GatedTransformer)
    rope = theirs.rope_parameters
    assert (ours.rope.theta or 10000.0) == rope["rope_theta"]
    kind = rope["rope_type"]
    assert ours.rope.scaling.get("type", kind) == kind
    assert bool(ours.rope.scaling) == (kind in ("linear", "yarn"))
    assert bool(ours.rope.llama3) == (kind == "llama3")
    assert bool(ours.rope.notes) == (kind == "dynamic")
    assert ours.rope.scaling.get("factor", rope.get("factor")) == rope.get("factor")
    assert (ours.n_head, ours.kv_heads, ours.n_layer) == (
        theirs.num_attention_heads,
        theirs.num_key_value_heads,
        theirs.num_hidden_layers,
    )
    assert ours.rope_dim == (getattr(theirs, "head_dim", None) or ours.n_embd // ours.n_head)
    assert (ours.norm_eps, ours.tied) == (theirs.rms_norm_eps, bool(theirs.tie_word_embeddings))


@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS.keys())
def test_a_model_that_transformers_saved_gives_its_logits(tmp_path: Path, changes: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    settings = _settings(changes)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**settings), attn_implementation="eager", dtype=torch.float32
    ).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:  # zeros and ones as they are made
            parameter.data += 0.2 * torch.randn_like(parameter)
        elif "embed" not in name:
            parameter.data = torch.randn_like(parameter) / parameter.shape[-1] ** 0.5
    model.save_pretrained(tmp_path / "hf")
    write_bloom_tokenizer(tmp_path / "hf", 400)
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0].numpy()
    with open_checkpoint(tmp_path / "hf") as opened:
        *_, last = convert(opened.plan("f32", opened.prompt("auto")), tmp_path / "m.gguf", threads=1)
    assert isinstance(last, Converted)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        found = loaded.logits(IDS)
    bound = 5e-4 if changes["model_type"] == "bloom" else 1e-5  # ggml's GELU goes through a float16 table
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) < bound
