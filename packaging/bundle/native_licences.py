"""The parts of a bundle that are no Python distribution: the interpreter, libraries of the system, fonts.

Their texts are kept in `licence_texts`, since not every build machine has them.
"""

from __future__ import annotations

import pyexpat
import re
import sqlite3
import ssl
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from bundle.pins import read_pins

TEXTS = Path(__file__).with_name("licence_texts")

_GCC = ("GPL-3.0.txt", "gcc-runtime-exception.txt")
_UNSAID = "as the build system has it"


@dataclass(frozen=True)
class NativeComponent:
    """pattern: found in the paths of its files. is_python: the standard library's modules are its own.

    texts: in `licence_texts`. texts_inside: in the bundle's content folder.
    """

    name: str
    version: str
    licence: str
    pattern: re.Pattern[str]
    texts: tuple[Path, ...]
    texts_inside: tuple[str, ...] = ()
    is_python: bool = False


def native_components() -> list[NativeComponent]:
    """All that a bundle of any system may hold."""
    python_texts = (_python_licence(), TEXTS / "python-incorporated.txt")
    python = NativeComponent(
        "Python",
        sys.version.split()[0],
        "PSF-2.0",
        re.compile(_PYTHON, re.VERBOSE),
        python_texts,
        is_python=True,
    )
    return [python, *(_component(*row) for row in _rows()), *(_font(*row) for row in _FONTS)]


_IN_INTERPRETER = r"(lib)?python3[^/]*\.(so[^/]*|dylib|dll)$|Python$"
_PYTHON = r"""
    /lib-dynload/ | /base_library\.zip$ | (^|/)(lib)?python3[^/]*\.(so[^/]*|dylib|dll)$ | (^|/)Python$
  | Python\.framework/ | (^|/)(_\w+|pyexpat|select|unicodedata|winsound)\.pyd$
"""


def _with(module: str, pattern: str) -> str:
    """The pattern of a library that `module` of the standard library is made with.

    In some Pythons, uv's among them, it is a part of the module's file, and the module of the interpreter.
    """
    inside = _IN_INTERPRETER if module in sys.builtin_module_names else rf"{module}\."
    return f"({pattern}|{inside})"


def _rows() -> list[tuple[str, str, str, str, tuple[str, ...]]]:
    """Name, version, licence, pattern of the files' names, texts."""
    llama = f"in llama-cpp-python {read_pins()['llama-cpp-python'].version}"
    sqlite, openssl = sqlite3.sqlite_version, ssl.OPENSSL_VERSION.split()[1]
    expat = pyexpat.EXPAT_VERSION.removeprefix("expat_")
    microsoft = "LicenseRef-Microsoft-Runtime"
    gcc = "GPL-3.0-or-later WITH GCC-exception-3.1"
    crypto = _with("_ssl", r"lib(crypto|ssl)[-.]|_hashlib\.")
    return [
        ("llama.cpp and ggml", llama, "MIT", r"(ggml|llama)[^/]*\.(so|dylib|dll)", ("llama.cpp.txt",)),
        ("OpenSSL", openssl, "Apache-2.0", crypto, ("Apache-2.0.txt",)),
        ("SQLite", sqlite, "blessing", _with("_sqlite3", r"(lib)?sqlite3[.-]"), ("sqlite.txt",)),
        ("zlib", zlib.ZLIB_RUNTIME_VERSION, "Zlib", _with("zlib", r"libz\.|zlib1?\."), ("zlib.txt",)),
        ("bzip2", _UNSAID, "bzip2-1.0.6", _with("_bz2", r"libbz2\."), ("bzip2.txt",)),
        ("liblzma", _UNSAID, "0BSD", _with("_lzma", r"liblzma\."), ("liblzma.txt",)),
        ("libffi", _UNSAID, "MIT", _with("_ctypes", r"libffi[-.]"), ("libffi.txt",)),
        ("Expat", expat, "MIT", _with("pyexpat", r"libexpat\."), ("expat.txt",)),
        ("LibYAML", "in PyYAML", "MIT", r"yaml/_yaml\.", ("libyaml.txt",)),
        ("GCC runtime libraries", _UNSAID, gcc, r"lib(gcc_s|gomp|stdc\+\+|quadmath|gfortran)[-.]", _GCC),
        ("Microsoft runtime libraries", _UNSAID, microsoft, _MICROSOFT, ("microsoft-runtime.txt",)),
        ("WebView2 SDK", "in pywebview", "BSD-3-Clause", _WEBVIEW2, ("webview2.txt",)),
    ]


_OURS, _FLETS = "assets/web/fonts", "flet_web/web/assets"
_FONTS = (
    ("Noto Sans SC, Noto Emoji", "OFL-1.1", f"{_OURS}/NotoSansSC", (), ("OFL.txt", "NotoEmoji-OFL.txt")),
    ("Source Code Pro", "OFL-1.1", f"{_OURS}/SourceCodePro-Regular", (), ("SourceCodePro-OFL.txt",)),
    ("Material Icons and Roboto", "Apache-2.0", f"{_FLETS}/fonts/", ("Apache-2.0.txt",), ()),
    ("KaTeX fonts", "MIT", f"{_FLETS}/packages/flutter_math_fork/.*ttf$", ("katex.txt",), ()),
    ("Cupertino Icons", "MIT", f"{_FLETS}/packages/cupertino_icons/", ("cupertino-icons.txt",), ()),
)
"""Name, licence, pattern of paths, texts, and texts that lie beside our own fonts."""

_WEBVIEW2 = r"(Microsoft\.Web\.WebView2|WebView2Loader)[^/]*\.dll"
_MICROSOFT = r"(vcruntime|msvcp|vcomp|concrt|ucrtbase|api-ms-win-)[^/]*\.dll"


def _component(
    name: str, version_text: str, licence: str, pattern: str, texts: tuple[str, ...]
) -> NativeComponent:
    compiled = re.compile(rf"(^|/)(lib)?{pattern}", re.IGNORECASE)
    return NativeComponent(name, version_text, licence, compiled, tuple(TEXTS / text for text in texts))


def _font(
    name: str, licence: str, pattern: str, texts: tuple[str, ...], beside: tuple[str, ...]
) -> NativeComponent:
    inside = tuple(f"{_OURS}/{text}" for text in beside)
    kept = tuple(TEXTS / text for text in texts)
    return NativeComponent(name, "as it comes", licence, re.compile(pattern), kept, inside)


def _python_licence() -> Path:
    """The interpreter's own text lies in different places. Raises FileNotFoundError."""
    library = Path(ssl.__file__).parent
    places = [library / "LICENSE.txt", Path(sys.base_prefix, "LICENSE.txt"), library.parent / "LICENSE.txt"]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"no LICENSE.txt of this Python in {', '.join(map(str, places))}")
