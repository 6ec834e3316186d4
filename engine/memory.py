"""Whether a model fits the memory that is available now: an estimate of its need, before llama.cpp is
called; and what this process took in the end.

Deliberately simple (within about 15 % of what loading takes on a CPU); which quantization to recommend for
a machine is for the model manager to work out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from engine import cgroup
from engine.errors import NotEnoughMemory
from engine.gguf_header import GgufHeader
from engine.model_shape import ModelShape

_F16_BYTES = 2
_F32_BYTES = 4
_CONTEXT_STEP = 256  # llama.cpp rounds contexts up to this
_SMALLEST_CONTEXT = 512
_FIXED_BYTES = 48 << 20  # graphs, vocabulary, allocator
_VOCABULARY_BYTES_PER_TOKEN = 320  # text, merges and hash tables of llama.cpp's vocabulary
_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that loading a model takes."""

    weights: int
    kv_cache: int
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + self.compute


def estimate_need(
    header: GgufHeader, shape: ModelShape, context_tokens: int, n_batch: int, n_outputs: int
) -> MemoryNeed:
    """Memory for `header`'s model with a context of `context_tokens` and float16 keys and values.

    `n_batch` is the micro-batch in tokens, `n_outputs` for how many of its tokens logits are kept.
    """
    context_tokens = -(-context_tokens // _CONTEXT_STEP) * _CONTEXT_STEP
    activations = n_batch * (4 * shape.n_embd + 2 * shape.n_ff) * _F32_BYTES
    mask = n_batch * context_tokens * (_F32_BYTES + _F16_BYTES)
    logits = (n_outputs + 1) * shape.n_vocab * _F32_BYTES
    candidates = shape.n_vocab * 3 * _F32_BYTES
    vocabulary = shape.n_vocab * _VOCABULARY_BYTES_PER_TOKEN
    return MemoryNeed(
        weights=header.tensor_bytes,
        kv_cache=context_tokens * shape.kv_width * _F16_BYTES,
        compute=activations + mask + logits + candidates + vocabulary + _FIXED_BYTES,
    )


def require_memory(
    header: GgufHeader, shape: ModelShape, context_tokens: int, n_batch: int, n_outputs: int
) -> None:
    """Raise NotEnoughMemory, with a smaller context that would fit if there is one, unless the model fits."""
    available = available_bytes()
    if available is None:
        return

    def need(n_tokens: int) -> int:
        return estimate_need(header, shape, n_tokens, n_batch, n_outputs).total

    if need(context_tokens) <= available:
        return
    smaller = (context_tokens - 1) // _CONTEXT_STEP * _CONTEXT_STEP
    while smaller >= _SMALLEST_CONTEXT and need(smaller) > available:
        smaller -= _CONTEXT_STEP
    raise NotEnoughMemory(
        path=header.path,
        needed_bytes=need(context_tokens),
        available_bytes=available,
        context_tokens=context_tokens,
        smaller_context_tokens=smaller if smaller >= _SMALLEST_CONTEXT else None,
    )


def available_bytes() -> int | None:
    """Memory that can be used without swapping, within control group limits; None where nothing tells."""
    known = [size for size in (_system_available(), cgroup.available_memory()) if size is not None]
    return min(known, default=None)


def _system_available() -> int | None:
    try:
        import psutil
    except ImportError:  # phones
        kilobytes = cgroup.number_after("MemAvailable:", _MEMINFO)
        return kilobytes * 1024 if kilobytes is not None else None
    return int(psutil.virtual_memory().available)


def peak_rss_bytes() -> int:
    """The most memory that this process has had resident so far."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    kilobytes = cgroup.number_after("VmHWM:", _STATUS)  # rusage would include the parent's peak
    if kilobytes is not None:
        return kilobytes * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
