"""What a GGUF's metadata says about the model's dimensions, checked before llama.cpp sees the file.

llama.cpp aborts the process, or divides by zero, on some absurd values; those end here as DamagedHeader.
Knows the naming of metadata keys, nothing about memory or tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import DamagedHeader
from engine.gguf_header import GgufHeader
from engine.sliding_window import n_layers_with_cache, read_sliding_layers

_MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_WIDTH = 1 << 20
_MAX_VOCABULARY = 1 << 24
_MAX_CONTEXT = 1 << 31

# Optional numbers that end up in assertions of ggml, or in divisions: lowest and highest.
_FRACTIONS = (
    ("attention.layer_norm_epsilon", 0, 1),
    ("attention.layer_norm_rms_epsilon", 0, 1),
    ("attention.group_norm_epsilon", 0, 1),
    ("attention.max_alibi_bias", 0, 1e6),
    ("rope.freq_base", 1e-6, 1e15),
    ("rope.scaling.factor", 0, 1e9),
)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a transformer; `kv_width` is the number of key and value elements of a token, all
    layers. sliding_kv_width: those of it in layers that see the last `sliding_window` tokens only.
    """

    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_vocab: int
    kv_width: int
    trained_context_tokens: int
    sliding_window: int = 0
    sliding_kv_width: int = 0


def read_model_shape(header: GgufHeader) -> ModelShape:
    """Read the dimensions of the model in `header`. Raises DamagedHeader for values no model has."""
    fields = _Fields(header)
    if not header.tensors and header.metadata.get("split.count", 1) in (0, 1):
        raise DamagedHeader(header.path, "no tensors")
    for name, lowest, highest in _FRACTIONS:
        fields.check_number(name, lowest, highest)
    n_layers = fields.integer("block_count", 1, _MAX_LAYERS)
    n_embd = fields.integer("embedding_length", 1, _MAX_WIDTH)
    heads = fields.per_layer("attention.head_count", n_layers, default=1)
    kv_heads = fields.per_layer("attention.head_count_kv", n_layers, default=None) or heads
    n_heads = max(heads)
    if n_heads > n_embd:
        raise DamagedHeader(header.path, f"attention.head_count {n_heads} with embedding_length {n_embd}")
    kv_width, sliding_kv_width, window = _kv_widths(header, fields, kv_heads, n_embd // max(1, n_heads))
    return ModelShape(
        n_layers=n_layers,
        n_embd=n_embd,
        n_ff=max(fields.per_layer("feed_forward_length", n_layers, default=4 * n_embd, maximum=_MAX_WIDTH)),
        n_heads=n_heads,
        n_vocab=_n_vocab(header, fields),
        kv_width=kv_width,
        trained_context_tokens=fields.integer("context_length", 1, _MAX_CONTEXT, default=2048),
        sliding_window=window,
        sliding_kv_width=sliding_kv_width,
    )


def _kv_widths(
    header: GgufHeader, fields: _Fields, kv_heads: tuple[int, ...], n_embd_head: int
) -> tuple[int, int, int]:
    """Elements of keys and values in all layers, in those with a window, and the window in tokens."""
    key = fields.integer("attention.key_length", 1, _MAX_WIDTH, default=max(1, n_embd_head))
    value = fields.integer("attention.value_length", 1, _MAX_WIDTH, default=key)
    widths = [n * (key + value) for n in kv_heads[: n_layers_with_cache(header, len(kv_heads))]]
    sliding = read_sliding_layers(header, len(kv_heads))
    if sliding is None:
        return sum(widths), 0, 0
    key = fields.integer("attention.key_length_swa", 1, _MAX_WIDTH, default=key)
    value = fields.integer("attention.value_length_swa", 1, _MAX_WIDTH, default=value)
    for layer, slides in enumerate(sliding.slides[: len(widths)]):
        if slides:
            widths[layer] = kv_heads[layer] * (key + value)
    sliding_width = sum(width for width, slides in zip(widths, sliding.slides, strict=False) if slides)
    return sum(widths), sliding_width, sliding.window


def _n_vocab(header: GgufHeader, fields: _Fields) -> int:
    listed = header.array_lengths.get("tokenizer.ggml.tokens", 0)
    n_vocab = listed or fields.integer("vocab_size", 1, _MAX_VOCABULARY, default=1)
    if n_vocab > _MAX_VOCABULARY:
        raise DamagedHeader(header.path, f"tokenizer.ggml.tokens: array of length {n_vocab}")
    return n_vocab


class _Fields:
    """Looks up `ARCHITECTURE.name` with a range."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header

    def integer(self, name: str, minimum: int, maximum: int, default: int | None = None) -> int:
        value = self._header.metadata.get(self._key(name), default)
        return self._checked(name, value, minimum, maximum)

    def check_number(self, name: str, lowest: float, highest: float) -> None:
        """Refuse a number out of its range; it may be missing."""
        value = self._header.metadata.get(self._key(name), lowest)
        if not isinstance(value, int | float) or not lowest <= value <= highest:
            raise DamagedHeader(self._header.path, f"{self._key(name)}: {value!r}")

    def per_layer(
        self, name: str, n_layers: int, default: int | None, maximum: int = 1 << 16
    ) -> tuple[int, ...]:
        """One number for each layer; () where the file has none and there is no default."""
        value = self._header.metadata.get(self._key(name), default)
        if value is None:
            return ()
        if not isinstance(value, tuple):
            return (self._checked(name, value, 1, maximum),) * n_layers
        if len(value) < n_layers:
            raise DamagedHeader(
                self._header.path, f"{self._key(name)}: {len(value)} values, {n_layers} layers"
            )
        return tuple(self._checked(name, element, 0, maximum) for element in value[:n_layers])

    def _checked(self, name: str, value: object, minimum: int, maximum: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise DamagedHeader(self._header.path, f"{self._key(name)}: {value!r}")
        return value

    def _key(self, name: str) -> str:
        return f"{self._header.architecture}.{name}"
