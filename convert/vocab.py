"""The tokenizer of a checkpoint, read into what GGUF stores.

Chooses the reader; knows no file layout itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.arch import find_family
from convert.errors import TokenizerMissing
from convert.tokenizers.bpe import read_bpe
from convert.tokenizers.file_choice import JSON, MODEL, choose_file
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.sentencepiece import is_tiktoken, read_pieces, read_sentencepiece
from convert.tokenizers.spm_from_bpe import is_spm_like, read_spm_from_bpe
from convert.tokenizers.vocabulary import TokenType, Vocabulary


def read_vocabulary(path: Path, *, config: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of the tokenizer at `path`: a folder, or tokenizer.json or tokenizer.model itself.

    `config` is the model's config.json, asked last for special token ids. The files beside the tokenizer
    (tokenizer_config.json, special_tokens_map.json, added_tokens.json) are read where they exist.
    Raises `TokenizerMissing`, `UnsupportedTokenizer` or `DamagedFile`. Not yet padded to the embedding: see
    `Vocabulary.padded`.
    """
    return parse_vocabulary(TokenizerFiles.from_path(path), config=config)


def parse_vocabulary(files: TokenizerFiles, *, config: Mapping[str, Any]) -> Vocabulary:
    """As `read_vocabulary`, from files already in memory, wherever they came from."""
    if MODEL not in files or (JSON in files and is_tiktoken(files.contents[MODEL])):
        return _read_json(files, config)
    pieces = read_pieces(files)
    choice = choose_file(files, pieces.tokens)
    if choice.name == JSON:
        vocabulary = _read_json(files, config)
    else:
        vocabulary = replace(
            read_sentencepiece(files, pieces, choice.added, config),
            prefixes_first_only=choice.prefixes_first_only,
        )
    return replace(vocabulary, notes=(*choice.notes, *vocabulary.notes))


def _read_json(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    if is_spm_like(files):
        return read_spm_from_bpe(files, config)
    if JSON in files or "vocab.json" in files:
        return read_bpe(files, config)
    family = find_family(config)
    raise TokenizerMissing(files.path, family.tokenizer if family else "tokenizer.json / tokenizer.model")


__all__ = ["TokenType", "TokenizerFiles", "Vocabulary", "parse_vocabulary", "read_vocabulary"]
