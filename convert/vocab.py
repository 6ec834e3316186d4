"""A tokenizer's vocabulary as GGUF stores it, whatever file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


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
    (SentencePiece; `scores` set). pre: GGUF pre-tokenizer name for "gpt2" ("bloom"), else None.
    """

    model: Literal["gpt2", "llama"]
    pre: str | None
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float] | None = None
    merges: Sequence[str] | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    unk_id: int | None = None
    pad_id: int | None = None
    add_bos: bool = False
    add_space_prefix: bool | None = None
