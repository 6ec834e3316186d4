"""Every reader's refusals in one table: real files of which one thing is wrong, and what a person is told.

A sentence says "damaged", "cut short" or "download it again" only where bytes are missing or wrong, and says
so wherever they are: that is compared, for each row, with what was done to its files.
"""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from builders.checkpoints import write_bloom, write_json, write_llama, write_safetensors
from builders.encrypted import write_encrypted
from builders.ggml_files import write_llama_ggml
from builders.gguf_models import write_model
from builders.gptq import write_arrays
from builders.refused import (
    KEY,
    POINTER,
    Change,
    Given,
    Make,
    content,
    copy,
    cut,
    edited,
    encrypted,
    flipped,
    remove,
    setting,
    spoiled,
    with_adapter,
    with_key,
    write_originals,
)
from builders.torch_old import old_file, write_old_torch
from builders.torch_zip import call, checkpoint, name, number, text, write_torch_zip
from convert.detect import open_checkpoint
from convert.errors import ConvertError
from convert.i18n import Catalog, Language
from convert.pipeline import convert

CATALOG = Catalog("convert.i18n")
BLAMES_BYTES: dict[Language, str] = {
    "en": r"damaged|cut short|not downloaded completely|[Dd]ownload (it|the file|the model) again",
    "zh-CN": r"损坏|被截断|没有下载完|重新下载(?!没有用)",
}
W, T, B, G, P = (
    "model.safetensors",
    "pytorch_model.bin",
    "belle-4bit.pt",
    "ggml-model-q4_0.bin",
    "params.json",
)
C, J, S, A = "config.json", "tokenizer.json", "tokenizer.model", "adapter_model.safetensors"
SHARD, INDEX, FIRST = "model-00002-of-00003.safetensors", f"{W}.index.json", "consolidated.00.pth"


@dataclass(frozen=True)
class Refusal:
    """kind: of input. bytes: whether some are missing or wrong. english, chinese: of the sentence."""

    kind: str
    make: Make
    error: str
    english: str
    chinese: str
    bytes: Literal["whole", "wrong"] = "whole"


def damaged(kind: str, make: Make, error: str = "DamagedFile") -> Refusal:
    english, chinese = {
        "TruncatedFile": ("is cut short", "被截断"),
        "DamagedEncryptedFile": ("download it again", "重新下载"),
    }.get(error, ("is damaged", "已损坏"))
    return Refusal(kind, make, error, english, chinese, "wrong")


def invalid(kind: str, make: Make, english: str) -> Refusal:
    return Refusal(kind, make, "InvalidFile", english, "可以读取，但不能用")


def two_models(folder: Path) -> None:
    for place in ("a", "b"):
        copy(folder, folder / place, "a", "b")
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def without_tensor(folder: Path) -> None:
    weights = write_bloom(folder / "again", dtype="f16").weights
    shutil.rmtree(folder / "again")
    kept = {key: values for key, values in weights.items() if "ln_f.bias" not in key}
    write_safetensors(folder / W, kept, "f16")


def with_integers(path: Path) -> None:
    write_torch_zip(path, {"transformer.word_embeddings.weight": np.zeros((400, 64), np.int64)})


def linked_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("../../blobs/0123")


def second_weights(folder: Path) -> None:
    shutil.copy(folder / B, folder / "belle-8bit.pt")


def part_of_another(folder: Path) -> None:
    llama = write_llama(folder / "other", n_ff=192, n_layer=1)
    write_llama_ggml(folder / G, llama, n_parts=2)
    first = (folder / G).read_bytes()
    llama = write_llama(folder / "other", n_ff=192)
    write_llama_ggml(folder / G, llama, n_parts=2)
    (folder / G).write_bytes(first)
    shutil.rmtree(folder / "other")


def renamed(path: Path) -> None:
    path.rename(path.with_name(f"{W}.{'0' * 64}.enc"))


