"""Files of machine code for macOS, small and without code: their headers are real.

See EXTERNAL_HEADERS/mach-o/loader.h and fat.h of Apple's xnu.
"""

from __future__ import annotations

import plistlib
import struct
from pathlib import Path
from typing import Literal

Processor = Literal["arm64", "x86_64"]

_CPU_TYPES = {"arm64": 0x0100000C, "x86_64": 0x01000007}
_PROGRAM, _LIBRARY = 2, 6
_BUILD_VERSION, _MACOS = 0x32, 1


def machine_code(
    processor: Processor, system: tuple[int, int] = (11, 0), *, is_program: bool = False
) -> bytes:
    """A 64-bit file that needs at least this macOS."""
    minimum = system[0] << 16 | system[1] << 8
    command = struct.pack("<6I", _BUILD_VERSION, 24, _MACOS, minimum, minimum, 0)
    kind = _PROGRAM if is_program else _LIBRARY
    header = struct.pack("<8I", 0xFEEDFACF, _CPU_TYPES[processor], 0, kind, 1, len(command), 0, 0)
    return header + command


def universal(*slices: tuple[Processor, bytes]) -> bytes:
    """One file for several processors."""
    offset, header, body = 4096, struct.pack(">2I", 0xCAFEBABE, len(slices)), b""
    for processor, data in slices:
        header += struct.pack(">5I", _CPU_TYPES[processor], 0, offset + len(body), len(data), 12)
        body += data.ljust(4096, b"\0")
    return header.ljust(offset, b"\0") + body


def write_app(folder: Path, processor: Processor = "arm64") -> Path:
    """An app of the shape that PyInstaller makes, with code at every depth, data, and links to code."""
    app = folder / "ChatBELLE.app"
    contents = app / "Contents"
    for name in ("ChatBELLE", "chatbelle-terminal", "belle-convert"):
        _write(contents / "MacOS" / name, machine_code(processor, is_program=True))
    frameworks = contents / "Frameworks"
    _write(frameworks / "libpython3.12.dylib", machine_code(processor))
    _write(frameworks / "llama_cpp" / "lib" / "libllama.dylib", machine_code(processor, (13, 3)))
    _write(frameworks / "numpy" / "_core.cpython-312-darwin.so", machine_code(processor))
    python = frameworks / "Python.framework" / "Versions" / "3.12"
    _write(python / "Python", machine_code(processor))
    (frameworks / "Python.framework" / "Versions" / "Current").symlink_to("3.12")
    _write(contents / "Resources" / "assets" / "数据.json", b"{}")
    _write(contents / "Resources" / "Main.class", bytes.fromhex("cafebabe00000041") + b"java")
    (contents / "Resources" / "libllama.dylib").symlink_to("../Frameworks/llama_cpp/lib/libllama.dylib")
    (contents / "Info.plist").write_bytes(plistlib.dumps({"CFBundleExecutable": "ChatBELLE"}))
    return app


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
