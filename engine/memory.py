"""How much memory a model takes, worked out before llama.cpp is called; what this machine has left; and what
this process took in the end.

One estimate serves the loading of a file and the model manager (`engine.models.fit`), within 10 % of what a
load on a CPU takes. What to recommend for a machine is not known here.
"""

from __future__ import annotations

import platform
import sys
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine import cgroup, darwin
from engine.errors import NotEnoughMemory
from engine.gguf_header import GgufHeader, TensorInfo
from engine.installation import is_phone
from engine.model_shape import ModelShape

_F16_BYTES = 2
_F32_BYTES = 4
_CONTEXT_STEP = 256  # llama.cpp rounds contexts up to this
_SMALLEST_CONTEXT = 512
_COMFORTABLE_CONTEXT = 1024
_MAX_DEFAULT_CONTEXT = 4096
_MAX_DEFAULT_ON_PHONES = 2048
_FIXED_BYTES = 8 << 20  # graphs, buffers for one operation
_RESERVED_BYTES = 24 << 20  # thread stacks and heaps, asked for but hardly touched
_BYTES_PER_TOKEN = 170  # text and hash tables of llama.cpp's vocabulary
_BYTES_PER_MERGE = 150
_CANDIDATE_BYTES = 12

MICRO_BATCH = 128
"""Tokens that processors evaluate at once at most: no model reads faster with more, and each takes memory."""

# ggml types that llama.cpp copies into a layout of its own where the processor has the instructions for it
# (ggml-cpu/repack.cpp): Q4_0, Q2_K, Q4_K, IQ4_NL, and on Arm also Q8_0, Q5_K, Q6_K.
_REPACKED_X86 = frozenset({2, 10, 12, 20})
_REPACKED_ARM = _REPACKED_X86 | {8, 13, 14}
_REPACKED_ROWS = 8

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the estimate needs to know of a model, taken from a header or from a catalog.

    weights: bytes of all tensors. repacked: bytes of those that are copied into another layout on this
    machine's CPU. is_gated: the feed-forward part has a gate (LLaMA has, BLOOM has not).
    """

    shape: ModelShape
    weights: int
    repacked: int = 0
    is_gated: bool = True
    n_merges: int = 0


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that loading a model takes. repacked: the part of the weights that is there twice, see
    `Footprint`.
    """

    weights: int
    kv_cache: int
    compute: int
    repacked: int = 0

    @property
    def total(self) -> int:
        """What must stay in memory while the model answers, so that the disk is left alone."""
        return self.weights + self.kv_cache + self.compute

    @property
    def committed(self) -> int:
        """What the process owns and only swapping can take from it; the file's pages are not among it."""
        return self.repacked + self.kv_cache + self.compute + _RESERVED_BYTES

    @property
    def resident(self) -> int:
        """The most that is shown as in use: all of the file's pages, the copied ones too, which the system
        takes back when it needs them.
        """
        return self.total + self.repacked


def footprint(header: GgufHeader, shape: ModelShape) -> Footprint:
    """What `header` says about its model's memory."""
    has_output = any(tensor.name == "output.weight" for tensor in header.tensors)
    return Footprint(
        shape=shape,
        weights=header.tensor_bytes,
        repacked=_repacked_bytes(header.tensors, has_output),
        is_gated=any(".ffn_gate" in tensor.name for tensor in header.tensors),
        n_merges=header.array_lengths.get("tokenizer.ggml.merges", 0),
    )


def estimate(
    model: Footprint, context_tokens: int, n_batch: int | None = None, n_outputs: int = 1
) -> MemoryNeed:
    """Memory for `model` with a context of `context_tokens` and float16 keys and values.

    n_batch: the micro-batch in tokens, None is what the engine takes. n_outputs: for how many of its tokens
    logits are kept.
    """
    shape = model.shape
    n_batch = min(n_batch or MICRO_BATCH, context_tokens)
    context_tokens = _whole_steps(context_tokens)
    ff_copies = 3 if model.is_gated else 1
    activations = n_batch * (4 * shape.n_embd + ff_copies * shape.n_ff) * _F32_BYTES
    mask = n_batch * context_tokens * _F16_BYTES
    logits = shape.n_vocab * (n_outputs * _F32_BYTES + _CANDIDATE_BYTES)
    vocabulary = shape.n_vocab * _BYTES_PER_TOKEN + model.n_merges * _BYTES_PER_MERGE
    return MemoryNeed(
        weights=model.weights,
        kv_cache=_cached_elements(shape, context_tokens, n_batch) * _F16_BYTES,
        compute=activations + mask + logits + vocabulary + _FIXED_BYTES,
        repacked=model.repacked,
    )


