"""Refusals of weights that are quantized already: by GPTQ and its kin, in FP8, by bitsandbytes, as ggml."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from builders.checkpoints import write_llama
from builders.ggml_files import Stored as GgmlStored
from builders.ggml_files import llama_tokens, write_llama_ggml
from builders.packed_weights import Matrix, Parts, Stored, four_bit_as, fp8_as, write_packed
from builders.refusals.row import Refusal, damaged, invalid
from builders.refused import Change, Given, Make, content, cut, edited, remove, setting, spoiled

B, G, C, GPTQ = "belle-4bit.pt", "ggml-model-q4_0.bin", "config.json", "quantize_config.json"
WORDS = Stored.of(np.zeros((4, 8), np.int32))
NAME = "model.layers.1.mlp.down_proj.weight"
SMALL: dict[str, Any] = {"n_ff": 192, "rotary_buffers": False}


def shards_of_8_bits(folder: Path) -> None:
    shutil.copy(folder / B, folder / "belle-8bit.pt")


def packed(
    quantize: Callable[[str, Matrix], tuple[Parts, Matrix]] = lambda name, weight: (
        {name: Stored.of(weight)},
        weight,
    ),
    change: Callable[[Parts], object] = lambda parts: None,
    **options: Any,
) -> Make:
    """LLaMA with its matrices quantized, after `change` of the stored parts of one."""

    def make(root: Path, folder: Path) -> Given:
        def changed(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
            parts, meant = quantize(name, weight)
            if name == NAME:
                change(parts)
            return parts, meant

        write_packed(folder / "packed", write_llama(folder / "plain", **SMALL), changed, **options)
        return Given(folder / "packed")

    return make


def named(kind: str, found: str, *parts: str, config: dict[str, Any] | None = None) -> Refusal:
    """A kind of integers that is not read, told by the names of its parts or by the settings."""
    extra = {f"x.{part}": WORDS for part in parts}
    make = packed(extra=extra, config=config)
    if config and "quant_method" in config:
        return Refusal(kind, make, "UnsupportedQuantization", found, "量化方式")
    return Refusal(kind, make, "UnsupportedPacking", f"packed integers of {found}", f"{found} 的打包整数")


def as_ggml(**options: Any) -> Make:
    def make(root: Path, folder: Path) -> Given:
        write_llama_ggml(folder / G, write_llama(folder / "plain", **SMALL), **options)
        return Given(folder / G)

    return make


def of_noise(root: Path, folder: Path) -> Given:
    """Blocks whose scales are random bits, in a form with more than one layout."""
    llama = write_llama(folder / "plain", **SMALL)
    write_llama_ggml(folder / G, llama, form="ggml", version=0)
    data, noise = (folder / G).read_bytes(), np.random.default_rng(0)
    start = len(data) // 8  # after the vocabulary
    for name in ("layers.0.feed_forward.w1.weight", "tok_embeddings.weight"):
        start = data.index(name.encode()) + len(name)
        rows = 192 if "w1" in name else 520
        data = data[:start] + noise.bytes(rows * 2 * 20) + data[start + rows * 2 * 20 :]
    (folder / G).write_bytes(data)
    return Given(folder / G)


def unordered() -> list[tuple[bytes, float]]:
    tokens = llama_tokens(520)
    tokens[259:] = reversed(tokens[259:])
    return tokens


def part_of_another(folder: Path) -> None:
    write_llama_ggml(folder / G, write_llama(folder / "other", n_ff=192, n_layer=1), n_parts=2)
    first = (folder / G).read_bytes()
    write_llama_ggml(folder / G, write_llama(folder / "other", n_ff=192), n_parts=2)
    (folder / G).write_bytes(first)
    shutil.rmtree(folder / "other")


def ggml_start(*words: int) -> Change:
    return content(struct.pack(f"<{len(words)}I", *words) + bytes(4096))


ROWS = [
    # GPTQ
    damaged("GPTQ cut", spoiled("gptq", cut(0.7), B)),
    Refusal(
        "several files", spoiled("gptq", shards_of_8_bits), "SeveralWeightFiles", "several weight", "多个权重"
    ),
    Refusal(
        "GPTQ without a config", spoiled("gptq", remove, C), "GptqConfigMissing", "no config.json", "GPTQ"
    ),
    Refusal(
        "GPTQ of 5 bits",
        spoiled("gptq", setting(bits=5), GPTQ),
        "UnsupportedQuantization",
        "bits",
        "量化方式",
    ),
    Refusal(
        "GPTQ of other bits than it says",
        spoiled("gptq", setting(bits=8), GPTQ),
        "QuantizationMismatch",
        "does not fit",
        "不符",
    ),
    # Other kinds, by their names
    named("integers of Quanto", "Quanto", "weight._data", "weight._scale"),
    named("a method that is not read", "of-2027", "weight", config={"quant_method": "of-2027"}),
    named("integers of MLX", "MLX", "weight", "scales", "biases", config={"group_size": 64, "bits": 4}),
    named("integers of HQQ", "HQQ", "W_q"),
    named("integers of AQLM", "aqlm", "codebooks", "codes", config={"quant_method": "aqlm"}),
    named("integers of torchao", "torchao", "_weight_qdata", config={"quant_method": "torchao"}),
    named("packed compressed-tensors", "compressed-tensors", "weight_packed", "weight_scale"),
    named(
        "AWQ of another form",
        "gemv",
        "qweight",
        "qzeros",
        "scales",
        config={"quant_method": "awq", "version": "gemv"},
    ),  # fmt: skip
    Refusal(
        "a new kind of bitsandbytes",
        packed(extra={"x.weight": WORDS, "x.weight.quant_state.bitsandbytes__af4": WORDS}),
        "UnsupportedQuantization",
        "af4",
        "af4",
    ),
    # FP8 and bitsandbytes
    Refusal(
        "an FP8 matrix without its scale",
        packed(fp8_as(block=(128, 128)), lambda parts: parts.pop(f"{NAME}_scale_inv")),
        "MissingTensor",
        "down_proj.weight_scale",
        "缺少张量",
    ),
    Refusal(
        "FP8 scales of other blocks",
        packed(
            fp8_as(block=(128, 128)),
            lambda parts: parts.update({f"{NAME}_scale_inv": Stored.of(np.ones((2, 7), np.float32))}),
        ),
        "QuantizationMismatch",
        "does not fit",
        "不符",
    ),
    invalid(
        "a settings' text of bitsandbytes that is a list",
        packed(
            four_bit_as(nested=True),
            lambda parts: parts.update(
                {f"{NAME}.quant_state.bitsandbytes__nf4": Stored.of(np.frombuffer(b'["nf4", 64]', np.uint8))}
            ),
        ),
        "not a JSON object",
    ),
    # ggml's files of 2023
    damaged("ggml cut in its vocabulary", spoiled("ggml", cut(0.02), G), "TruncatedFile"),
    damaged("ggml cut in a tensor", spoiled("ggml", cut(0.7), G), "TruncatedFile"),
    damaged("garbage after ggml", spoiled("ggml", edited(lambda data: data + b"\xff" * 64), G)),
    Refusal(
        "ggml's blocks of noise",
        of_noise,
        "UnknownGgmlBlocks",
        "make no sense in any layout",
        "不符合",
        "wrong",
    ),
    Refusal(
        "ggjt of version 9",
        spoiled("ggml", edited(lambda data: data[:4] + b"\x09" + data[5:]), G),
        "UnknownGgmlVersion",
        "version 9",
        "版本为 9",
    ),
    Refusal(
        "a type that ggml dropped",
        as_ggml(version=1, extra=[GgmlStored("layers.0.attention.wq.weight", (64, 64), 4, bytes(64 * 40))]),
        "UnsupportedGgmlType",
        "Q4_2",
        "Q4_2",
    ),
    Refusal(
        "a model of whisper.cpp",
        spoiled("ggml", ggml_start(0x67676D6C, 51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1), G),
        "UnknownGgmlModel",
        "neither a LLaMA model",
        "只能转换这两种",
    ),
    Refusal(
        "the first ChatBELLE's file",
        spoiled("ggml", ggml_start(0x9D9A939A, 0xE67684DB), G),
        "PrivateGgmlContainer",
        "never published",
        "从未公开",
    ),
    Refusal(
        "a vocabulary in no order",
        as_ggml(form="ggml", version=0, kind="f16", tokens=unordered()),
        "UnscoredGgmlVocabulary",
        "--tokenizer",
        "推不出分数",
    ),
    invalid("a part of another model", spoiled("ggml", part_of_another), "its header is not that of"),
    Refusal(
        "BLOOM's ggml", spoiled("bloomz", lambda _: None), "LossyGgmlVocabulary", "bloomz.cpp", "合并规则"
    ),
]
