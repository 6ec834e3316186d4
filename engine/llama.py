"""Owning classes over llama.cpp's low-level API: Model, Context and Batch.

Each native object is freed exactly once: by `close`, by leaving a `with` block, or when its owner is
collected. A context keeps its model alive. What the tokens mean, and which of them are in the cache, is not
known here.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.abort import AbortPoll
from engine.backend import Progress, untold
from engine.errors import GenerationFailed, LoadFailed
from engine.long_runs import cut_long_runs
from engine.native import binding
from engine.native.owner import Owner

_ALL_LAYERS = -1
_ABORTED = 2  # return value of llama_decode
_WINDOW_ONLY = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY

WindowCopy = ctypes.Array[ctypes.c_uint8]


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that no text may become by chance, and whether it takes the white space beside it along."""

    id: int
    text: str
    strips_left: bool
    strips_right: bool


class Model(Owner):
    """A loaded model with its vocabulary. `close` also closes contexts that were made from it."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int | None = None,
        vocabulary_only: bool = False,
        progress: Progress = untold,
    ) -> None:
        """Load the GGUF at `path`; `gpu_layers` None offloads all layers where a GPU backend was built in.

        Raises NativeLibraryMissing, and LoadFailed with llama.cpp's own words.
        """
        api = binding.api()
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = _ALL_LAYERS if gpu_layers is None else gpu_layers
        parameters.vocab_only = vocabulary_only
        tell = api.llama_progress_callback(_in_steps(progress))
        if progress is not untold:  # a Ctrl-C that arrives in a callback would be lost
            parameters.progress_callback = tell
        with binding.collected_errors() as lines:
            pointer = api.llama_model_load_from_file(str(path).encode("utf-8"), parameters)
        if not pointer:
            raise LoadFailed(path, _reason(lines))
        del tell  # llama.cpp calls it during the load only
        super().__init__(pointer, api.llama_model_free)
        self._api = api
        self.path = path
        self._vocab = api.llama_model_get_vocab(pointer)
        self._pieces: dict[int, bytes] = {}
        self._contexts: weakref.WeakSet[Context] = weakref.WeakSet()
        self.n_vocab = int(api.llama_vocab_n_tokens(self._vocab))
        self._is_bpe = api.llama_vocab_type(self._vocab) == api.LLAMA_VOCAB_TYPE_BPE
        self.n_parameters = int(api.llama_model_n_params(pointer))
        self.trained_context_tokens = int(api.llama_model_n_ctx_train(pointer))
        # Of an older llama.cpp all layers are taken to have the large cache.
        self.sliding_window = int(api.llama_model_n_swa(pointer)) if hasattr(api, "llama_model_n_swa") else 0
        self.end_token = int(api.llama_vocab_eos(self._vocab))
        self.begin_token = int(api.llama_vocab_bos(self._vocab))
        self.wants_begin = bool(api.llama_vocab_get_add_bos(self._vocab)) and self.begin_token >= 0

    @property
    def quantization(self) -> str:
        """llama.cpp's name for the mix of tensor types, such as `Q4_K - Medium`."""
        buffer = ctypes.create_string_buffer(256)  # "architecture size quantization"
        self._api.llama_model_desc(self.pointer, buffer, len(buffer))
        name = buffer.value.decode("utf-8", "replace").split(" ", 2)[-1]
        return name.removeprefix("(guessed) ").removesuffix(" (guessed)")  # older releases say it at the end

    @property
    def has_decoder(self) -> bool:
        """Whether it writes text, one token after another or by diffusion."""
        return bool(self._api.llama_model_has_decoder(self.pointer))

    @property
    def has_encoder(self) -> bool:
        """Whether it reads with a part of its own, as T5 does."""
        return bool(self._api.llama_model_has_encoder(self.pointer))

    @property
    def is_diffusion(self) -> bool:
        """Whether it writes by diffusion; an older llama.cpp knows no such models."""
        api = self._api
        known = hasattr(api, "llama_model_is_diffusion")
        return known and bool(api.llama_model_is_diffusion(self.pointer))

    @cached_property
    def control_tokens(self) -> tuple[ControlToken, ...]:
        """All tokens that only a template may write, in the order in which llama.cpp looks for them."""
        api, vocab = self._api, self._live_vocab()
        special = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNKNOWN
        attributes = ((token, int(api.llama_vocab_get_attr(vocab, token))) for token in range(self.n_vocab))
        found = [
            ControlToken(
                token,
                api.llama_vocab_get_text(vocab, token).decode("utf-8", "replace"),
                strips_left=bool(attribute & api.LLAMA_TOKEN_ATTR_LSTRIP),
                strips_right=bool(attribute & api.LLAMA_TOKEN_ATTR_RSTRIP),
            )
            for token, attribute in attributes
            if attribute & special
        ]
        return tuple(sorted((token for token in found if token.text), key=lambda token: -len(token.text)))

    def is_token(self, text: str) -> bool:
        """Whether `text` is one token, a control token or any other."""
        return len(self._tokenize(text, parse_special=True)) == 1

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`, without beginning or end token; control tokens in it are only text."""
        pieces = cut_long_runs(text) if self._is_bpe else (text,)
        return tuple(token for piece in pieces for token in self._tokenize(piece))

    def piece(self, token: int) -> bytes:
        """The bytes that `token` adds to a text; none for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._render(token, special=False)
        return piece

    def token_text(self, token: int) -> str:
        """The text of `token`, control tokens included; "" for no token (-1)."""
        return self._render(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def ends_answer(self, token: int) -> bool:
        """Whether `token` ends a generation (end of text, end of turn)."""
        return bool(self._api.llama_vocab_is_eog(self._vocab, token))

    def marks_turn(self, token: int) -> bool:
        """Whether `token` ends a turn or marks its parts: no text, but what a chat template writes.

        Those that end a generation, control tokens, and names in angle brackets that were added to the
        vocabulary whole, as gpt-oss has them.
        """
        api = self._api
        if api.llama_vocab_is_eog(self._vocab, token) or api.llama_vocab_is_control(self._vocab, token):
            return True
        if not api.llama_vocab_get_attr(self._vocab, token) & api.LLAMA_TOKEN_ATTR_USER_DEFINED:
            return False
        return self.token_text(token).startswith("<") and self.token_text(token).endswith(">")

    def close(self) -> None:
        """Free the contexts made from this model, then the model."""
        for context in list(getattr(self, "_contexts", ())):
            context.close()
        super().close()

    def adopt(self, context: Context) -> None:
        """Have `context` closed before this model is."""
        self._contexts.add(context)

    def _tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        for _ in range(2):
            tokens = (ctypes.c_int32 * capacity)()
            n_tokens = self._api.llama_tokenize(
                self._live_vocab(), data, len(data), tokens, capacity, False, parse_special
            )
            if n_tokens >= 0:
                return tokens[:n_tokens]
            capacity = -n_tokens
        raise GenerationFailed(n_tokens)

    def _live_vocab(self) -> Any:
        _ = self.pointer  # the vocabulary belongs to the model
        return self._vocab

    def _render(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        n_bytes = self._api.llama_token_to_piece(self._live_vocab(), token, buffer, len(buffer), 0, special)
        if n_bytes < 0:
            buffer = ctypes.create_string_buffer(-n_bytes)
            n_bytes = self._api.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        return bytes(buffer.raw[: max(0, n_bytes)])


class Batch:
    """Tokens to evaluate, in memory of our own: one sequence, positions continue the cache, logits of the
    last.
    """

    def __init__(self, capacity: int) -> None:
        self._api = binding.api()
        self._tokens = (ctypes.c_int32 * capacity)()
        self._native = self._api.llama_batch_get_one(self._tokens, capacity)

    def fill(self, tokens: Sequence[int]) -> Any:
        """The native batch for `tokens`, valid until the next call."""
        self._tokens[: len(tokens)] = list(tokens)
        self._native.n_tokens = len(tokens)
        return self._native


class Context(Owner):
    """The state of one conversation: KV cache and the logits of the last evaluation."""

    def __init__(
        self, model: Model, *, context_tokens: int, n_batch: int, n_micro_batch: int, n_threads: int
    ) -> None:
        """Allocate a context with a float16 KV cache. Raises LoadFailed, as when memory is short."""
        api = binding.api()
        parameters = api.llama_context_default_params()
        parameters.n_ctx = context_tokens
        parameters.n_batch = n_batch
        parameters.n_ubatch = min(n_micro_batch, n_batch)
        parameters.n_threads = parameters.n_threads_batch = n_threads
        parameters.no_perf = True
        if binding.has(parameters, "swa_full"):
            parameters.swa_full = False  # layers with a sliding window keep that and no more
        if binding.has(parameters, "n_outputs_max"):
            parameters.n_outputs_max = 1  # logits of the last token only, not of the whole micro-batch
        with binding.collected_errors() as lines:
            pointer = api.llama_init_from_model(model.pointer, parameters)
        if not pointer:
            raise LoadFailed(model.path, _reason(lines))
        super().__init__(pointer, api.llama_free)
        self.model = model
        model.adopt(self)
        self._api = api
        self._batch = Batch(n_batch)
        self._memory = api.llama_get_memory(pointer)
        self._no_abort = api.ggml_abort_callback()
        self._n_threads = n_threads
        self.n_batch = n_batch
        self._n_micro_batch = parameters.n_ubatch
        self.context_tokens = int(api.llama_n_ctx(pointer))

    @property
    def n_cached(self) -> int:
        """Number of tokens in the KV cache: the truth after an abort or a failure."""
        return int(self._api.llama_memory_seq_pos_max(self._live_memory(), 0)) + 1

    @property
    def has_memory(self) -> bool:
        """Whether there is a cache of earlier tokens: encoders have none."""
        return bool(self._memory)

    def use_threads(self, n_threads: int) -> None:
        """Compute with that many threads from the next evaluation on; costs nothing."""
        if n_threads != self._n_threads:
            self._api.llama_set_n_threads(self.pointer, n_threads, n_threads)
            self._n_threads = n_threads

    def evaluate(self, tokens: Sequence[int]) -> bool:
        """Append `tokens` (1 to `n_batch`) to the cache; False if the abort callback stopped it half-way.

        Raises GenerationFailed with llama_decode's code. In both cases a part of the tokens may be cached.
        """
        code = int(self._api.llama_decode(self.pointer, self._batch.fill(tokens)))
        if code not in (0, _ABORTED):
            raise GenerationFailed(code)
        return code == 0

    def truncate(self, n_tokens: int) -> bool:
        """Keep the first `n_tokens` of the cache; False, and an empty cache, if this model can't.

        Layers with a sliding window may have let go of what the next token sees there, see `first_cached`.
        """
        if self._api.llama_memory_seq_rm(self._live_memory(), 0, n_tokens, -1):
            return True
        self._api.llama_memory_clear(self._memory, False)
        return False

    @property
    def first_cached(self) -> int:
        """The first position that all layers still hold; -1 where the cache is empty."""
        return int(self._api.llama_memory_seq_pos_min(self._live_memory(), 0))

    @property
    def forgets(self) -> bool:
        """Whether the layers with a sliding window have no room for the whole context, and can be copied."""
        seen = self.model.sliding_window + self._n_micro_batch  # llama-kv-cache-iswa.cpp
        can_copy = hasattr(self._api, "llama_state_seq_get_data_ext")
        return bool(self.model.sliding_window) and can_copy and seen < self.context_tokens

    def copy_window(self) -> WindowCopy:
        """What the layers with a sliding window hold that a token after the last one sees."""
        size = int(self._api.llama_state_seq_get_size_ext(self.pointer, 0, _WINDOW_ONLY))
        copy = (ctypes.c_uint8 * size)()
        self._api.llama_state_seq_get_data_ext(self.pointer, copy, size, 0, _WINDOW_ONLY)
        return copy

    def put_window_back(self, copy: WindowCopy) -> bool:
        """Have the layers with a sliding window hold `copy` again; False if llama.cpp can't take it."""
        size = len(copy)
        return int(self._api.llama_state_seq_set_data_ext(self.pointer, copy, size, 0, _WINDOW_ONLY)) > 0

    def logits(self) -> npt.NDArray[np.float32]:
        """Logits after the last evaluated token, shape (n_vocab,): a view that `evaluate` overwrites."""
        address = self._api.llama_get_logits_ith(self.pointer, -1)
        return np.ctypeslib.as_array(address, shape=(self.model.n_vocab,))

    @contextmanager
    def abortable(self, aborted: AbortPoll) -> Iterator[None]:
        """Within this block evaluation asks `aborted` before every graph node, and stops when it is set."""
        callback = self._api.ggml_abort_callback(aborted.poll)
        self._api.llama_set_abort_callback(self.pointer, callback, None)
        try:
            yield
        finally:
            self._api.llama_set_abort_callback(self.pointer, self._no_abort, None)
            aborted.raise_interrupt()

    def _live_memory(self) -> Any:
        _ = self.pointer  # the memory belongs to the context
        return self._memory


def can_use_gpu() -> bool:
    """Whether the installed llama.cpp was built for a GPU (Metal)."""
    return bool(binding.api().llama_supports_gpu_offload())


def outputs_kept(n_micro_batch: int) -> int:
    """For how many tokens of a micro-batch the installed llama.cpp allocates logits."""
    return 1 if binding.has(binding.api().llama_context_default_params(), "n_outputs_max") else n_micro_batch


def _in_steps(progress: Progress) -> Callable[[float, Any], bool]:
    """llama.cpp tells of every tensor; pass on whole tenths. An exception would be lost in a callback."""
    told = -1

    def tell(share: float, _user_data: Any) -> bool:
        nonlocal told
        if int(share * 10) > told:
            told = int(share * 10)
            progress(min(1.0, share))
        return True

    return tell


def _reason(lines: Sequence[str]) -> str:
    """The line that says why: llama.cpp's last one only repeats that loading failed."""
    telling = [line for line in lines if not line.endswith("failed to load model")]
    return (telling or [*lines, "no reason given"])[-1]
