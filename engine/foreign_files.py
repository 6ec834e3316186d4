"""What a file that should be a GGUF is instead, told from its first bytes.

Knows the beginnings of what people meet under a model's name: a pointer that git left in a file's place, a
web page or an error saved instead of a download, checkpoints and archives that were renamed. Reads no file.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import (
    ErrorReplyFile,
    LfsPointerFile,
    ModelFileError,
    NotGguf,
    OtherFileFormat,
    WebPageFile,
)

PROBE_BYTES = 512
_MAGIC_BYTES = 4

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # git-lfs.com/spec/v1
_LFS_SIZE = re.compile(rb"^size (\d{1,18})$", re.MULTILINE)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|!--|\?xml)", re.IGNORECASE)
# A length of 8 bytes, then a JSON object (github.com/huggingface/safetensors, "Format").
_SAFETENSORS = re.compile(rb".{4}\0{4}\{\s*\"", re.DOTALL)
# What a hub or a proxy answers instead of a file: an object about an error, and nothing of a checkpoint's.
_ERROR_REPLY = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*\{\s*\"(?:error|errors|error_code|error_message|errorCode|errorMessage|detail|message|code"
    rb"|status|statusCode|success)\"\s*:",
    re.IGNORECASE,
)
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]\s*[\"{\[]")
_MAGICS = (
    (b"PK\x03\x04", "ZIP"),
    (b"\x80\x02", "pickle"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"%PDF-", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89HDF", "HDF5"),
    (b"MZ", "EXE"),
    (b"\x7fELF", "ELF"),
)


def foreign_file(path: Path, start: bytes) -> ModelFileError:
    """The error for the file at `path`, which begins with `start` and not with GGUF's magic: LfsPointerFile,
    WebPageFile, ErrorReplyFile, OtherFileFormat, or NotGguf where nothing is recognised.
    """
    if start.startswith(_LFS_POINTER):
        size = _LFS_SIZE.search(start)
        return LfsPointerFile(path, int(size[1]) if size else None)
    if _PAGE.match(start):
        return WebPageFile(path)
    for magic, name in _MAGICS:
        if start.startswith(magic):
            return OtherFileFormat(path, name)
    if _SAFETENSORS.match(start):
        return OtherFileFormat(path, "safetensors")
    if _ERROR_REPLY.match(start):
        return ErrorReplyFile(path)
    if _JSON.match(start):
        return OtherFileFormat(path, "JSON")
    return NotGguf(path, start[:_MAGIC_BYTES].hex(" "))
