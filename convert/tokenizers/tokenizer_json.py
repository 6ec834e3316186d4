"""What every tokenizer.json of a byte-pair encoding holds: tokens, merges, added tokens, special tokens.

Knows nothing of how a text is cut before merging. Format: huggingface.co/docs/tokenizers, `BPE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile, UnsupportedTokenizer
from convert.notes import Note
from convert.tokenizers.added_tokens import AddedToken, check_id
from convert.tokenizers.overlaps import overlap_notes
from convert.tokenizers.post_processor import Frame
from convert.tokenizers.vocabulary import MAX_TOKENS, TokenType, padding_name

MAX_HOLES = 1 << 16


def read_section(path: Path, root: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part that must be there; raises `InvalidFile`."""
    value = root.get(name)
    if not isinstance(value, dict):
        raise InvalidFile(path, f"{name} is not an object")
    return value


def check_words(path: Path, model: Mapping[str, Any]) -> None:
    """Raises `UnsupportedTokenizer` for what no GGUF has: chance, and signs at the edges of words."""
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise UnsupportedTokenizer(path, f"model.{name}")


def read_vocab(path: Path, model: Mapping[str, Any]) -> dict[str, int]:
    """Ids by token, no id twice; raises `InvalidFile`."""
    vocab = read_section(path, model, "vocab")
    if not 0 < len(vocab) <= MAX_TOKENS:
        raise InvalidFile(path, f"{len(vocab)} tokens")
    for token in vocab.values():
        check_id(path, token)
    if len(set(vocab.values())) != len(vocab):
        raise InvalidFile(path, "two tokens with one id")
    return vocab


def lay_out(
    path: Path, vocab: Mapping[str, int], added: Mapping[str, AddedToken], specials: frozenset[str]
) -> tuple[list[str], list[TokenType]]:
    """Tokens and types in id order; ids that no token has become unused padding. Raises `InvalidFile`."""
    by_id = {token: text for text, token in vocab.items()}
    for text, entry in added.items():
        if by_id.setdefault(entry.id, text) != text:
            raise InvalidFile(path, f"added token {text[:40]!r} takes the id of another")
    n_tokens = max(by_id) + 1
    if n_tokens - len(by_id) > MAX_HOLES:
        raise InvalidFile(path, f"{n_tokens - len(by_id)} ids without a token")
    taken = set(by_id.values())
    tokens, types = [], []
    for token in range(n_tokens):
        if token not in by_id:
            tokens.append(padding_name(token, taken))
            types.append(TokenType.UNUSED)
            continue
        text = by_id[token]
        tokens.append(text)
        special = text in specials or (text in added and added[text].special)
        plain = TokenType.USER_DEFINED if text in added else TokenType.NORMAL
        types.append(TokenType.CONTROL if special else plain)
    return tokens, types


def added_notes(path: Path, added: Mapping[str, AddedToken], types: Sequence[TokenType]) -> list[Note]:
    """Where llama.cpp may find other added tokens than the library, or another id was listed.

    Flags are noted of tokens that only a prompt format writes: GGUF has no place for them. Raises
    `UnsupportedTokenizer` for flags of those that are found in any text.
    """
    flagged = {text: entry for text, entry in added.items() if entry.flags}
    for text, entry in flagged.items():
        if types[entry.id] is not TokenType.CONTROL:
            raise UnsupportedTokenizer(path, f"added token {text[:40]!r}: {entry.flags[0]}")
    moved = {text: entry for text, entry in added.items() if entry.id != entry.listed_id}
    in_text = [text for text, entry in added.items() if types[entry.id] is TokenType.USER_DEFINED]
    return overlap_notes(in_text) + [
        Note(key, {"token": next(iter(tokens))[:40], "count": len(tokens)})
        for key, tokens in (("tokenizer_flags", flagged), ("tokenizer_ids", moved))
        if tokens
    ]


def read_merges(path: Path, model: Mapping[str, Any], vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of tokens, the first to merge first; raises `InvalidFile`.

    A merge listed twice counts at its last place, as in the tokenizers library.
    """
    entries = model.get("merges")
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_TOKENS:
        raise InvalidFile(path, "merges is not a list of sane length")
    merges: list[tuple[str, str]] = []
    for rank, entry in enumerate(entries):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(p, str) for p in parts):
            raise InvalidFile(path, f"merge {rank} is not a pair")
        left, right = parts
        if left not in vocab or right not in vocab or left + right not in vocab:
            raise InvalidFile(path, f"merge {rank} is not made of tokens")
        merges.append((left, right))
    if len(set(merges)) != len(merges):
        merges = list(dict.fromkeys(reversed(merges)))[::-1]
    return merges


def own_ids(
    model: Mapping[str, Any], added: Mapping[str, AddedToken], ids: Mapping[str, int], frame: Frame
) -> dict[str, int | None]:
    """By BLOOM's own spellings, where they are special tokens of this file; else what it puts first."""
    names = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    special = {text: entry.id for text, entry in added.items() if entry.special}
    own = {kind: special.get(text) for kind, text in names.items()}
    if frame.before is not None:
        own["bos"] = ids.get(frame.before)
    unk = model.get("unk_token")
    if isinstance(unk, str) and unk in ids:
        own["unk"] = ids[unk]
    return own


def adds_bos(path: Path, frame: Frame, tokens: Sequence[str], bos_id: int | None) -> bool:
    """Whether encoding puts the beginning token first.

    Where there is a tokenizer.json, transformers does not ask `add_bos_token` of tokenizer_config.json.
    """
    if frame.before is None:
        return False
    if bos_id is None or tokens[bos_id] != frame.before:
        raise UnsupportedTokenizer(path, "post_processor TemplateProcessing")
    return True
