"""Adapters that PEFT itself saved, merged here and by PEFT.

Where the base's two embeddings are one matrix and the adapter is for one of them, PEFT merges into both,
which is not what it computes before; there the oracle is PEFT on a base whose matrices are two.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.gptq import write_arrays
from builders.tokenizers import write_bloom_tokenizer, write_llama_tokenizer
from convert.checkpoint import Checkpoint as Opened
from convert.detect import open_checkpoint
from convert.errors import (
    AdapterRowsMissing,
    AdapterTokenizerMissing,
    PromptAdapter,
    UnsupportedAdapter,
    UntrainedAdapter,
)
from convert.quantize import read_mapped_rows
from convert.sources.lora import LoraChoice

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

IDS = [[1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12]]
QV = ["q_proj", "v_proj"]
BOTH = ["q_proj", "embed_tokens", "lm_head"]
LAYER = "model.layers.0.self_attn"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_layer=2, n_head_kv=2)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("tied"), n_layer=1, tied=True)


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Every projection of the attention has a bias."""
    plain = write_llama(tmp_path_factory.mktemp("biased"), n_layer=1, config={"attention_bias": True})
    random = np.random.default_rng(5)
    biases = {
        f"{LAYER}.{name}.bias": random.standard_normal(64).astype(np.float32)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    }
    write_arrays(plain.folder / "model.safetensors", plain.weights | biases)
    return plain


