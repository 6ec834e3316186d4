"""What goes into the bundle, and what stays out of it.

Everything is collected from the environment's installed wheels: the product wheel has neither training
scripts nor tests, and a checkout is never looked at.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from PyInstaller.utils.hooks import collect_data_files, copy_metadata, get_package_paths

HIDDEN_IMPORTS = ["assets"]
"""Named in strings only."""

EXCLUDED_MODULES = [
    # development, tests, other installers
    *(
        "pytest",
        "_pytest",
        "hypothesis",
        "setuptools",
        "pkg_resources",
        "pip",
        "wheel",
        "lib2to3",
        "pydoc_data",
    ),
    *(
        "idlelib",
        "turtle",
        "turtledemo",
        "ensurepip",
        "venv",
        "numpy.testing",
        "numpy.f2py",
        "numpy.distutils",
    ),
    *(
        "numpy.conftest",
        "numpy._core._multiarray_tests",
        "flet.testing",
        "psutil.tests",
        "unittest",
        "doctest",
        "pdb",
    ),
    # parts of libraries that the product does not use
    *(
        "torch",
        "tkinter",
        "_tkinter",
        "IPython",
        "PIL",
        "matplotlib",
        "trio",
        "curio",
        "gunicorn",
        "pydantic.v1",
    ),
    *("uvloop", "watchfiles", "httptools", "a2wsgi", "llama_cpp.server", "llama_cpp.mtmd_cpp"),
    *("llama_cpp.llava_cpp", "pyodide", "js", "pygments", "flet.auth", "requests"),
    *("numpy.random", "numpy.fft", "numpy.polynomial"),
    # pywebview's other windows, and its certificates for pages of its own
    *("webview.platforms.android", "webview.platforms.cef", "webview.platforms.gtk"),
    *("webview.platforms.qt", "cryptography"),
    # only Llama.from_pretrained of llama_cpp asks for it
    *("huggingface_hub", "hf_xet"),
    # a terminal's line editing is prompt_toolkit's; readline's licence is the GPL
    *("readline", "curses", "_curses", "rlcompleter"),
    # identifiers made of the machine's network address, and one more library
    "_uuid",
]
"""A bundle without each of these passed its trial; what is not imported costs nothing to name."""

_NEVER_LOADED = re.compile(
    r"""
      (^|/)direct_url\.json$ | \.dist-info/(RECORD|INSTALLER|REQUESTED|WHEEL|uv_cache\.json)$
    | ^flet_web/web/(pyodide/|python.*\.js$)                    # Python in the browser
    | \.symbols$ | \.js\.map$                                   # for debuggers
    | ^flet_web/web/canvaskit/(experimental_webparagraph/|wimp) # renderers that only an option chooses
    | ^flet_web/web/(icons/|favicon\.png$|index\.html$|manifest\.json$)  # ours are in assets/web
    | ^assets/demo/.*\.(safetensors|json)$                      # the ready GGUF is there instead
    | ^webview/lib/(.*\.jar$|runtimes/win-(arm64|x86)/)          # for Android, and other processors
    """,
    re.VERBOSE,
)

_LIBRARIES = {
    "linux": ("libllama.so", "libggml.so.0", "libggml-base.so.0", "libggml-cpu-*.so"),
    "darwin": (
        "libllama.dylib",
        "libggml.0.dylib",
        "libggml-base.0.dylib",
        "libggml-cpu-*.so",
        "libggml-metal*",
    ),
    "win32": ("llama.dll", "ggml.dll", "ggml-base.dll", "ggml-cpu-*.dll"),
}


# The compiler's run-time libraries, which the system's WebKitGTK needs as well, and often newer ones: the
# runtime hook takes the system's, and these where it has none.
_FALLBACKS = re.compile(r"lib(stdc\+\+|gcc_s)\.so\.\d+")
# PyInstaller's programs are linked with it, and look for it before they know of any library of their own.
_OF_THE_SYSTEM = re.compile(r"libz\.so\.\d+")


def write_build_variables(folder: Path) -> None:
    """The module of how this Python was built, without what names folders of this machine.

    `sysconfig` reads it, and others read `sysconfig`: zoneinfo, where time zones are. Windows has none.
    """
    if sys.platform == "win32":
        return
    name = sysconfig._get_sysconfigdata_name()  # noqa: SLF001 - there is no other way to learn it
    known = import_module(name).build_time_vars
    values = {key: value for key, value in known.items() if sys.base_prefix not in str(value)}
    folder.joinpath(f"{name}.py").write_text(f"build_time_vars = {values!r}\n", encoding="utf-8")


def data_files(demo: Path) -> list[tuple[str, str]]:
    """Pairs of a file and its folder in the bundle. demo: the folder with the ready demo model."""
    files = [
        *collect_data_files("app", includes=["**/*.json"]),
        *collect_data_files("convert", includes=["**/*.json"]),
        *collect_data_files("assets"),
        *collect_data_files("flet", includes=["**/*icons.json"]),
        *collect_data_files("flet_web", includes=["web/**"]),
        *copy_metadata("chatbelle"),
    ]
    return [*files, *((str(path), "assets/demo") for path in demo.iterdir())]


def engine_libraries() -> list[tuple[str, str]]:
    """The engine's libraries: each once, under the one name that others look for.

    As binaries, so that the compiler's run-time libraries they need come along.
    """
    folder = Path(get_package_paths("llama_cpp")[1], "lib")
    found = [path for pattern in _LIBRARIES[sys.platform] for path in sorted(folder.glob(pattern))]
    return [(str(path), "llama_cpp/lib") for path in found]


def wanted(entries: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The entries of a table of contents that belong into the bundle, where they belong."""
    return [
        (f"fallback/{name}" if _FALLBACKS.fullmatch(name) else name, source, kind)
        for name, source, kind in entries
        if not _NEVER_LOADED.search(Path(name).as_posix()) and not _OF_THE_SYSTEM.fullmatch(name)
    ]
