"""tokenizer.json of the tokenizers library: byte-level BPE, as BLOOM, Llama 3 and Qwen have it.

Whether llama.cpp would find the same tokens is decided by the definitions in the file (normalizer, model);
the pre-tokenizer's is judged in `pretokenizer`, added tokens are read in `added_tokens`. What can't be
expressed in GGUF is refused, or noted where it changes no usual text.
Format: huggingface.co/docs/tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile, UnsupportedTokenizer
from convert.notes import Note
from convert.tokenizers.added_tokens import read_added_tokens, with_more
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.post_processor import read_frame
from convert.tokenizers.pretokenizer import BYTE_ALPHABET, list_steps, read_pre_tokenizer
from convert.tokenizers.special import addable_special, special_ids, special_texts
from convert.tokenizers.tokenizer_json import (
    added_notes,
    adds_bos,
    check_words,
    lay_out,
    own_ids,
    read_merges,
    read_section,
    read_vocab,
)
from convert.tokenizers.vocab_and_merges import join_vocab_and_merges
from convert.tokenizers.vocabulary import Vocabulary, check_tokens


def read_bpe(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """Raises `UnsupportedTokenizer` naming the part, or `InvalidFile`."""
    is_one_file = "tokenizer.json" in files
    root = files.json("tokenizer.json") if is_one_file else join_vocab_and_merges(files, config)
    path = files.path_of("tokenizer.json") if is_one_file else files.path
    model = read_section(path, root, "model")
    _check_model(path, model)
    pre = _pre_tokenizer_name(path, root, model)
    _check_decoder(path, root)
    vocab = read_vocab(path, model)
    added = read_added_tokens(path, root.get("added_tokens"), vocab)
    added = with_more(added, vocab, addable_special(files, vocab.keys() | added.keys(), config))
    tokens, types = lay_out(path, vocab, added, special_texts(files))
    check_tokens(path, tokens)
    _check_alphabet(path, vocab)
    ids = {text: token for token, text in enumerate(tokens)}
    frame = read_frame(path, root.get("post_processor"))
    special = special_ids(files, ids, own_ids(model, added, ids, frame), config)
    if special["eos_id"] is None:
        raise UnsupportedTokenizer(path, "no end-of-sequence token")
    return Vocabulary(
        model="gpt2",
        pre=pre,
        tokens=tokens,
        types=types,
        merges=_read_merges(path if is_one_file else path.with_name("merges.txt"), model, vocab),
        add_bos=adds_bos(path, frame, tokens, special["bos_id"]),
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
        notes=(
            *_normalizer_notes(path, root),
            *added_notes(path, added, types),
            *([Note("tokenizer_end", {"token": frame.after})] if frame.after else []),
        ),
    )


def _check_model(path: Path, model: Mapping[str, Any]) -> None:
    if model.get("type") not in ("BPE", None):
        raise UnsupportedTokenizer(path, f"model {str(model['type'])[:40]}")
    check_words(path, model)


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


def _check_alphabet(path: Path, vocab: Mapping[str, int]) -> None:
    """Every byte that UTF-8 can hold needs a token: the libraries disagree about text without one."""
    bytes_in_utf8 = [*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)]
    missing = [byte for byte in bytes_in_utf8 if BYTE_ALPHABET[byte] not in vocab]
    if missing:
        raise UnsupportedTokenizer(path, f"no token for {len(missing)} of the bytes of UTF-8")


def _read_merges(path: Path, model: Mapping[str, Any], vocab: Mapping[str, int]) -> list[str]:
    """As GGUF writes them, `left right`: neither may have a space of its own. Raises `InvalidFile`."""
    merges = [" ".join(pair) for pair in read_merges(path, model, vocab)]
    for rank, merge in enumerate(merges):
        if merge.count(" ") != 1:
            raise InvalidFile(path, f"merge {rank} has a space in it")
    return merges
