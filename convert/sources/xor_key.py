"""The key of BELLE's encrypted files: telling the right one and the usual wrong ones without reading it.

The key is Meta's `consolidated.00.pth` of the first LLaMA 7B, also for the 13B models. A file that is neither
it nor a known mistake is let through: only the hash of what it decrypts can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convert.errors import (
    DamagedFile,
    KeyIsEncrypted,
    LfsPointer,
    Llama2Key,
    SourceError,
    TruncatedFile,
    TruncatedKey,
)
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.folder import LFS_POINTER_START
from convert.sources.tensors import StoredTensor
from convert.sources.torch_file import read_torch
from convert.sources.xor import parse_encrypted_name

# The length that downloads of the file report (logs of Meta's download script and of its mirrors, 2023).
LLAMA1_7B_BYTES = 13_476_939_516
# From the 7B checklist.chk that Meta distributed with the weights; also in BELLE's instructions.
LLAMA1_7B_MD5 = "6efc8dab194ab59e49cd24be5574d85e"
# Folder listings of Llama-2-7b and Llama-2-7b-chat, posted with their checklists, 2023.
_LLAMA2_7B_BYTES = 13_476_925_163

_META_LAYOUT_TENSOR = "tok_embeddings.weight"


def open_key(path: Path) -> FileSource:
    """Open a key file; reads at most its ZIP directory and pickle.

    Raises `SourceMissing`, `KeyIsEncrypted`, `LfsPointer`, `Llama2Key` or `TruncatedKey`.
    """
    source = FileSource(path)
    try:
        check_key(source)
    except BaseException:
        source.close()
        raise
    return source


def check_key(key: ByteSource) -> None:
    """Refuse a key that can't be the right one.

    Raises `KeyIsEncrypted`, `LfsPointer`, `Llama2Key` or `TruncatedKey`.
    """
    if parse_encrypted_name(key.path.name) is not None:
        raise KeyIsEncrypted(key.path)
    if key.size_bytes == LLAMA1_7B_BYTES:
        return
    n_start = len(LFS_POINTER_START)
    if key.size_bytes >= n_start and key.read_at(0, n_start) == LFS_POINTER_START:
        raise LfsPointer(key.path)
    if key.size_bytes == _LLAMA2_7B_BYTES:
        raise Llama2Key(key.path)
    if key.size_bytes == 0:
        raise TruncatedKey(key.path, LLAMA1_7B_BYTES, 0)
    if key.read_at(0, min(4, key.size_bytes)) == b"PK\x03\x04" and _is_llama2(_tensors(key)):
        raise Llama2Key(key.path)


def is_known_key(key: ByteSource) -> bool:
    """Whether the key has the length of the right one."""
    return key.size_bytes == LLAMA1_7B_BYTES


def _tensors(key: ByteSource) -> Mapping[str, StoredTensor]:
    try:
        return read_torch(key)
    except (TruncatedFile, DamagedFile) as error:
        # A torch file without its end: the directory stands there.
        if key.size_bytes < LLAMA1_7B_BYTES:
            raise TruncatedKey(key.path, LLAMA1_7B_BYTES, key.size_bytes) from error
        return {}
    except SourceError:
        return {}


def _is_llama2(tensors: Mapping[str, StoredTensor]) -> bool:
    """Meta's second LLaMA has the first one's names, but is stored in bfloat16 instead of float16."""
    return _META_LAYOUT_TENSOR in tensors and tensors[_META_LAYOUT_TENSOR].dtype == "bf16"
