"""tokenizer.json of the tokenizers library: byte-level BPE, as BLOOM, Llama 3 and Qwen have it.

Whether llama.cpp would find the same tokens is decided by the definitions in the file (normalizer, model);
the pre-tokenizer's is judged in `pretokenizer`, added tokens are read in `added_tokens`. What can't be
expressed in GGUF is refused, or noted where it changes no usual text.
Format: huggingface.co/docs/tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile, TokenizerMissing, UnsupportedTokenizer
from convert.notes import Note
from convert.tokenizers.added_tokens import AddedToken, check_id, read_added_tokens
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.post_processor import Frame, read_frame
from convert.tokenizers.pretokenizer import BYTE_ALPHABET, list_steps, read_pre_tokenizer
from convert.tokenizers.special import special_ids, special_texts
from convert.tokenizers.vocab_and_merges import join_vocab_and_merges
from convert.tokenizers.vocabulary import MAX_TOKENS, TokenType, Vocabulary, check_tokens, padding_name

MAX_HOLES = 1 << 16


def read_bpe(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """Raises `UnsupportedTokenizer` naming the part, `InvalidFile`, or `TokenizerMissing` (LLaMA's kind)."""
    is_one_file = "tokenizer.json" in files
    root = files.json("tokenizer.json") if is_one_file else join_vocab_and_merges(files, config)
    path = files.path
    model = _section(path, root, "model")
    _check_model(path, model)
    pre = _pre_tokenizer_name(path, root, model)
    _check_decoder(path, root)
    vocab = _read_vocab(path, model)
    added = read_added_tokens(path, root.get("added_tokens"), vocab)
    tokens, types = _lay_out(path, vocab, added, special_texts(files))
    check_tokens(path, tokens)
    _check_alphabet(path, vocab)
    ids = {text: token for token, text in enumerate(tokens)}
    frame = read_frame(path, root.get("post_processor"))
    special = special_ids(files, ids, _own_ids(model, added, ids, frame), config)
    if special["eos_id"] is None:
        raise UnsupportedTokenizer(path, "no end-of-sequence token")
    return Vocabulary(
        model="gpt2",
        pre=pre,
        tokens=tokens,
        types=types,
        merges=_read_merges(path if is_one_file else path.with_name("merges.txt"), model, vocab),
        add_bos=_adds_bos(path, frame, tokens, special["bos_id"]),
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
        notes=(
            *_normalizer_notes(path, root),
            *_added_notes(path, added, types),
            *([Note("tokenizer_end", {"token": frame.after})] if frame.after else []),
        ),
    )


def _section(path: Path, root: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = root.get(name)
    if not isinstance(value, dict):
        raise InvalidFile(path, f"{name} is not an object")
    return value


def _check_model(path: Path, model: Mapping[str, Any]) -> None:
    if model.get("type") not in ("BPE", None):
        raise UnsupportedTokenizer(path, f"model {str(model['type'])[:40]}")
    if model.get("byte_fallback"):
        raise TokenizerMissing(path, "tokenizer.model")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise UnsupportedTokenizer(path, f"model.{name}")


def _pre_tokenizer_name(path: Path, root: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """With `ignore_merges`, a word that is a token stays whole, whatever the merges would make of it."""
    found = read_pre_tokenizer(path, root.get("pre_tokenizer"))
    name = found.keeping if model.get("ignore_merges") else found.merging
    if name is None:
        raise UnsupportedTokenizer(path, "model.ignore_merges")
    return name


def _normalizer_notes(path: Path, root: Mapping[str, Any]) -> list[Note]:
    """llama.cpp rewrites no text. NFC changes only what is written in parts that Unicode can join."""
    kinds = [str(step.get("type"))[:40] for step in list_steps(path, root.get("normalizer"), "normalizers")]
    for kind in kinds:
        if kind != "NFC":
            raise UnsupportedTokenizer(path, f"normalizer {kind}")
    return [Note("tokenizer_nfc")] if kinds else []


def _check_decoder(path: Path, root: Mapping[str, Any]) -> None:
    steps = list_steps(path, root.get("decoder"), "decoders")
    if [step.get("type") for step in steps] != ["ByteLevel"]:
        raise UnsupportedTokenizer(path, "decoder " + ", ".join(str(s.get("type"))[:40] for s in steps[:8]))


def _read_vocab(path: Path, model: Mapping[str, Any]) -> dict[str, int]:
    vocab = _section(path, model, "vocab")
    if not 0 < len(vocab) <= MAX_TOKENS:
        raise InvalidFile(path, f"{len(vocab)} tokens")
    for token in vocab.values():
        check_id(path, token)
    if len(set(vocab.values())) != len(vocab):
        raise InvalidFile(path, "two tokens with one id")
    return vocab


def _lay_out(
    path: Path, vocab: Mapping[str, int], added: Mapping[str, AddedToken], specials: frozenset[str]
) -> tuple[list[str], list[TokenType]]:
    """Tokens and types in id order; ids that no token has become unused padding."""
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


def _added_notes(path: Path, added: Mapping[str, AddedToken], types: Sequence[TokenType]) -> list[Note]:
    """Flags of tokens that only a prompt format writes are noted: GGUF has no place for them.

    Raises `UnsupportedTokenizer` for flags of those that are found in any text.
    """
    flagged = {text: entry for text, entry in added.items() if entry.flags}
    for text, entry in flagged.items():
        if types[entry.id] is not TokenType.CONTROL:
            raise UnsupportedTokenizer(path, f"added token {text[:40]!r}: {entry.flags[0]}")
    moved = {text: entry for text, entry in added.items() if entry.id != entry.listed_id}
    return [
        Note(key, {"token": next(iter(tokens))[:40], "count": len(tokens)})
        for key, tokens in (("tokenizer_flags", flagged), ("tokenizer_ids", moved))
        if tokens
    ]


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
        raise InvalidFile(path, "merges is not a list of sane length")
    merges = []
    for rank, entry in enumerate(entries):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(p, str) for p in parts):
            raise InvalidFile(path, f"merge {rank} is not a pair")
        left, right = parts
        if left not in vocab or right not in vocab or left + right not in vocab or " " in left + right:
            raise InvalidFile(path, f"merge {rank} is not made of tokens")
        merges.append(f"{left} {right}")
    if len(set(merges)) != len(merges):
        merges = list(dict.fromkeys(reversed(merges)))[::-1]
    return merges


def _own_ids(
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


def _adds_bos(path: Path, frame: Frame, tokens: Sequence[str], bos_id: int | None) -> bool:
    """Whether encoding puts the beginning token first.

    Where there is a tokenizer.json, transformers does not ask `add_bos_token` of tokenizer_config.json.
    """
    if frame.before is None:
        return False
    if bos_id is None or tokens[bos_id] != frame.before:
        raise UnsupportedTokenizer(path, "post_processor TemplateProcessing")
    return True
