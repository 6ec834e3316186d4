"""tokenizer.json of the tokenizers library: byte-level BPE, as BLOOM has it.

Whether llama.cpp would find the same tokens is decided by the definitions in the file (normalizer, added
tokens, model); the pre-tokenizer's is judged in `pretokenizer`. What can't be expressed in GGUF is refused.
Format: huggingface.co/docs/tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, TokenizerMissing, UnsupportedTokenizer
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.pretokenizer import BYTE_ALPHABET, list_steps, pre_tokenizer_name
from convert.tokenizers.special import special_ids, special_texts
from convert.tokenizers.vocabulary import MAX_TOKENS, TokenType, Vocabulary, check_tokens, padding_name

MAX_HOLES = 1 << 16


def read_bpe(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """Raises `UnsupportedTokenizer` naming the part, `DamagedFile`, or `TokenizerMissing` (LLaMA's kind)."""
    path, root = files.path, files.json("tokenizer.json")
    model = _section(path, root, "model")
    _check_model(path, model)
    _check_normalizer(path, root)
    pre = pre_tokenizer_name(path, root.get("pre_tokenizer"))
    _check_decoder(path, root)
    vocab = _read_vocab(path, model)
    added = _read_added_tokens(path, root, vocab)
    specials = special_texts(files)
    tokens, types = _lay_out(path, vocab, added, specials)
    check_tokens(path, tokens)
    _check_alphabet(path, vocab)
    ids = {text: token for token, text in enumerate(tokens)}
    special = special_ids(files, ids, _own_ids(model, added, ids), config)
    if special["eos_id"] is None:
        raise UnsupportedTokenizer(path, "no end-of-sequence token")
    return Vocabulary(
        model="gpt2",
        pre=pre,
        tokens=tokens,
        types=types,
        merges=_read_merges(path, model, vocab),
        add_bos=_adds_bos(path, root.get("post_processor"), tokens, special["bos_id"]),
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
    )


def _section(path: Path, root: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = root.get(name)
    if not isinstance(value, dict):
        raise DamagedFile(path, f"{name} is not an object")
    return value


def _check_model(path: Path, model: Mapping[str, Any]) -> None:
    if model.get("type") not in ("BPE", None):
        raise UnsupportedTokenizer(path, f"model {str(model['type'])[:40]}")
    if model.get("byte_fallback"):
        raise TokenizerMissing(path, "tokenizer.model")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(name):
            raise UnsupportedTokenizer(path, f"model.{name}")


def _check_normalizer(path: Path, root: Mapping[str, Any]) -> None:
    for step in list_steps(path, root.get("normalizer"), "normalizers"):
        raise UnsupportedTokenizer(path, f"normalizer {str(step.get('type'))[:40]}")


def _check_decoder(path: Path, root: Mapping[str, Any]) -> None:
    steps = list_steps(path, root.get("decoder"), "decoders")
    if [step.get("type") for step in steps] != ["ByteLevel"]:
        raise UnsupportedTokenizer(path, "decoder " + ", ".join(str(s.get("type"))[:40] for s in steps[:8]))


def _read_vocab(path: Path, model: Mapping[str, Any]) -> dict[str, int]:
    vocab = _section(path, model, "vocab")
    if not 0 < len(vocab) <= MAX_TOKENS:
        raise DamagedFile(path, f"{len(vocab)} tokens")
    for token in vocab.values():
        _token_id(path, token)
    if len(set(vocab.values())) != len(vocab):
        raise DamagedFile(path, "two tokens with one id")
    return vocab


def _token_id(path: Path, token: Any) -> int:
    if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < MAX_TOKENS:
        raise DamagedFile(path, "a token id that is no id")
    return token


@dataclass(frozen=True)
class _Added:
    id: int
    special: bool


def _read_added_tokens(path: Path, root: Mapping[str, Any], vocab: Mapping[str, int]) -> dict[str, _Added]:
    """Added tokens by their text; one that is in the vocabulary too must have the same id there."""
    entries = root.get("added_tokens")
    entries = [] if entries is None else entries
    if not isinstance(entries, list) or len(entries) > MAX_HOLES:
        raise DamagedFile(path, "added_tokens is not a list of sane length")
    added: dict[str, _Added] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise DamagedFile(path, "an added token without content")
        text, token = entry["content"], _token_id(path, entry.get("id"))
        if text in added or vocab.get(text, token) != token:
            raise DamagedFile(path, f"added token {text[:40]!r} has two ids")
        for flag in ("lstrip", "rstrip", "single_word"):
            if entry.get(flag):
                raise UnsupportedTokenizer(path, f"added token {text[:40]!r}: {flag}")
        added[text] = _Added(token, entry.get("special") is True)
    return added


def _lay_out(
    path: Path, vocab: Mapping[str, int], added: Mapping[str, _Added], specials: frozenset[str]
) -> tuple[list[str], list[TokenType]]:
    """Tokens and types in id order; ids that no token has become unused padding."""
    by_id = {token: text for text, token in vocab.items()}
    for text, entry in added.items():
        if by_id.setdefault(entry.id, text) != text:
            raise DamagedFile(path, f"added token {text[:40]!r} takes the id of another")
    n_tokens = max(by_id) + 1
    if n_tokens - len(by_id) > MAX_HOLES:
        raise DamagedFile(path, f"{n_tokens - len(by_id)} ids without a token")
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


def _check_alphabet(path: Path, vocab: Mapping[str, int]) -> None:
    """Every byte that UTF-8 can hold needs a token: the libraries disagree about text without one."""
    bytes_in_utf8 = [*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)]
    missing = [byte for byte in bytes_in_utf8 if BYTE_ALPHABET[byte] not in vocab]
    if missing:
        raise UnsupportedTokenizer(path, f"no token for {len(missing)} of the bytes of UTF-8")


def _read_merges(path: Path, model: Mapping[str, Any], vocab: Mapping[str, int]) -> list[str]:
    """Merges as `left right`; a merge listed twice counts at its last place, as in the tokenizers library."""
    entries = model.get("merges")
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_TOKENS:
        raise DamagedFile(path, "merges is not a list of sane length")
    merges = []
    for rank, entry in enumerate(entries):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(p, str) for p in parts):
            raise DamagedFile(path, f"merge {rank} is not a pair")
        left, right = parts
        if left not in vocab or right not in vocab or left + right not in vocab or " " in left + right:
            raise DamagedFile(path, f"merge {rank} is not made of tokens")
        merges.append(f"{left} {right}")
    if len(set(merges)) != len(merges):
        merges = list(dict.fromkeys(reversed(merges)))[::-1]
    return merges


