"""Encrypted (`.enc`) files for tests, and BELLE's decryption as its script describes it: slow and obvious."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

CHUNK_BYTES = 10 * 1024 * 1024


def reference_decrypt(encrypted: bytes, key: bytes, chunk_bytes: int = CHUNK_BYTES) -> bytes:
    """The plain bytes; the hash in front is skipped, not checked."""
    data_file, key_file = io.BytesIO(encrypted), io.BytesIO(key)
    data_file.read(32)
    plain = bytearray()
    while True:
        data_chunk = data_file.read(chunk_bytes)
        if not data_chunk:
            return bytes(plain)
        key_chunk = key_file.read(chunk_bytes)
        if not key_chunk:
            key_file.seek(0)
            key_chunk = key_file.read(chunk_bytes)
        for position, byte in enumerate(data_chunk):
            plain.append(byte ^ key_chunk[position % len(key_chunk)])


def encrypt(plain: bytes, key: bytes, chunk_bytes: int = CHUNK_BYTES) -> bytes:
    """XOR undoes itself."""
    return hashlib.sha256(plain).digest() + reference_decrypt(bytes(32) + plain, key, chunk_bytes)


def write_encrypted(folder: Path, name: str, plain: bytes, key: bytes) -> Path:
    """`<name>.<hash>.enc` in `folder`."""
    path = folder / f"{name}.{hashlib.sha256(plain).hexdigest()}.enc"
    path.write_bytes(encrypt(plain, key))
    return path


def encrypt_folder(plain: Path, folder: Path, key: bytes) -> None:
    """Every file of `plain` encrypted into the new `folder`."""
    folder.mkdir()
    for path in plain.iterdir():
        write_encrypted(folder, path.name, path.read_bytes(), key)