def two_encrypted(path: Path) -> None:
    write_encrypted(path.parent, W, b"another", KEY)


def old_torch(share: float) -> Change:
    def change(path: Path) -> None:
        write_old_torch(path, write_bloom(path.parent / "again").weights)
        shutil.rmtree(path.parent / "again")
        cut(share)(path)

    return change


def tar_archive(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for member in ("storages", "tensors", "pickle", "sys_info"):
            archive.addfile(tarfile.TarInfo(member), io.BytesIO())


def ungathered(folder: Path) -> None:
    weights = write_bloom(folder / "again", dtype="f16").weights
    shutil.rmtree(folder / "again")
    matrix = next(key for key, values in weights.items() if values.ndim == 2)
    write_safetensors(folder / W, weights | {matrix: np.zeros(0, np.float32)}, "f16")


def in_integers(folder: Path) -> None:
    write_arrays(folder / W, {"transformer.word_embeddings.weight": np.zeros((400, 64), np.int8)})
    setting(quantization_config={"quant_method": "quanto"})(folder / C)


def unmerged(folder: Path) -> None:
    ones, module = np.ones((2, 3), np.float32), "base_model.model.h.0.mlp.dense_h_to_4h"
    parts = {f"{module}.base_layer.weight": ones, f"{module}.lora_A.default.weight": ones}
    write_safetensors(folder / W, parts, "f16")


RUNS_CODE = checkpoint(call(name("os", "system"), text("true")))
TEMPLATES = [{"name": "rag", "template": "1"}, {"name": "tools", "template": "2"}]
ROWS = [
    # What is there
    Refusal(
        "a path to nothing", lambda root, _: Given(root / "no"), "SourceMissing", "Can't read", "无法读取"
    ),
    Refusal("an empty folder", lambda _, folder: Given(folder), "EmptyFolder", "is empty", "是空的"),
    Refusal("no weights", spoiled("bloom", remove, W), "NoWeights", "no model.safetensors", "不是检查点"),
    Refusal(
        "several models",
        spoiled("bloom", two_models),
        "SeveralCheckpoints",
        "holds several models",
        "多个模型",
    ),
    Refusal(
        "several files", spoiled("gptq", second_weights), "SeveralWeightFiles", "several weight", "多个权重"
    ),
    Refusal(
        "a text",
        lambda root, _: Given(root / "bloom" / J),
        "NotWeights",
        "no model's weight",
        "不是模型的权重",
    ),
    Refusal(
        "a GGUF",
        lambda _, folder: Given(write_model(folder / "m.gguf")),
        "AlreadyGguf",
        "needs no conversion",
        "不需要转换",
    ),
    Refusal(
        "a pointer of LFS", spoiled("bloom", content(POINTER), W), "LfsPointer", "Git LFS pointer", "指针"
    ),
    Refusal("its config one", spoiled("bloom", content(POINTER), C), "LfsPointer", "Git LFS pointer", "指针"),
    Refusal(
        "a broken link", spoiled("bloom", linked_to_nothing, W), "BrokenLink", "is a link to", "链接", "wrong"
    ),
    Refusal("a shard missing", spoiled("shards", remove, SHARD), "MissingShard", SHARD, f"缺少分片 {SHARD}"),
    # config.json and other settings
    Refusal(
        "no config.json", spoiled("bloom", remove, C), "ConfigMissing", "no config.json", "没有 config.json"
    ),
    damaged("config.json cut", spoiled("bloom", cut(0.6), C)),
    damaged("config.json of zeros", spoiled("bloom", edited(lambda data: bytes(len(data))), C)),
    invalid("a list for a config", spoiled("bloom", content(b"[1]"), C), "not a JSON object"),
    invalid("a repeated key", spoiled("bloom", content(b'{"a": 1, "a": 2}'), C), "stands twice"),
    invalid("a nested config", spoiled("bloom", content(b'{"a":' * 50_000), C), "too deep"),
    invalid("a config of 17 MB", spoiled("bloom", content(b" " * (17 << 20)), C), "has at most 16.8 MB"),
    Refusal(
        "another architecture",
        spoiled("bloom", setting(architectures=["GPT2LMHeadModel"], model_type="gpt2"), C),
        "UnknownArchitecture",
        "GPT2LMHeadModel",
        "不认识",
    ),
    Refusal("no width", spoiled("bloom", setting(n_head=0), C), "InvalidConfig", "n_head", "不可能正确"),
    Refusal(
        "an odd activation",
        spoiled("llama", setting(hidden_act="relu"), C),
        "UnsupportedModel",
        "hidden_act",
        "没有对应的设置",
    ),
    Refusal(
        "another model's config",
        spoiled("bloom", setting(n_layer=1, hidden_size=32), C),
        "TensorShapeMismatch",
        "different models",
        "不属于同一个模型",
    ),
    # Weights
    damaged(
        "safetensors cut in its header",
        spoiled("bloom", content(b"\x00\x10\0\0\0\0\0\0{"), W),
        "TruncatedFile",
    ),
    damaged("safetensors cut", spoiled("bloom", cut(0.7), W), "TruncatedFile"),
    damaged("zeros for safetensors", spoiled("bloom", edited(lambda data: bytes(len(data))), W)),
    damaged("an index cut", spoiled("shards", cut(0.5), INDEX)),
    invalid(
        "an index that leads out",
        spoiled("shards", content(b'{"weight_map": {"w": "../x.safetensors"}}'), INDEX),
        "the file name",
    ),
    Refusal("a tensor missing", spoiled("bloom", without_tensor), "MissingTensor", "ln_f.bias", "缺少张量"),
    damaged("torch cut", spoiled("torch", cut(0.7), T)),
    damaged("torch with a flipped bit", spoiled("torch", flipped(0.5), T), "DamagedTensor"),
    Refusal(
        "a file that runs code",
        spoiled("torch", content(RUNS_CODE), T),
        "ForbiddenPickle",
        "run code",
        "运行代码",
    ),
    Refusal(
        "no tensors",
        spoiled("torch", content(checkpoint(number(1))), T),
        "NoTensors",
        "no dictionary",
        "张量字典",
    ),
    damaged("an old torch file cut", spoiled("torch", old_torch(0.7), T), "TruncatedFile"),
    damaged("an old torch file cut in its pickle", spoiled("torch", old_torch(0.01), T)),
    Refusal(
        "neither torch form", spoiled("torch", content(b"text" * 99), T), "NotTorchFile", "no PyTorch", "不是"
    ),
    Refusal("a tar archive", spoiled("torch", tar_archive, T), "TarTorchFile", "tar archive", "tar"),
    Refusal(
        "a big-endian machine's",
        spoiled("torch", content(old_file(number(1), {}, little_endian=False)), T),
        "BigEndianFile",
        "big-endian",
        "大端字节序",
    ),
    Refusal(
        "a training's state",
        lambda root, folder: Given(Path(shutil.copy(root / "torch" / T, folder / "optimizer.bin"))),
        "TrainingState",
        "state of a training",
        "训练状态",
    ),
    Refusal(
        "a training's pieces",
        spoiled("torch", lambda path: path.rename(path.with_name("__0_0.distcp")), T),
        "ShardedCheckpoint",
        "in pieces",
        "碎片",
    ),
    Refusal("ZeRO-3's placeholders", spoiled("bloom", ungathered), "UngatheredWeights", "ZeRO-3", "ZeRO-3"),
    Refusal("an adapter inside", spoiled("bloom", unmerged), "UnmergedAdapter", "not merged", "尚未合并"),
    # Quantized otherwise
    Refusal(
        "a method that is not read",
        spoiled("bloom", in_integers),
        "UnsupportedQuantization",
        "quanto",
        "量化方式",
    ),
    # GPTQ
    damaged("GPTQ cut", spoiled("gptq", cut(0.7), B)),
    Refusal(
        "GPTQ without a config", spoiled("gptq", remove, C), "GptqConfigMissing", "no config.json", "GPTQ"
    ),
    Refusal(
        "GPTQ of 5 bits",
        spoiled("gptq", setting(bits=5), "quantize_config.json"),
        "UnsupportedQuantization",
        "bits",
        "量化方式",
    ),
    Refusal(
        "GPTQ of other bits than it says",
        spoiled("gptq", setting(bits=8), "quantize_config.json"),
        "QuantizationMismatch",
        "does not fit",
        "不符",
    ),
    # Meta's form
    Refusal(
        "no params.json", spoiled("meta", remove, P), "MetaParamsMissing", "no params.json", "params.json"
    ),
    damaged("params.json cut", spoiled("meta", cut(0.5), P)),
    damaged("a part cut", spoiled("meta", cut(0.7), FIRST)),
    Refusal("a part missing", spoiled("parts", remove, FIRST), "MissingShard", FIRST, "缺少分片"),
    invalid(
        "a part too many",
        spoiled("meta", lambda folder: shutil.copy(folder / FIRST, folder / "consolidated.01.pth")),
        "there are 1 parts",
    ),
    # ggml's files of 2023
    damaged("ggml cut in its vocabulary", spoiled("ggml", cut(0.02), G), "TruncatedFile"),
    damaged("ggml cut in a tensor", spoiled("ggml", cut(0.7), G), "TruncatedFile"),
    damaged("garbage after ggml", spoiled("ggml", edited(lambda data: data + b"\xff" * 64), G)),
    Refusal(
        "ggjt of version 9",
        spoiled("ggml", edited(lambda data: data[:4] + b"\x09" + data[5:]), G),
        "UnknownGgmlVersion",
        "version 9",
        "版本为 9",
    ),
    invalid("a part of another model", spoiled("ggml", part_of_another), "its header is not that of"),
    Refusal(
        "BLOOM's ggml", spoiled("bloomz", lambda _: None), "LossyGgmlVocabulary", "bloomz.cpp", "合并规则"
    ),
    # Encrypted files
    Refusal("no key", spoiled("enc", lambda _: None), "KeyNeeded", "--key", "--key"),
    Refusal(
        "nothing encrypted",
        lambda root, _: Given(root / "bloom", root / "key"),
        "NotEncrypted",
        "is not",
        "没有加密",
    ),
    Refusal(
        "an .enc that is a pointer", encrypted(W, content(POINTER)), "LfsPointer", "Git LFS pointer", "指针"
    ),
    Refusal("a key that is a pointer", with_key(content(POINTER)), "LfsPointer", "Git LFS pointer", "指针"),
    Refusal("another key", with_key(content(b"another" * 99)), "WrongKey", "another key", "密钥不对"),
    Refusal(
        "an encrypted file for a key",
        with_key(lambda key: key.rename(f"{key}.enc")),
        "KeyIsEncrypted",
        "given as the key",
        "本身是加密文件",
    ),
    damaged("an .enc cut", encrypted(W, cut(0.9)), "DamagedEncryptedFile"),
    damaged("an .enc with a flipped bit", encrypted(W, flipped(0.6)), "DamagedEncryptedFile"),
    damaged("an .enc without its hash", encrypted(W, cut(0.00001)), "TruncatedFile"),
    Refusal(
        "an .enc of another name", encrypted(W, renamed), "EncryptedNameMismatch", "mixed up", "弄混", "wrong"
    ),
    Refusal(
        "two of a name", encrypted(W, two_encrypted), "DuplicateEncryptedFile", "two encrypted", "两个不同"
    ),
    # Adapters
    Refusal(
        "an adapter alone", lambda root, _: Given(root / "lora"), "AdapterAlone", "base model", "基座模型"
    ),
    Refusal("no adapter", with_adapter(remove, "adapter_config.json"), "NotAnAdapter", "is missing", "缺少"),
    damaged("an adapter cut", with_adapter(cut(0.7), A), "TruncatedFile"),
    Refusal(
        "a prefix tuning",
        with_adapter(setting(peft_type="PREFIX_TUNING"), "adapter_config.json"),
        "UnsupportedAdapter",
        "PREFIX_TUNING",
        "无法合并",
    ),
    Refusal(
        "another base",
        with_adapter(lambda _: None, base="llama"),
        "AdapterTargetMissing",
        "another base model",
        "基座模型是另一个",
    ),
    # Tokenizers
    Refusal("no tokenizer", spoiled("bloom", remove, J), "TokenizerMissing", "no tokenizer", "没有分词器"),
    damaged("tokenizer.json cut", spoiled("bloom", cut(0.5), J)),
    damaged("tokenizer.model cut", spoiled("llama", cut(0.5), S)),
    Refusal(
        "another kind of tokenizer",
        spoiled("bloom", setting(model={"type": "WordPiece", "vocab": {"a": 0}}), J),
        "UnsupportedTokenizer",
        "can't be used",
        "不能用",
    ),
    Refusal(
        "a tokenizer of another model",
        lambda root, folder: Given(root / "bloom", tokenizer=write_bloom(folder, n_tokens=500).folder),
        "VocabularyTooLong",
        "do not belong together",
        "两者不配套",
    ),
    Refusal(
        "templates without a default",
        spoiled(
            "bloom", lambda folder: write_json(folder / "tokenizer_config.json", {"chat_template": TEMPLATES})
        ),
        "SeveralTemplates",
        "none of them is named default",
        "没有一个名为 default",
    ),
    invalid(
        "a template that is none",
        spoiled("bloom", lambda folder: write_json(folder / "tokenizer_config.json", {"chat_template": 7})),
        "chat_template",
    ),
]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("originals")
    write_originals(root)
    return root


def convert_all(given: Given, output: Path) -> None:
    """All that reads a checkpoint: its weights too."""
    with open_checkpoint(given.path, given.tokenizer, given.key, loras=given.loras) as opened:
        for _ in convert(opened.plan("f16", opened.prompt("auto")), output):
            pass


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_each_refusal_has_its_reason(originals: Path, tmp_path: Path, row: Refusal) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ConvertError) as refused:
        convert_all(row.make(originals, folder), tmp_path / "m.gguf")

    assert type(refused.value).__name__ == row.error
    sentences: dict[Language, str] = {}
    for language in BLAMES_BYTES:
        sentences[language] = CATALOG.error_text(refused.value, language)
        says_so = re.search(BLAMES_BYTES[language], sentences[language]) is not None
        assert says_so == (row.bytes == "wrong"), sentences[language]
    assert row.english in sentences["en"]
    assert row.chinese in sentences["zh-CN"]
    assert not list(tmp_path.glob("m.gguf*"))


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("bloom", W),
        ("torch", T),
        ("gptq", B),
        ("meta", FIRST),
        ("ggml", G),
        ("bloom", C),
        ("bloom", J),
        ("llama", S),
    ],
)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.35, 0.66, 0.95])
def test_a_file_that_is_cut_anywhere_is_told_as_that(
    originals: Path, tmp_path: Path, form: str, file: str, share: float
) -> None:
    given = spoiled(form, cut(share), file)(originals, tmp_path / "folder")
    with pytest.raises(ConvertError) as refused:
        convert_all(given, tmp_path / "m.gguf")
    for language, words in BLAMES_BYTES.items():
        assert re.search(words, CATALOG.error_text(refused.value, language))


@pytest.mark.parametrize("form", ["bloom", "shards", "llama", "torch", "gptq", "meta", "parts", "ggml"])
def test_what_the_rows_spoil_can_be_converted(originals: Path, tmp_path: Path, form: str) -> None:
    convert_all(Given(originals / form), tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").exists()