def _own_ids(
    model: Mapping[str, Any], added: Mapping[str, _Added], ids: Mapping[str, int]
) -> dict[str, int | None]:
    """By BLOOM's own spellings, where they are special tokens of this file."""
    names = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    special = {text: entry.id for text, entry in added.items() if entry.special}
    own = {kind: special.get(text) for kind, text in names.items()}
    unk = model.get("unk_token")
    if isinstance(unk, str) and unk in ids:
        own["unk"] = ids[unk]
    return own


def _adds_bos(path: Path, processor: Any, tokens: Sequence[str], bos_id: int | None) -> bool:
    """Whether encoding puts the beginning token first; any other template is refused."""
    adds = False
    for step in list_steps(path, processor, "processors"):
        if step.get("type") == "ByteLevel":
            continue
        if step.get("type") != "TemplateProcessing":
            raise UnsupportedTokenizer(path, f"post_processor {str(step.get('type'))[:40]}")
        single = step.get("single")
        pieces = single if isinstance(single, list) else []
        shape = [next(iter(piece), "") if isinstance(piece, dict) else "" for piece in pieces]
        if shape == ["Sequence"]:
            continue
        bos = tokens[bos_id] if bos_id is not None else None
        if shape != ["SpecialToken", "Sequence"] or bos is None or not _names(pieces[0], bos):
            raise UnsupportedTokenizer(path, "post_processor TemplateProcessing")
        adds = True
    return adds


def _names(piece: Mapping[str, Any], text: str) -> bool:
    value = piece.get("SpecialToken")
    return isinstance(value, dict) and value.get("id") == text