def estimate_need(
    header: GgufHeader, shape: ModelShape, context_tokens: int, n_batch: int, n_outputs: int
) -> MemoryNeed:
    """`estimate` for a file."""
    return estimate(footprint(header, shape), context_tokens, n_batch, n_outputs)


def largest_context(
    model: Footprint, available: int, n_batch: int | None = None, n_outputs: int = 1
) -> int | None:
    """The longest context that fits `available` bytes, at most what the model was trained with, in whole
    steps of 256; None where no useful one does.
    """
    trained = model.shape.trained_context_tokens
    contexts = range(_CONTEXT_STEP, _whole_steps(trained) + 1, _CONTEXT_STEP)
    n_fitting = bisect_right(
        contexts, available, key=lambda tokens: estimate(model, tokens, n_batch, n_outputs).total
    )
    fitting = min(n_fitting * _CONTEXT_STEP, trained)
    return fitting if fitting >= min(_SMALLEST_CONTEXT, trained) else None


def default_context(model: Footprint, available: int | None) -> int:
    """The context to load with if nobody chose one: what the model was trained with, at most 4,096 (on phones
    2,048), less where `available` bytes (None: unknown) do not hold that, but not below 1,024 for it.
    """
    most = _MAX_DEFAULT_ON_PHONES if is_phone() else _MAX_DEFAULT_CONTEXT
    wanted = min(model.shape.trained_context_tokens, most)
    if available is None:
        return wanted
    return min(wanted, max(largest_context(model, available) or 0, _COMFORTABLE_CONTEXT))


def require_memory(
    header: GgufHeader, shape: ModelShape, context_tokens: int, n_batch: int, n_outputs: int
) -> None:
    """Raise NotEnoughMemory, with a smaller context that would fit if there is one, unless the model fits."""
    available = available_bytes()
    if available is None:
        return
    model = footprint(header, shape)
    needed = estimate(model, context_tokens, n_batch, n_outputs).total
    if needed <= available:
        return
    raise NotEnoughMemory(
        path=header.path,
        needed_bytes=needed,
        available_bytes=available,
        context_tokens=context_tokens,
        smaller_context_tokens=largest_context(model, available, n_batch, n_outputs),
    )


def _cached_elements(shape: ModelShape, context_tokens: int, n_batch: int) -> int:
    """Keys and values. Layers with a window keep that and one batch (llama-kv-cache-iswa.cpp), and a copy is
    made of what they see (`engine.going_back`), unless they keep everything.
    """
    n_kept = min(context_tokens, _whole_steps(shape.sliding_window + n_batch))
    n_copied = shape.sliding_window if shape.sliding_window + n_batch < context_tokens else 0
    everywhere = shape.kv_width - shape.sliding_kv_width
    return context_tokens * everywhere + (n_kept + n_copied) * shape.sliding_kv_width


def _whole_steps(context_tokens: int) -> int:
    return -(-context_tokens // _CONTEXT_STEP) * _CONTEXT_STEP


def _repacked_bytes(tensors: Iterable[TensorInfo], has_output: bool) -> int:
    """Matrices of the types that are copied; the embedding is one only where it is the output as well."""
    types = _REPACKED_ARM if platform.machine().lower() in ("arm64", "aarch64") else _REPACKED_X86
    return sum(
        tensor.size_bytes
        for tensor in tensors
        if tensor.type in types
        and len(tensor.shape) > 1
        and tensor.shape[1] % _REPACKED_ROWS == 0
        and not (has_output and tensor.name == "token_embd.weight")
    )


def total_bytes() -> int | None:
    """All of this machine's memory; None where nothing tells."""
    if is_phone():
        return _meminfo("MemTotal:") or darwin.sysctl("hw.memsize")
    import psutil

    return int(psutil.virtual_memory().total)


def available_bytes() -> int | None:
    """Memory that can be used without swapping, within control group limits; None where nothing tells."""
    known = [size for size in (_system_available(), cgroup.available_memory()) if size is not None]
    return min(known, default=None)


def _system_available() -> int | None:
    if is_phone():
        return _meminfo("MemAvailable:") or darwin.available_memory()
    import psutil

    return int(psutil.virtual_memory().available)


def _meminfo(name: str) -> int | None:
    kilobytes = cgroup.number_after(name, _MEMINFO)
    return kilobytes * 1024 if kilobytes is not None else None


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
