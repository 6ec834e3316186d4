"""One answer in the making: its token ids, the text they spell, and which of the ids the kept text covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.text_stream import TextStream
from engine.types import FinishReason, Message, TokenIds


class Answer:
    """Collects tokens; `piece` gives the bytes of a token."""

    def __init__(self, piece: Callable[[int], bytes], stop_strings: Sequence[str]) -> None:
        self.tokens: list[int] = []
        self._piece = piece
        self._stream = TextStream(stop_strings)
        self._data = bytearray()
        self._ends: list[int] = []  # length of `_data` after each token

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended the text."""
        return self._stream.stopped

    def push(self, token: int) -> str:
        """Take a generated token; return the text that is certain now, often none."""
        piece = self._piece(token)
        self.tokens.append(token)
        self._data += piece
        self._ends.append(len(self._data))
        return self._stream.push(piece)

    def finish(self, reason: FinishReason) -> str:
        """Return the text held back so far; a character that a limit or a person cut in two is dropped."""
        return self._stream.finish(cut=reason is not FinishReason.END)

    def message(self, begun: Message | None, vocabulary: str) -> Message:
        """The finished message; `begun` is the beginning that this answer continues."""
        text, ids = self._stream.text, self._kept_ids()
        if begun is not None:
            text = begun.text + text
            matches = begun.tokens is not None and begun.tokens.vocabulary == vocabulary
            ids = begun.tokens.ids + ids if begun.tokens and matches and ids is not None else None
        kept = TokenIds(vocabulary, ids) if ids is not None and vocabulary else None
        return Message("assistant", text, kept)

    def _kept_ids(self) -> tuple[int, ...] | None:
        """The ids that spell exactly the text; None where it ends inside a token."""
        text = self._stream.text
        for n_tokens in range(len(self.tokens), -1, -1):
            n_bytes = self._ends[n_tokens - 1] if n_tokens else 0
            spelt = self._data[:n_bytes].decode("utf-8", "replace")
            if spelt == text:
                return tuple(self.tokens[:n_tokens])
            if len(spelt) < len(text):
                break
        return None
