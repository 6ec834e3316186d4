"""What llama.cpp makes of a GGUF: tokens of a text, logits of tokens; the binding's raw API only."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.native.binding import api as load_api

# Not imported directly: the engine's log callback, which it reads refusals from, has to stay in place.
api = load_api()


class LoadedModel:
    """A GGUF opened by llama.cpp; `vocab_only` skips the weights. Use as a context manager."""

    def __init__(self, path: Path, *, vocab_only: bool = False) -> None:
        params = api.llama_model_default_params()
        params.vocab_only = vocab_only
        params.n_gpu_layers = 0
        self._model: Any = api.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise RuntimeError(f"llama.cpp refuses {path}")
        self.vocab: Any = api.llama_model_get_vocab(self._model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        api.llama_model_free(self._model)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Token ids."""
        data = text.encode()
        room = 4 * len(data) + 16
        ids = (api.llama_token * room)()
        count = api.llama_tokenize(self.vocab, data, len(data), ids, room, add_special, parse_special)
        assert count >= 0
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for, special ones included."""
        buffer = ctypes.create_string_buffer(1024)
        size = api.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[:size]

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits of every position, `(len(ids), n_vocab)`, on one CPU thread with a float32 KV cache."""
        params = api.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = max(64, len(ids))
        params.n_threads = params.n_threads_batch = 1
        params.type_k = params.type_v = 0
        params.flash_attn_type = 0
        context = api.llama_init_from_model(self._model, params)
        batch = api.llama_batch_init(len(ids), 0, 1)
        try:
            for place, token in enumerate(ids):
                batch.token[place] = token
                batch.pos[place] = place
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = 0
                batch.logits[place] = 1
            batch.n_tokens = len(ids)
            assert api.llama_decode(context, batch) == 0
            width = api.llama_vocab_n_tokens(self.vocab)
            rows = [
                np.ctypeslib.as_array(api.llama_get_logits_ith(context, place), (width,)).copy()
                for place in range(len(ids))
            ]
            return np.stack(rows)
        finally:
            api.llama_batch_free(batch)
            api.llama_free(context)
