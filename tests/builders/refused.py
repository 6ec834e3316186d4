"""Checkpoints of every form that can be converted, and ways to spoil one thing of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.checkpoints import write_bloom, write_json, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import write_bloomz_ggml, write_llama_ggml
from builders.gptq import write_gptq, write_settings
from builders.lora import write_adapter
from builders.meta_files import write_meta
from builders.torch_zip import write_torch_zip
from convert.sources.lora import LoraChoice

KEY = bytes(range(256)) * 40
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 14009\n"

Change = Callable[[Path], object]


@dataclass(frozen=True)
class Given:
    """What is given to `open_checkpoint`."""

    path: Path
    key: Path | None = None
    tokenizer: Path | None = None
    loras: Sequence[LoraChoice] = ()


Make = Callable[[Path, Path], Given]
"""From the originals and an empty folder to what is given."""


def write_originals(root: Path) -> None:
    """A folder for each form, and a key."""
    bloom = write_bloom(root / "bloom", dtype="f16")
    write_bloom(root / "shards", dtype="f16", n_shards=3)
    llama = write_llama(root / "llama", dtype="f16", n_ff=192, rotary_buffers=False)
    copy(bloom.folder, root / "torch", "model.safetensors")
    write_torch_zip(root / "torch" / "pytorch_model.bin", bloom.weights)
    wide = write_bloom(root / "wide", hidden=128)
    copy(wide.folder, root / "gptq", "model.safetensors")
    write_gptq(root / "gptq" / "belle-4bit.pt", wide)
    write_settings(root / "gptq")
    for name, n_parts in (("meta", 1), ("parts", 2)):
        write_meta(root / name, llama, n_parts=n_parts)
        shutil.copy(llama.folder / "tokenizer.model", root / name)
    for name in ("ggml", "bloomz"):
        (root / name).mkdir()
    write_llama_ggml(root / "ggml" / "ggml-model-q4_0.bin", llama)
    write_bloomz_ggml(root / "bloomz" / "ggml-model.bin", write_bloom(root / "tied", lm_head=True))
    encrypt_folder(llama.folder, root / "enc", KEY)
    write_adapter(root / "lora", bloom.weights, ["query_key_value"])
    (root / "key").write_bytes(KEY)


def copy(folder: Path, to: Path, *without: str) -> Path:
    return Path(shutil.copytree(folder, to, ignore=shutil.ignore_patterns(*without), dirs_exist_ok=True))


def spoiled(form: str, change: Change, file: str = "") -> Make:
    """A copy of an original, after `change` of its folder, or of one of its files."""

    def make(root: Path, folder: Path) -> Given:
        copy(root / form, folder)
        change(folder / file)
        return Given(folder)

    return make


def encrypted(file: str, change: Change) -> Make:
    """The encrypted form with its key, of which the file of this plain name is changed."""

    def make(root: Path, folder: Path) -> Given:
        copy(root / "enc", folder)
        change(next(folder.glob(f"{file}.*.enc")))
        return Given(folder, key=root / "key")

    return make


def with_key(change: Change) -> Make:
    """The encrypted form with another key."""

    def make(root: Path, folder: Path) -> Given:
        key = folder / "key"
        shutil.copy(root / "key", key)
        change(key)
        return Given(root / "enc", key=next(iter(folder.iterdir())))

    return make


def with_adapter(change: Change, file: str = "", base: str = "bloom") -> Make:
    """A checkpoint with a spoiled adapter."""

    def make(root: Path, folder: Path) -> Given:
        copy(root / "lora", folder)
        change(folder / file)
        return Given(root / base, loras=[LoraChoice(folder)])

    return make


def content(data: bytes) -> Change:
    return lambda path: path.write_bytes(data)


def edited(edit: Callable[[bytes], bytes]) -> Change:
    return lambda path: path.write_bytes(edit(path.read_bytes()))


def cut(share: float) -> Change:
    return edited(lambda data: data[: int(share * len(data))])


def flipped(share: float) -> Change:
    def flip(data: bytes) -> bytes:
        place = int(share * len(data))
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]

    return edited(flip)


def setting(**values: Any) -> Change:
    """Settings of a JSON file; None removes one."""

    def change(path: Path) -> None:
        merged = json.loads(path.read_text(encoding="utf-8")) | values
        write_json(path, {key: value for key, value in merged.items() if value is not None})

    return change


def remove(path: Path) -> None:
    path.unlink()
