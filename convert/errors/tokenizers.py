"""A tokenizer that is missing, or that a GGUF can not hold."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import Detail, TokenizerError


@dataclass(eq=False)
class TokenizerMissing(TokenizerError):
    """Neither tokenizer.json nor tokenizer.model was found; `expected` names what this architecture needs."""

    expected: str


@dataclass(eq=False)
class UnsupportedTokenizer(TokenizerError):
    """The tokenizer is of a kind that GGUF can't express; `detail` names the part."""

    detail: str | Detail


@dataclass(eq=False)
class VocabularyTooLong(TokenizerError):
    """The tokenizer has more tokens than the embedding has rows."""

    n_tokens: int
    n_embeddings: int


@dataclass(eq=False)
class LossyGgmlVocabulary(TokenizerError):
    """bloomz.cpp stored no merges, and U+FFFD for tokens that are part of a character: no tokenizer."""


@dataclass(eq=False)
class UnscoredGgmlVocabulary(TokenizerError):
    """A "ggml" file of March 2023 without scores whose tokens are not in SentencePiece's order either."""


@dataclass(eq=False)
class AdapterTokenizerMissing(TokenizerError):
    """The adapter in `path` changes the vocabulary from `n_before` to `n_after` rows, without a tokenizer."""

    n_before: int
    n_after: int


@dataclass(eq=False)
class SeveralTemplates(TokenizerError):
    """Of the chat templates `names` none is the default one; `path` is their file or folder."""

    names: tuple[str, ...]
