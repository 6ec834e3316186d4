"""ggml's registry of backends, and the choice of the CPU code that fits this processor.

A build for every processor has ggml's CPU code many times, as plug-ins to which nothing links, each for a
newer set of instructions. ggml opens all of them, asks each how well it fits, and keeps the best; but only
when told to, and told where they are. An ordinary build has its one CPU backend linked in.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from engine.errors import NativeLibraryMissing, ProcessorTooOld
from engine.native.libraries import cpu_variants, library_folder, library_path, open_library

# enum ggml_backend_dev_type
CPU, GPU, INTEGRATED_GPU, ACCELERATOR = range(4)

_LEAST_VARIANT = "sse42"
"""What NumPy needs as well (x86-64-v2). ggml's own least, `x64`, would not get as far."""


class Registry:
    """The backends of the very ggml that `libllama` uses; pointers are plain integers."""

    def __init__(self, libllama: ctypes.CDLL) -> None:
        # Looked up in a library, a name is found in those it links, too; except on Windows.
        library = open_library(library_path("ggml")) if sys.platform == "win32" else libllama
        text, pointer, number = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
        self._load_from = function(library, "ggml_backend_load_all_from_path", None, text)
        self._n_backends = function(library, "ggml_backend_reg_count", number)
        self._backend = function(library, "ggml_backend_reg_get", pointer, number)
        self._n_devices = function(library, "ggml_backend_dev_count", number)
        self._device = function(library, "ggml_backend_dev_get", pointer, number)
        self._device_by_type = function(library, "ggml_backend_dev_by_type", pointer, ctypes.c_int)

    def use_fitting_cpu(self) -> None:
        """Have a backend for this processor; in a build for every processor, the best of its plug-ins.

        Raises NativeLibraryMissing, and ProcessorTooOld if there are plug-ins, and none fits.
        """
        if not self.has_cpu:
            self._load_from(os.fsencode(library_folder()))
        if not self.has_cpu:
            _refuse()

    @property
    def has_cpu(self) -> bool:
        """Whether there is a CPU backend."""
        return bool(self._device_by_type(CPU))

    def backends(self) -> Iterator[int]:
        """`ggml_backend_reg_t` of every backend."""
        return (self._backend(index) for index in range(self._n_backends()))

    def devices(self) -> Iterator[int]:
        """`ggml_backend_dev_t` of every device."""
        return (self._device(index) for index in range(self._n_devices()))


def require_processor() -> None:
    """Raise ProcessorTooOld if this processor lacks what all of a build for every processor needs, by ggml's
    own score; other builds don't tell.

    To be called before NumPy is imported, which ends a process on such a processor. Takes a few milliseconds.
    Raises NativeLibraryMissing for a library that can't be opened.
    """
    path = cpu_variants().get(_LEAST_VARIANT)
    if path is None:
        return
    open_library(library_path("ggml-base"))  # which plug-ins expect to be there
    if not function(open_library(path), "ggml_backend_score", ctypes.c_int)():
        raise ProcessorTooOld


def _refuse() -> NoReturn:
    variants = cpu_variants()
    for path in variants.values():  # ggml says nothing of those that can't be opened
        open_library(path)
    if _LEAST_VARIANT in variants:
        raise ProcessorTooOld
    names = ", ".join(variants) or "none"
    raise NativeLibraryMissing(f"no CPU backend for this processor in {library_folder()} ({names})")


def function(library: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> Any:
    """A function object of our own: attributes of a CDLL are shared with whoever else declares types."""
    found = library[name]
    found.restype, found.argtypes = result, arguments
    return found
