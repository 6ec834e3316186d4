"""Refusals of LoRA adapters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from builders.checkpoints import write_json
from builders.gptq import write_arrays
from builders.lora import write_parts
from builders.refusals.row import Refusal, damaged, invalid
from builders.refused import Change, Given, cut, remove, setting, with_adapter

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
QKV = "transformer.h.0.self_attention.query_key_value"
PAIR = {f"{QKV}.lora_A.weight": np.ones((4, 64)), f"{QKV}.lora_B.weight": np.zeros((192, 4))}


def with_parts(parts: dict[str, np.ndarray], **settings: object) -> Change:
    as_floats = {name: values.astype(np.float32) for name, values in parts.items()}
    return lambda folder: write_parts(folder, as_floats, **settings)


def empty(folder: Path) -> None:
    write_arrays(folder / WEIGHTS, {})


def of_mlx(folder: Path) -> None:
    """As `mlx_lm.lora` writes them."""
    (folder / WEIGHTS).unlink()
    arrays = {f"{QKV}.lora_a": np.ones((64, 8), np.float32), f"{QKV}.lora_b": np.ones((8, 192), np.float32)}
    write_arrays(folder / "adapters.safetensors", arrays)
    settings = {"fine_tune_type": "lora", "num_layers": 16, "lora_parameters": {"rank": 8, "scale": 20.0}}
    write_json(folder / SETTINGS, settings)


def of_peft_0_2(folder: Path) -> None:
    """It set these two by itself for every adapter with a single target; A has the ranks of both parts."""
    parts = {f"{QKV}.lora_A.weight": np.ones((8, 64)), f"{QKV}.lora_B.weight": np.ones((128, 4))}
    settings = {"enable_lora": [True, False, True], "fan_in_fan_out": True, "merge_weights": False}
    with_parts(parts, target_modules=["query_key_value"], **settings)(folder)


ROWS = [
    Refusal(
        "an adapter alone", lambda root, _: Given(root / "lora"), "AdapterAlone", "base model", "基座模型"
    ),
    Refusal("no adapter", with_adapter(remove, SETTINGS), "NotAnAdapter", "is missing", "缺少"),
    damaged("an adapter cut", with_adapter(cut(0.7), WEIGHTS), "TruncatedFile"),
    damaged("an adapter's settings cut", with_adapter(cut(0.5), SETTINGS)),
    invalid(
        "half of a pair",
        with_adapter(with_parts({name: values for name, values in PAIR.items() if "lora_A" in name})),
        "there is only A",
    ),
    Refusal("an adapter of mlx-lm", with_adapter(of_mlx), "MlxAdapter", "mlx-lm", "mlx-lm"),
    Refusal(
        "a prefix tuning",
        with_adapter(setting(peft_type="PREFIX_TUNING"), SETTINGS),
        "PromptAdapter",
        "PREFIX_TUNING",
        "作用于每次对话",
    ),
    Refusal(
        "an adapter of PEFT that is no LoRA",
        with_adapter(setting(peft_type="IA3"), SETTINGS),
        "UnsupportedAdapter",
        "IA3",
        "无法合并",
    ),
    Refusal(
        "an adapter of PEFT 0.2 with a single target",
        with_adapter(of_peft_0_2),
        "JointMatrixAdapter",
        "Load it with PEFT 0.2.0",
        "之后的 PEFT 都不能读取",
    ),
    Refusal("an adapter of metadata only", with_adapter(empty), "EmptyAdapter", "holds no", "没有任何矩阵"),
    Refusal(
        "an adapter of ZeRO-3's placeholders",
        with_adapter(with_parts({name: np.zeros(0) for name in PAIR})),
        "UngatheredAdapter",
        "2 tensors are empty",
        "2 个张量是空的",
    ),
    Refusal(
        "an adapter before its training",
        with_adapter(with_parts(PAIR)),
        "UntrainedAdapter",
        "saved before it was trained",
        "训练之前",
    ),
    Refusal(
        "an adapter of another rank",
        with_adapter(setting(r=8), SETTINGS),
        "AdapterMismatch",
        "is needed",
        "应为",
    ),
    Refusal(
        "an impossible rank", with_adapter(setting(r=0), SETTINGS), "InvalidConfig", "r is 0", "不可能正确"
    ),
    Refusal(
        "another base",
        with_adapter(lambda _: None, base="llama"),
        "AdapterTargetMissing",
        "another base model",
        "基座模型是另一个",
    ),
    Refusal(
        "half of a larger vocabulary",
        with_adapter(with_parts({"lm_head.weight": np.ones((521, 64))}), base="llama"),
        "AdapterRowsMissing",
        "521 tokens",
        "521 个词元",
    ),
    Refusal(
        "a larger vocabulary without its tokenizer",
        with_adapter(with_parts({"transformer.word_embeddings.weight": np.ones((410, 64))})),
        "AdapterTokenizerMissing",
        "from 400 to 410 tokens",
        "从 400 个词元改为 410 个",
    ),
]
