"""What the native libraries say of themselves: releases, the CPU code in use, and graphics processors.

Opens llama.cpp in the process that asks.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.native import binding
from engine.native.libraries import cpu_variants, library_path, open_library
from engine.native.registry import CPU, GPU, INTEGRATED_GPU, function


@dataclass(frozen=True, slots=True)
class NativeLibrary:
    """The libraries that are open now.

    release: llama-cpp-python's. ggml: ggml's own, with the commit. cpu_variant: which of several CPU backends
    fitted best (`haswell`); None where the build has one only. cpu_features: the instruction sets that its
    code was built for, and its other options, as ggml names them (`AVX2`, `OPENMP`, `SVE_CNT=32`). gpus: as
    their backends name them.
    """

    release: str
    ggml: str
    cpu_variant: str | None
    cpu_features: tuple[str, ...]
    gpus: tuple[str, ...]


class _Feature(ctypes.Structure):
    """`struct ggml_backend_feature` of ggml-backend.h; the last of an array has no name."""

    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_char_p))


class _DlInfo(ctypes.Structure):
    """`Dl_info` of dlfcn.h."""

    _fields_ = (
        ("file_name", ctypes.c_char_p),
        ("file_address", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("symbol_address", ctypes.c_void_p),
    )


def native_library() -> NativeLibrary:
    """Describe the libraries, opening them if need be. Raises NativeLibraryMissing and ProcessorTooOld."""
    registry = binding.registry()
    base = open_library(library_path("ggml-base"))
    text, pointer = ctypes.c_char_p, ctypes.c_void_p
    device_type = function(base, "ggml_backend_dev_type", ctypes.c_int, pointer)
    device_name = function(base, "ggml_backend_dev_description", text, pointer)
    backend_of = function(base, "ggml_backend_dev_backend_reg", pointer, pointer)
    address_of = function(base, "ggml_backend_reg_get_proc_address", pointer, pointer, text)
    types = {device: device_type(device) for device in registry.devices()}
    cpu = backend_of(next(device for device, type_ in types.items() if type_ == CPU))
    features_address = address_of(cpu, b"ggml_backend_get_features")
    return NativeLibrary(
        release=binding.version(),
        ggml=" ".join(_text(function(base, name, text)()) for name in ("ggml_version", "ggml_commit")),
        cpu_variant=_variant_at(features_address),
        cpu_features=_features(features_address, cpu),
        gpus=tuple(
            _text(device_name(device)) for device, type_ in types.items() if type_ in (GPU, INTEGRATED_GPU)
        ),
    )


def _features(address: int, backend: int) -> tuple[str, ...]:
    listed = ctypes.CFUNCTYPE(ctypes.POINTER(_Feature), ctypes.c_void_p)(address)(backend)
    names = []
    for feature in listed:  # endless, as far as ctypes knows
        if feature.name is None:
            break
        name, value = _text(feature.name), _text(feature.value)
        names.append(name if value == "1" else f"{name}={value}")
    return tuple(names)


def _variant_at(address: int) -> str | None:
    """The variant whose code lies at `address`."""
    file_name = _file_at(address).name
    return next((name for name, path in cpu_variants().items() if path.name == file_name), None)


if sys.platform == "win32":

    def _file_at(address: int) -> Path:
        """The library that an address belongs to."""
        kernel32 = ctypes.WinDLL("kernel32")
        number, pointer = ctypes.c_uint32, ctypes.c_void_p
        module_at = function(kernel32, "GetModuleHandleExW", ctypes.c_int, number, pointer, pointer)
        name_of = function(kernel32, "GetModuleFileNameW", number, pointer, ctypes.c_wchar_p, number)
        by_address, uncounted = 4, 2  # GET_MODULE_HANDLE_EX_FLAG_...
        module, name = ctypes.c_void_p(), ctypes.create_unicode_buffer(1 << 15)
        module_at(by_address | uncounted, address, ctypes.byref(module))
        name_of(module, name, len(name))
        return Path(name.value)

else:

    def _file_at(address: int) -> Path:
        """The library that an address belongs to."""
        found = _DlInfo()
        dladdr = function(ctypes.CDLL(None), "dladdr", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        dladdr(address, ctypes.byref(found))
        return Path(_text(found.file_name))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
