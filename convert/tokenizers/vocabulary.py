"""A tokenizer's vocabulary as GGUF stores it, whatever file it came from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from convert.errors import InvalidFile, VocabularyTooLong
from convert.notes import Note

MAX_TOKENS = 1 << 19
"""Twice BLOOM's 250,880; the bound on everything that a tokenizer file may count."""

MAX_TOKEN_BYTES = 1 << 12

SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space."""

BYTE_PIECES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
"""SentencePiece's tokens for the bytes of characters that have no token."""


class TokenType(IntEnum):
    """GGUF's `tokenizer.ggml.token_type` values."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in id order with what llama.cpp needs to tokenize as the original did.

    model: "gpt2" (byte-level BPE; tokens in GPT-2's printable byte alphabet, `merges` set) or "llama"
    (SentencePiece; `scores` set). pre: GGUF pre-tokenizer name for "gpt2" ("bloom"), else None. eot_id and
    eom_id: further tokens that end an answer. prefixes_first_only: see `for_template`. notes: where llama.cpp
    may still do otherwise.
    """

    model: Literal["gpt2", "llama"]
    pre: str | None
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float] | None = None
    merges: Sequence[str] | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    eot_id: int | None = None
    eom_id: int | None = None
    unk_id: int | None = None
    pad_id: int | None = None
    add_bos: bool = False
    add_space_prefix: bool | None = None
    prefixes_first_only: bool = False
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def for_template(self, template: str | None) -> Vocabulary:
        """With the space prefix that fits the prompts which `template` writes.

        Only for an original that puts a space before the first text and none after a control token: llama.cpp
        puts one in both places or in neither. A template that writes control tokens begins with one, as a
        rule; then there is no first text.
        """
        if not self.prefixes_first_only or template is None:
            return self
        written = ("bos_token", *self._control_texts())
        return dataclasses.replace(self, add_space_prefix=not any(text in template for text in written))

    def _control_texts(self) -> Iterator[str]:
        """Those that can begin a prompt."""
        for token, kind in enumerate(self.types):
            if kind is TokenType.CONTROL and token != self.eos_id:
                yield self.tokens[token]

    def without_rowless(self, n_embeddings: int) -> Vocabulary:
        """Without control tokens that the embedding has no row for, and with a note of them.

        transformers loads such a model too: nobody can type these tokens, and the model can't write them.
        Nothing changes where one of them begins or ends a text, or can be typed.
        """
        rowless = range(n_embeddings, len(self.tokens))
        needed = {self.bos_id, self.eos_id, self.unk_id}
        untyped = (TokenType.CONTROL, TokenType.UNUSED)
        if not rowless or any(token in needed or self.types[token] not in untyped for token in rowless):
            return self
        values: dict[str, str | int] = {
            "token": self.tokens[rowless[0]][:40],
            "count": len(rowless),
            "n_embeddings": n_embeddings,
        }
        return dataclasses.replace(
            self,
            tokens=self.tokens[:n_embeddings],
            types=self.types[:n_embeddings],
            scores=None if self.scores is None else self.scores[:n_embeddings],
            pad_id=None if self.pad_id in rowless else self.pad_id,
            notes=(*self.notes, Note("tokenizer_rowless", values)),
        )

    def padded(self, n_embeddings: int, path: Path) -> Vocabulary:
        """With unused tokens up to one for each row of the embedding, as llama.cpp demands.

        Raises `VocabularyTooLong`, naming `path`, when there are more tokens than rows.
        """
        n_missing = n_embeddings - len(self.tokens)
        if n_missing < 0:
            raise VocabularyTooLong(path, len(self.tokens), n_embeddings)
        taken = set(self.tokens)
        missing = range(len(self.tokens), n_embeddings)
        return dataclasses.replace(
            self,
            tokens=[*self.tokens, *(padding_name(token, taken) for token in missing)],
            types=[*self.types, *[TokenType.UNUSED] * n_missing],
            scores=None if self.scores is None else [*self.scores, *[PADDING_SCORE] * n_missing],
        )


PADDING_SCORE = -10000.0


def padding_name(token: int, taken: set[str]) -> str:
    """`[PAD<id>]`, kept clear of `taken` and added to it: llama.cpp aborts when two tokens are equal."""
    name = f"[PAD{token}]"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def check_tokens(path: Path, tokens: Sequence[str], scores: Sequence[float] | None = None) -> None:
    """Refuse, as `InvalidFile`, what would make llama.cpp stop the process or misread the list.

    It aborts when two tokens are equal, and cuts strings at a NUL byte.
    """
    seen: set[str] = set()
    for token, text in enumerate(tokens):
        if not text or len(text) > MAX_TOKEN_BYTES or "\0" in text or not _is_encodable(text):
            raise InvalidFile(path, f"token {token} is empty, too long or not text")
        if text in seen:
            raise InvalidFile(path, f"token {token} repeats an earlier one")
        seen.add(text)
    if scores is not None and not all(map(math.isfinite, scores)):
        raise InvalidFile(path, "a score is not a finite number")


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
