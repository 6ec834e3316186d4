"""Refusals of `.enc` files and of their key."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from builders.encrypted import encrypt, write_encrypted
from builders.refusals.row import Refusal, damaged
from builders.refused import (
    KEY,
    POINTER,
    Change,
    Given,
    Make,
    content,
    cut,
    encrypted,
    flipped,
    spoiled,
    with_key,
)
from builders.torch_zip import write_torch_zip

W = "model.safetensors"
LARGE_BYTES = 65 << 20
"""More than is decrypted whole to look at it."""
TOKENIZER_HASH = "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"
"""Of the tokenizer.model that BELLE published; it has 499,468 bytes."""


def renamed(path: Path) -> None:
    path.rename(path.with_name(f"{W}.{'0' * 64}.enc"))


def another_version(path: Path) -> None:
    write_encrypted(path.parent, W, b"another", KEY)


def beginning(name: str, plain: bytes) -> Make:
    """A large encrypted file, alone in its folder, of which only the first bytes are written."""

    def make(root: Path, folder: Path) -> Given:
        data = encrypt(plain, KEY)
        path = folder / f"{name}.{data[:32].hex()}.enc"
        path.write_bytes(data)
        os.truncate(path, LARGE_BYTES)
        (folder / "config.json").write_bytes((root / "llama" / "config.json").read_bytes())
        return Given(folder, key=root / "key")

    return make


def partial(path: Path) -> None:
    start = bytes.fromhex(TOKENIZER_HASH) + bytes(1000)
    path.with_name(f"tokenizer.model.{TOKENIZER_HASH}.enc").write_bytes(start)
    path.unlink()


def without_shard(root: Path, folder: Path) -> Given:
    """A set whose index names a part that is not there."""
    for path in (root / "shards").iterdir():
        if "00002" not in path.name:
            write_encrypted(folder, path.name, path.read_bytes(), KEY)
    return Given(folder, key=root / "key")


def as_key(dtype: type[np.float32] | type[np.float16], *, bf16: bool = False, share: float = 1) -> Change:
    def change(path: Path) -> None:
        write_torch_zip(path, {"tok_embeddings.weight": np.ones((64, 64), dtype)}, bf16=bf16)
        cut(share)(path)

    return change


ROWS = [
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
    Refusal(
        "Llama 2's key", with_key(as_key(np.float32, bf16=True)), "Llama2Key", "belongs to Llama 2", "Llama 2"
    ),
    Refusal(
        "a key cut",
        with_key(as_key(np.float16, share=0.5)),
        "TruncatedKey",
        "is cut short",
        "被截断",
        "wrong",
    ),
    Refusal(
        "an empty key", with_key(content(b"")), "TruncatedKey", "is cut short: 0 bytes", "被截断", "wrong"
    ),
    damaged("an .enc cut", encrypted(W, cut(0.9)), "DamagedEncryptedFile"),
    damaged("an .enc with a flipped bit", encrypted(W, flipped(0.6)), "DamagedEncryptedFile"),
    damaged("an .enc without its hash", encrypted(W, cut(0.00001)), "TruncatedFile"),
    Refusal(
        "an .enc shorter than the published one",
        encrypted("tokenizer.model", partial),
        "PartialDownload",
        "1.03 kB are there",
        "没有下载完",
        "wrong",
    ),
    Refusal(
        "a large .enc of another key",
        beginning("pytorch_model.bin", b"no ZIP" * 9),
        "KeyDoesNotFit",
        "does not begin like such a file",
        "开头不像这类文件",
    ),
    Refusal(
        "a large .enc without its end",
        beginning("pytorch_model.bin", b"PK\x03\x04" + bytes(96)),
        "EncryptedEndMissing",
        "but not at its end",
        "结尾不对",
        "wrong",
    ),
    Refusal(
        "a missing part of an encrypted set",
        without_shard,
        "MissingEncryptedShard",
        "model-00002-of-00003.safetensors is missing",
        "缺少分片 model-00002-of-00003.safetensors",
    ),
    Refusal(
        "an .enc of another name", encrypted(W, renamed), "EncryptedNameMismatch", "mixed up", "弄混", "wrong"
    ),
    Refusal(
        "two of a name",
        encrypted(W, another_version),
        "DuplicateEncryptedFile",
        "two encrypted",
        "两个不同",
    ),
]
