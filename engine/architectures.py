"""Which model architectures the installed llama.cpp has code for.

No list is exported, and one copied by hand is wrong after the next update, so llama.cpp itself is asked: it
gets a GGUF of some bytes that names the architecture and holds nothing else, and says in its log whether
the name is known before it misses everything else.
"""

from __future__ import annotations

import functools
import re
import struct
import tempfile
from pathlib import Path

from engine.errors import LoadFailed, ModelFileError, UnsupportedArchitecture
from engine.gguf_header import GgufHeader
from engine.llama import Model

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REFUSALS = ("unknown model architecture", "unsupported model architecture")
_STRING = 8


def require_architecture(header: GgufHeader) -> None:
    """Raise UnsupportedArchitecture unless llama.cpp knows the architecture that `header` names."""
    if not is_known_architecture(header.architecture):
        raise UnsupportedArchitecture(header.path, header.architecture)


@functools.cache
def is_known_architecture(name: str) -> bool:
    """Whether the installed llama.cpp has code for `name` (`general.architecture`). Raises
    NativeLibraryMissing.
    """
    if not _NAME.fullmatch(name):
        return False
    with tempfile.TemporaryDirectory(prefix="chatbelle-") as folder:
        path = Path(folder) / "architecture.gguf"
        path.write_bytes(_minimal_gguf(name))
        return _loads_or_misses_something_else(path)


def _loads_or_misses_something_else(path: Path) -> bool:
    try:
        Model(path, gpu_layers=0, vocabulary_only=True).close()
    except LoadFailed as error:
        return not any(refusal in error.reason for refusal in _REFUSALS)
    except ModelFileError:
        return False
    return True


def _minimal_gguf(architecture: str) -> bytes:
    """Version 3, no tensors, one metadata entry (see `engine.gguf_header` for the layout)."""
    key, value = b"general.architecture", architecture.encode()
    return b"".join(
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1),
            struct.pack("<Q", len(key)) + key,
            struct.pack("<IQ", _STRING, len(value)) + value,
        )
    )
