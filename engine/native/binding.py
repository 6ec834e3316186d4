"""The one place that imports llama-cpp-python's low-level API.

Imported on first use, since it takes a third of a second and may be missing or broken on a machine. Native
log lines go to the logger `engine.native`; errors are kept, because llama.cpp says in its log why it
refused a file and nowhere else. Knows nothing about models, prompts or files.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import NativeLibraryMissing
from engine.native.registry import Registry
from engine.native.waiting import wait_briefly

_LOGGER = logging.getLogger("engine.native")

# ggml_log_level in ggml.h. What llama.cpp calls information is a page for every load.
_DEBUG, _INFO, _WARN, _ERROR, _CONTINUED = 1, 2, 3, 4, 5
_PYTHON_LEVELS = {_DEBUG: logging.DEBUG, _INFO: logging.DEBUG, _WARN: logging.INFO, _ERROR: logging.WARNING}
_MAX_KEPT_LINES = 50


class _NativeLog:
    """Takes llama.cpp's log fragments, from any thread, and makes lines of them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._level = _INFO
        self._fragment = ""
        self._collectors: list[deque[str]] = []

    def write(self, level: int, text: bytes | None, _user_data: object = None) -> None:
        """The callback: `level` is a ggml_log_level, `text` ends with a newline when a line is complete."""
        with self._lock:
            if level != _CONTINUED:
                self._flush()
                self._level = level
            self._fragment += (text or b"").decode("utf-8", "replace")
            if self._fragment.endswith("\n"):
                self._flush()

    def _flush(self) -> None:
        line, self._fragment = self._fragment.strip(), ""
        if not line:
            return
        if self._level == _ERROR and self._collectors:
            self._collectors[-1].append(line)
        else:
            _LOGGER.log(_PYTHON_LEVELS.get(self._level, logging.DEBUG), "%s", line)

    @contextmanager
    def collect_errors(self) -> Iterator[deque[str]]:
        lines: deque[str] = deque(maxlen=_MAX_KEPT_LINES)
        with self._lock:
            self._collectors.append(lines)
        try:
            yield lines
        finally:
            with self._lock:
                self._flush()
                self._collectors.remove(lines)


_LOG = _NativeLog()


@functools.cache
def api() -> Any:
    """The module `llama_cpp.llama_cpp`, with its backends initialised.

    Raises NativeLibraryMissing and ProcessorTooOld. Typed `Any`: the binding is generated ctypes code, and
    its names differ between versions (`has`).
    """
    wait_briefly()
    try:
        from llama_cpp import llama_cpp as module

        registry = _registry(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise NativeLibraryMissing(str(error)) from error
    module.llama_log_set(_log_callback(module), ctypes.c_void_p(0))
    # First, since without a backend llama.cpp looks for plug-ins in the current folder.
    registry.use_fitting_cpu()
    module.llama_backend_init()
    return module


@functools.cache
def _log_callback(module: Any) -> Any:
    """Cached for ever: llama.cpp keeps the pointer, so the callback must not be collected."""
    return module.llama_log_callback(_LOG.write)


def registry() -> Registry:
    """The backends of the ggml that `api` computes with. Raises like `api`."""
    return _registry(api())


def _registry(module: Any) -> Registry:
    return Registry(module._lib)  # noqa: SLF001 (there is no other name for the library as it was opened)


def version() -> str:
    """The release of llama-cpp-python. Raises like `api`."""
    return str(sys.modules[api().__package__].__version__)


def has(structure: object, field: str) -> bool:
    """Whether a ctypes structure has `field`; releases of the binding differ (phones have an older one)."""
    return any(name == field for name, *_ in getattr(type(structure), "_fields_", ()))


@contextmanager
def collected_errors() -> Iterator[deque[str]]:
    """Within this block native error lines go to the deque it yields instead of the log (newest 50 kept)."""
    with _LOG.collect_errors() as lines:
        yield lines