@pytest.fixture(scope="module")
def bloom(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_bloom(tmp_path_factory.mktemp("bloom"), n_layer=2)


def load(folder: Path) -> Any:
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def train(model: Any, seed: int = 0) -> None:
    """Every weight that PEFT would train, moved."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


def save_adapter(
    base: Checkpoint, folder: Path, n_tokens: int | None = None, seed: int = 0, **settings: Any
) -> Path:
    """An adapter that PEFT saved, trained on the base with its embeddings resized to `n_tokens`."""
    model = load(base.folder)
    if n_tokens is not None:
        model.resize_token_embeddings(n_tokens, mean_resizing=False)
    model = peft.get_peft_model(model, peft.LoraConfig(**({"r": 4, "task_type": "CAUSAL_LM"} | settings)))
    train(model, seed)
    model.save_pretrained(folder)
    return folder


def merge(base: Checkpoint, *adapters: Path, n_tokens: int | None = None) -> dict[str, NDArray[np.float32]]:
    """What PEFT makes of a base whose embeddings are two matrices."""
    model = load(base.folder)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        model.config.tie_word_embeddings = False
    if n_tokens is not None:
        model.resize_token_embeddings(n_tokens, mean_resizing=False)
    for adapter in adapters:
        model = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return {name: tensor.detach().float().numpy().copy() for name, tensor in model.state_dict().items()}


def read_all(opened: Opened) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: read_mapped_rows(tensor, 0, tensor.shape[0]) for tensor in opened.mapped}


def check(base: Checkpoint, weights: Mapping[str, Any], tmp_path: Path, *adapters: Path) -> Opened:
    """The merged weights are those of a plain checkpoint with these, within two millionths of the largest."""
    folder = tmp_path / "expected"
    shutil.copytree(base.folder, folder, dirs_exist_ok=True)
    embedding = next(
        array
        for name, array in weights.items()
        if name.endswith(("embed_tokens.weight", "word_embeddings.weight"))
    )
    config = json.loads((folder / "config.json").read_text())
    config |= {"vocab_size": embedding.shape[0], "tie_word_embeddings": "lm_head.weight" not in weights}
    (folder / "config.json").write_text(json.dumps(config))
    write_arrays(folder / "model.safetensors", weights)
    with open_checkpoint(folder) as opened:
        expected = read_all(opened)
    with open_checkpoint(base.folder, loras=[LoraChoice(adapter) for adapter in adapters]) as opened:
        found = read_all(opened)
        assert list(found) == list(expected)
        for name, rows in found.items():
            bound = 2e-6 * np.abs(expected[name]).max()
            np.testing.assert_allclose(rows, expected[name], rtol=0, atol=bound, err_msg=name)
        return opened


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": QV},
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.layers\.1\..*(q|up)_proj"},
        {"target_modules": QV, "layers_to_transform": [1], "use_rslora": True},
        {"target_modules": QV, "fan_in_fan_out": True},
        {"target_modules": BOTH},
        {"target_modules": QV, "use_dora": True},
        {"target_modules": BOTH, "use_dora": True, "lora_alpha": 32},
        {"target_modules": QV, "modules_to_save": ["norm"]},
        {"target_modules": QV, "modules_to_save": ["mlp", "self_attn.o_proj"]},
        {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": QV, "trainable_token_indices": [7, 3, 500]},
        {"target_modules": QV, "trainable_token_indices": {"embed_tokens": [7, 3], "lm_head": [1]}},
        {"target_modules": QV, "rank_pattern": {r"layers\.\d+\.self_attn\.q_proj": 2, "v_proj": 3}},
        {"target_modules": QV, "alpha_pattern": {r"^model\.layers\.(0|2)\..*": 3, "layers.1.*v_proj": 5}},
        {"target_modules": QV, "rank_pattern": {"_proj": 2, "proj": 3, ".*_proj": 1}, "r": 6},
    ],
    ids=str,
)
def test_what_peft_saved_is_merged_as_peft_merges_it(
    tmp_path: Path, llama: Checkpoint, settings: dict[str, Any]
) -> None:
    adapter = save_adapter(llama, tmp_path / "lora", **settings)
    check(llama, merge(llama, adapter), tmp_path, adapter)


@pytest.mark.parametrize("bias", ["all", "lora_only", "none"])
@pytest.mark.parametrize("lora_bias", [False, True])
def test_biases(tmp_path: Path, biased: Checkpoint, bias: str, lora_bias: bool) -> None:
    adapter = save_adapter(biased, tmp_path / "lora", target_modules=QV, bias=bias, lora_bias=lora_bias)
    check(biased, merge(biased, adapter), tmp_path, adapter)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["query_key_value"], "bias": "all", "lora_bias": True},
        {"target_modules": ["query_key_value", "dense"], "use_dora": True},
        {"target_modules": ["word_embeddings", "query_key_value"]},
        {"target_modules": ["query_key_value"], "modules_to_save": ["ln_f", "input_layernorm"]},
        {"target_modules": ["query_key_value"], "modules_to_save": ["lm_head"]},
    ],
    ids=str,
)
def test_bloom(tmp_path: Path, bloom: Checkpoint, settings: dict[str, Any]) -> None:
    adapter = save_adapter(bloom, tmp_path / "lora", **settings)
    weights = merge(bloom, adapter)
    if np.array_equal(weights["lm_head.weight"], weights["transformer.word_embeddings.weight"]):
        del weights["lm_head.weight"]
    check(bloom, weights, tmp_path, adapter)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": BOTH},
        {"target_modules": BOTH, "use_dora": True},
        {"target_modules": QV, "modules_to_save": ["embed_tokens"]},
        {"target_modules": QV, "modules_to_save": ["lm_head"]},
        {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]},
    ],
    ids=str,
)
def test_one_embedding_becomes_two_where_the_adapter_is_for_one(
    tmp_path: Path, tied: Checkpoint, settings: dict[str, Any]
) -> None:
    adapter = save_adapter(tied, tmp_path / "lora", **settings)
    weights = merge(tied, adapter)
    opened = check(tied, weights, tmp_path, adapter)
    assert "adapter_untied" in [note.key for note in opened.notes]
    with torch.no_grad():
        trained = peft.PeftModel.from_pretrained(load(tied.folder), adapter)(torch.tensor(IDS)).logits
        two = load(tied.folder)
        two.lm_head.weight = torch.nn.Parameter(torch.tensor(weights["lm_head.weight"]))
        two.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        merged = two(torch.tensor(IDS)).logits
    assert (trained - merged).abs().max() < 1e-5 * trained.abs().max()


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": QV},
        {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": QV, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": QV, "trainable_token_indices": [7, 3, 500]},
    ],
    ids=str,
)
def test_one_embedding_stays_one_where_it_was_trained_as_one(
    tmp_path: Path, tied: Checkpoint, settings: dict[str, Any]
) -> None:
    adapter = save_adapter(tied, tmp_path / "lora", **settings)
    with torch.no_grad():
        model = peft.PeftModel.from_pretrained(load(tied.folder), adapter)
        trained = model(torch.tensor(IDS)).logits
    with open_checkpoint(tied.folder, loras=[LoraChoice(adapter)]) as opened:
        found = read_all(opened)
    assert "output.weight" not in found
    two = load(tied.folder)
    names = {"embed_tokens.weight": "token_embd", "norm.weight": "output_norm"}
    assert set(names) <= set(two.model.state_dict())
    weights = merge(tied, adapter)
    with torch.no_grad():
        two.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, strict=False)
        two.model.embed_tokens.weight.copy_(torch.tensor(found["token_embd.weight"]))
        merged = two(torch.tensor(IDS)).logits
    assert (trained - merged).abs().max() < 1e-5 * trained.abs().max()


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": QV},
        {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": BOTH},
        {"target_modules": QV, "trainable_token_indices": [3, 523]},
    ],
    ids=str,
)
def test_a_resized_vocabulary_comes_with_the_adapters_tokenizer(
    tmp_path: Path, llama: Checkpoint, settings: dict[str, Any]
) -> None:
    adapter = save_adapter(llama, tmp_path / "lora", n_tokens=528, **settings)
    with pytest.raises(AdapterTokenizerMissing) as caught:
        open_checkpoint(llama.folder, loras=[LoraChoice(adapter)])
    assert (caught.value.n_before, caught.value.n_after) == (520, 528)
    write_llama_tokenizer(adapter, 525)
    opened = check(llama, merge(llama, adapter, n_tokens=528), tmp_path, adapter)
    assert len(opened.vocabulary.tokens) == 525
    assert opened.tokenizer_path == adapter / "tokenizer.model"
    assert opened.plan("f16", opened.prompt("none")).n_padding_tokens == 3


def test_a_second_adapter_goes_on_the_resized_vocabulary(tmp_path: Path, llama: Checkpoint) -> None:
    first = save_adapter(llama, tmp_path / "a", n_tokens=528, target_modules=QV,
                         modules_to_save=["embed_tokens", "lm_head"])  # fmt: skip
    write_llama_tokenizer(first, 528)
    settings = {"target_modules": ["embed_tokens", "lm_head", "o_proj"], "use_dora": True}
    second = save_adapter(llama, tmp_path / "b", n_tokens=528, seed=3, **settings)
    opened = check(llama, merge(llama, first, second, n_tokens=528), tmp_path, first, second)
    assert [note.key for note in opened.notes].count("adapter_vocabulary") == 1


def test_half_of_a_resized_vocabulary_is_refused(tmp_path: Path, llama: Checkpoint) -> None:
    """PEFT saves the resized embedding that it trains, and not the output matrix beside it."""
    adapter = save_adapter(llama, tmp_path / "lora", n_tokens=528, target_modules=["q_proj", "embed_tokens"])
    write_llama_tokenizer(adapter, 528)
    with pytest.raises(AdapterRowsMissing) as caught:
        open_checkpoint(llama.folder, loras=[LoraChoice(adapter)])
    assert (caught.value.tensor, caught.value.n_rows) == ("lm_head.weight", 528)


def test_a_resized_tied_vocabulary_stays_tied(tmp_path: Path, tied: Checkpoint, bloom: Checkpoint) -> None:
    for base, targets, write in (
        (tied, QV, write_llama_tokenizer),
        (bloom, ["query_key_value"], write_bloom_tokenizer),
    ):
        folder = tmp_path / base.folder.name
        adapter = save_adapter(base, folder, n_tokens=528, target_modules=targets)
        write(adapter, 528 if base is tied else 420)
        weights = merge(base, adapter, n_tokens=528)
        del weights["lm_head.weight"]
        check(base, weights, folder, adapter)


def test_the_pickled_form(tmp_path: Path, llama: Checkpoint) -> None:
    adapter = save_adapter(llama, tmp_path / "safetensors", target_modules=BOTH, use_dora=True)
    weights = merge(llama, adapter)
    model = peft.PeftModel.from_pretrained(load(llama.folder), adapter)
    model.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    assert (tmp_path / "pickled" / "adapter_model.bin").is_file()
    check(llama, weights, tmp_path, tmp_path / "pickled")


def test_what_is_no_lora_is_named(tmp_path: Path, llama: Checkpoint) -> None:
    config = {"task_type": "CAUSAL_LM", "target_modules": QV}
    prompts = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 3}
    for settings, error in (
        (peft.IA3Config(**config, feedforward_modules=[]), UnsupportedAdapter),
        (peft.LoHaConfig(**config), UnsupportedAdapter),
        (peft.LoKrConfig(**config), UnsupportedAdapter),
        (peft.AdaLoraConfig(**config, total_step=9), UnsupportedAdapter),
        (peft.PrefixTuningConfig(**prompts), PromptAdapter),
        (peft.PromptTuningConfig(**prompts), PromptAdapter),
    ):
        folder = tmp_path / settings.peft_type.value
        peft.get_peft_model(load(llama.folder), settings).save_pretrained(folder)
        for path, loras in ((llama.folder, [LoraChoice(folder)]), (folder, [])):
            with pytest.raises(error) as caught:
                open_checkpoint(path, loras=loras)
            assert settings.peft_type.value in caught.value.found


def test_an_adapter_that_was_never_trained_is_refused(tmp_path: Path, llama: Checkpoint) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "embed_tokens"], task_type="CAUSAL_LM")
    peft.get_peft_model(load(llama.folder), config).save_pretrained(tmp_path / "lora")
    with pytest.raises(UntrainedAdapter):
        open_checkpoint(llama.folder, loras=[LoraChoice(tmp_path / "lora")])
