"""Names that training programs put around and between modules, and the models' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_bloom, write_llama, write_safetensors
from builders.torch_old import write_old_torch
from builders.torch_zip import write_torch_zip
from convert.detect import open_checkpoint
from convert.errors import Detail, InvalidFile, UngatheredWeights, UnmergedAdapter
from convert.sources.hf_folder import open_weights
from convert.sources.module_names import plain_name

Rename = Callable[[str], str]

WRAPPED: dict[str, Rename] = {
    "data parallel": lambda name: f"module.{name}",
    "compiled": lambda name: f"_orig_mod.{name}",
    "compiled data parallel": lambda name: f"_orig_mod.module.{name}",
    "data parallel of compiled": lambda name: f"module._orig_mod.{name}",
    "compiled layers": lambda name: name.replace(".0.", ".0._orig_mod."),
    "fsdp": lambda name: "_fsdp_wrapped_module." + name.replace(".0.", ".0._fsdp_wrapped_module."),
    "fsdp with checkpointing": lambda name: (
        "module._fsdp_wrapped_module."
        + name.replace(".1.", ".1._fsdp_wrapped_module._checkpoint_wrapped_module.")
    ),
    "peft": lambda name: f"base_model.model.{name}",
    "data parallel of peft": lambda name: f"module.base_model.model.{name}",
    "lightning": lambda name: f"model.{name}",
    "lightning with a strategy": lambda name: f"_forward_module.model.{name}",
}


@pytest.fixture(params=["llama", "bloom"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    write = {"llama": write_llama, "bloom": write_bloom}[request.param]
    return write(tmp_path / "made")


def rows_of(folder: Path) -> dict[str, Any]:
    """The first rows of every tensor by its name in the GGUF."""
    with open_checkpoint(folder) as checkpoint:
        return {tensor.name: tensor.source.read_rows(0, 1) for tensor in checkpoint.mapped}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_wrapped_models_tensors_are_its_own(made: Checkpoint, wrapper: str) -> None:
    expected = rows_of(made.folder)
    renamed = {WRAPPED[wrapper](name): array for name, array in made.weights.items()}
    assert renamed.keys() != made.weights.keys()
    write_safetensors(made.folder / "model.safetensors", renamed, "f32")
    found = rows_of(made.folder)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_array_equal(found[name], rows)


@pytest.mark.parametrize("write", [write_torch_zip, write_old_torch])
def test_a_wrapped_models_torch_file_is_read_as_well(made: Checkpoint, write: Any) -> None:
    expected = rows_of(made.folder)
    (made.folder / "model.safetensors").unlink()
    write(
        made.folder / "pytorch_model.bin",
        {f"module._orig_mod.{name}": array for name, array in made.weights.items()},
    )
    found = rows_of(made.folder)
    for name, rows in expected.items():
        np.testing.assert_array_equal(found[name], rows)


@pytest.mark.parametrize(
    "name",
    [
        *("model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight", "lm_head.weight"),
        *(
            "transformer.h.0.ln_f.weight",
            "h.0.mlp.module.weight",
            "model.norm.weight",
            "word_embeddings.weight",
        ),
        "layers.0.modules.weight",
    ],
)
def test_a_models_own_names_stay(name: str) -> None:
    assert plain_name(name) == name


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    ones = np.ones((2, 3), np.float32)
    write_safetensors(tmp_path / "model.safetensors", {"w": ones, "module.w": ones}, "f32")
    with pytest.raises(InvalidFile) as refused:
        open_weights(tmp_path)
    assert isinstance(refused.value.detail, Detail)
    assert refused.value.detail.key == "tensor_names"


def test_placeholders_of_zero_3_are_named(made: Checkpoint) -> None:
    """Small tensors are whole in such a file; empty ones that are no weights are nothing of the kind."""
    weights = dict(made.weights)
    matrix = next(name for name, array in weights.items() if array.ndim == 2)
    weights[matrix] = np.zeros(0, np.float32)
    write_safetensors(made.folder / "model.safetensors", weights, "f32")
    with pytest.raises(UngatheredWeights) as refused:
        open_checkpoint(made.folder)
    assert refused.value.tensor == matrix


@pytest.mark.parametrize("part", ["lora_A.default.weight", "lora_B.weight", "modules_to_save.default.weight"])
def test_an_adapter_inside_of_its_model_is_named(tmp_path: Path, part: str) -> None:
    ones = np.ones((2, 3), np.float32)
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    write_safetensors(
        tmp_path / "model.safetensors",
        {f"{module}.base_layer.weight": ones, f"{module}.{part}": ones},
        "f32",
    )
    with pytest.raises(UnmergedAdapter) as refused:
        open_weights(tmp_path)
    assert refused.value.tensor == f"{module}.{part}"


@pytest.mark.torch
def test_the_wrappers_of_torch_give_the_names_that_are_taken_off() -> None:
    torch = pytest.importorskip("torch")
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    def model() -> Any:
        layers = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(2, 2)])})
        return torch.nn.ModuleDict({"model": layers, "lm_head": torch.nn.Linear(2, 2)})

    def checkpointed() -> Any:
        inner = model()
        inner["model"]["layers"][0] = checkpoint_wrapper(inner["model"]["layers"][0])
        return inner

    compiled, parallel = torch.compile(model()), torch.nn.DataParallel(model())
    wrapped = [compiled, parallel, torch.compile(parallel), torch.nn.DataParallel(compiled), checkpointed()]
    expected = [name for name, _ in model().named_parameters()]
    for outer in wrapped:
        names = [name for name, _ in outer.named_parameters()]
        assert names != expected
        assert [plain_name(name) for name in names] == expected
