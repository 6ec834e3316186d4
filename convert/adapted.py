"""A model with the adapters that were asked for on it, or without any: its settings, tensors and tokenizer.

Adapters that taught a model new words bring the tokenizer that has them; most others come with a copy of the
base's. Knows no file layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from convert.arch import Architecture, MappedTensor, read_architecture
from convert.errors import (
    AdapterTokenizerMissing,
    LossyGgmlVocabulary,
    TokenizerMissing,
    UnscoredGgmlVocabulary,
)
from convert.notes import Note
from convert.sources.lora import LoraAdapter
from convert.sources.lora_merge import Base, check_merged, merge_adapters
from convert.sources.tensors import Tensor
from convert.tokenizers.files import MAIN_FILES
from convert.vocab import TokenizerFiles, Vocabulary, parse_vocabulary

_GAPS = (TokenizerMissing, LossyGgmlVocabulary, UnscoredGgmlVocabulary)


@dataclass(frozen=True)
class ReadTokenizer:
    """A tokenizer, and the file that it came from."""

    vocabulary: Vocabulary
    path: Path

    @classmethod
    def parse(cls, files: TokenizerFiles, config: Mapping[str, Any]) -> Self:
        """Raises what `parse_vocabulary` raises."""
        return cls(parse_vocabulary(files, config=config), files.path)


@dataclass(frozen=True)
class AdaptedModel:
    """config: config.json as it is with the adapters. tensors: by transformers' names. notes: what changes.

    n_tokens_before, n_tokens: rows of the embedding, without and with them.
    """

    adapters: Sequence[LoraAdapter]
    config: Mapping[str, Any]
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    notes: tuple[Note, ...]
    n_tokens_before: int
    n_tokens: int

    def check(self, mapped: list[MappedTensor]) -> list[MappedTensor]:
        """`mapped`, if all that was changed is in it; raises `UnsupportedAdapter`."""
        check_merged(self.tensors, mapped, self.adapters)
        return mapped

    def choose_tokenizer(
        self, read_base: Callable[[], ReadTokenizer]
    ) -> tuple[ReadTokenizer, tuple[Note, ...]]:
        """The last adapter's that has one, if the base has none, fewer tokens, or other rows to embed.

        Raises `AdapterTokenizerMissing`, and what reading a tokenizer raises.
        """
        files = [files for files in map(_tokenizer_files, self.adapters) if files is not None]
        is_resized = self.n_tokens != self.n_tokens_before
        if not files:
            if is_resized:
                path = self.adapters[-1].folder.path
                raise AdapterTokenizerMissing(path, self.n_tokens_before, self.n_tokens)
            return read_base(), ()
        base = None if is_resized else _read_unless_missing(read_base)
        own = ReadTokenizer.parse(files[-1], self.config)
        n_tokens = len(own.vocabulary.tokens)
        if base is not None and not len(base.vocabulary.tokens) < n_tokens <= self.n_tokens:
            return base, ()
        values: dict[str, str | int] = {"adapter": own.path.absolute().parent.name, "n": n_tokens}
        return own, (Note("adapter_tokenizer", values),)


def adapt(
    path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], adapters: Sequence[LoraAdapter]
) -> AdaptedModel:
    """The model of config.json at `path` with all adapters, in order; raises what `merge_adapters` raises."""
    before = read_architecture(path, config)
    merged, notes = merge_adapters(Base(config, tensors, before.tied), adapters)
    return AdaptedModel(
        adapters=adapters,
        config=merged.config,
        architecture=read_architecture(path, merged.config) if adapters else before,
        tensors=merged.tensors,
        notes=notes,
        n_tokens_before=before.n_vocab,
        n_tokens=merged.n_tokens if adapters else before.n_vocab,
    )


def _tokenizer_files(adapter: LoraAdapter) -> TokenizerFiles | None:
    files = TokenizerFiles.from_folder(adapter.folder)
    return files if any(name in files for name in MAIN_FILES) else None


def _read_unless_missing(read_base: Callable[[], ReadTokenizer]) -> ReadTokenizer | None:
    try:
        return read_base()
    except _GAPS:  # what the base lacks, the adapter has
        return None
