"""Which layers of a model see only the last tokens: their keys and values take a small cache of their own.

No program tells that before a load, so the rules of llama.cpp's `src/models/*.cpp` are written down here. An
architecture that is not among them is taken to see everything in every layer: too much memory is then
expected, never too little. Knows metadata keys, nothing about memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.gguf_header import GgufHeader


@dataclass(frozen=True, slots=True)
class SlidingLayers:
    """window: how many tokens such a layer sees. slides: for each layer, whether it is one."""

    window: int
    slides: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One layer in `period` sees everything, the first of them or the last; 0 is none.

    window: where the file names none; is_fixed: whatever it names.
    """

    period: int
    dense_first: bool = False
    window: int = 0
    is_fixed: bool = False


_RULES = {
    "afmoe": _Rule(4),
    "cohere2": _Rule(4),
    "cohere2moe": _Rule(4, dense_first=True),
    "exaone-moe": _Rule(4, window=128),
    "gemma2": _Rule(2, window=4096),
    "gemma3": _Rule(6),
    "gemma3n": _Rule(5),
    "gpt-oss": _Rule(2),
    "laguna": _Rule(4, dense_first=True),
    "lfm2": _Rule(0),
    "llama4": _Rule(4, window=8192, is_fixed=True),
    "mellum": _Rule(4),
    "muse-glimmer": _Rule(4),
    "olmo2": _Rule(4),
    "plamo3": _Rule(8),
    "smallthinker": _Rule(4, dense_first=True, window=4096, is_fixed=True),
}
_EXAONE4_LARGE = 64  # layers; only this one slides
# These list every layer in the file.
_LISTED = frozenset({"dots3note", "gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35"})


def read_sliding_layers(header: GgufHeader, n_layers: int) -> SlidingLayers | None:
    """The sliding layers of the model in `header`; None where all layers see everything."""
    named = _number(header, "sliding_window")
    listed = header.metadata.get(_key(header, "sliding_window_pattern"))
    rule = _rule(header, n_layers)
    if rule is None and header.architecture not in _LISTED:
        return None
    window = named if named is not None else rule.window if rule is not None else 0
    if window < 1:  # a file may turn it off
        return None
    if rule is not None and rule.is_fixed:
        window = rule.window
    if isinstance(listed, tuple):
        slides = tuple(bool(value) for value in listed[:n_layers])
        return SlidingLayers(window, slides + (False,) * (n_layers - len(slides)))
    if rule is None:
        return None
    period = listed if isinstance(listed, int) and listed >= 0 else rule.period
    return SlidingLayers(window, tuple(_slides(layer, period, rule.dense_first) for layer in range(n_layers)))


def n_layers_with_cache(header: GgufHeader, n_layers: int) -> int:
    """How many of the layers, from the first, keep keys and values; later ones use theirs."""
    if header.architecture == "gemma3n":
        return min(n_layers, 20)
    if header.architecture == "gemma4":
        return max(1, n_layers - (_number(header, "shared_kv_layers") or 0))
    return n_layers


def _rule(header: GgufHeader, n_layers: int) -> _Rule | None:
    if header.architecture == "exaone4":
        return _Rule(4, window=4096) if n_layers == _EXAONE4_LARGE else None
    if header.architecture == "smallthinker" and not _number(header, "sliding_window"):
        return None
    return _RULES.get(header.architecture)


def _slides(layer: int, period: int, dense_first: bool) -> bool:
    if period == 0:
        return True
    return layer % period != 0 if dense_first else layer % period < period - 1


def _number(header: GgufHeader, name: str) -> int | None:
    value = header.metadata.get(_key(header, name))
    return value if isinstance(value, int) and 0 <= value <= 1 << 31 else None


def _key(header: GgufHeader, name: str) -> str:
    return f"{header.architecture}.attention.{name}"
