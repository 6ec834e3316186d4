"""tokenizer.model and tokenizer.json side by side: which of them is the model's.

transformers reads tokenizer.json wherever there is one. Where both hold the same pieces, tokenizer.model is
the original of the other, and tokenizer.json may add tokens; people also copy a tokenizer.model in that is
another model's, or leave behind the tokenizer.json of the model that theirs was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from convert.notes import Note
from convert.tokenizers.added_tokens import AddedToken, read_added_tokens
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.metaspace import FIRST_ONLY, prefixes_first_only
from convert.tokenizers.tokenizer_json import read_section, read_vocab
from convert.tokenizers.vocabulary import SPACE_MARK

MODEL, JSON = "tokenizer.model", "tokenizer.json"


@dataclass(frozen=True)
class FileChoice:
    """name: `MODEL` or `JSON`. added: tokens that tokenizer.json adds to the pieces of tokenizer.model.
    prefixes_first_only: what it says besides, see `Vocabulary.for_template`.
    """

    name: str
    added: Mapping[str, AddedToken] = field(default_factory=dict)
    prefixes_first_only: bool = False
    notes: tuple[Note, ...] = ()


def choose_file(files: TokenizerFiles, pieces: Sequence[str]) -> FileChoice:
    """For a folder with a tokenizer.model that has `pieces`; raises `InvalidFile` or `DamagedFile`."""
    if JSON not in files:
        return FileChoice(MODEL)
    path, root = files.path_of(JSON), files.json(JSON)
    model = read_section(path, root, "model")
    if model.get("type") == "Unigram":
        return FileChoice(JSON, notes=(_note(JSON, MODEL),))
    vocab = read_vocab(path, model)
    added = read_added_tokens(path, root.get("added_tokens"), vocab)
    if any(not _is_piece(text, token, pieces) for text, token in vocab.items() if text not in added):
        return FileChoice(JSON, notes=(_note(JSON, MODEL),))
    if len(vocab.keys() | added.keys()) < len(pieces):
        return FileChoice(MODEL, notes=(_note(MODEL, JSON),))
    is_first_only = prefixes_first_only(path, root)
    return FileChoice(MODEL, added, is_first_only, (FIRST_ONLY,) if is_first_only else ())


def _is_piece(text: str, token: int, pieces: Sequence[str]) -> bool:
    return token < len(pieces) and pieces[token] in (text, text.replace(SPACE_MARK, " "))


def _note(chosen: str, other: str) -> Note:
    return Note("tokenizer_choice", {"chosen": chosen, "other": other})
