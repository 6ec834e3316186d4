"""tokenizer.json with LLaMA's byte-pair encoding: spaces as `▁`, bytes for what it has no token for.

transformers 5 keeps LLaMA's tokenizer in this form only. It becomes a SentencePiece vocabulary again, with
scores from the order of its merges; what that can't express is refused or noted.
Format: huggingface.co/docs/tokenizers, `BPE` with `byte_fallback`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile, UnsupportedTokenizer
from convert.notes import Note
from convert.tokenizers.added_tokens import AddedToken, read_added_tokens, with_more
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.merge_scores import N_SAMPLES, MergeScores, Pair, score_tokens
from convert.tokenizers.metaspace import Spaces, check_decoder, read_spaces
from convert.tokenizers.post_processor import read_frame
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
from convert.tokenizers.vocabulary import BYTE_PIECES, SPACE_MARK, TokenType, Vocabulary, check_tokens

MAX_SPLIT_COST = 1 << 27
"""Sum of all tokens' squared lengths: each is cut at every place. LLaMA's tokenizer has 1.5 million."""


def is_spm_like(files: TokenizerFiles) -> bool:
    """Whether tokenizer.json has a model of this kind."""
    model = files.json("tokenizer.json").get("model")
    return (
        isinstance(model, dict) and model.get("type") in ("BPE", None) and model.get("byte_fallback") is True
    )


def read_spm_from_bpe(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """Raises `UnsupportedTokenizer` naming the part, or `InvalidFile`."""
    path, root = files.path_of("tokenizer.json"), files.json("tokenizer.json")
    model = read_section(path, root, "model")
    check_words(path, model)
    if model.get("ignore_merges"):
        raise UnsupportedTokenizer(path, "model.ignore_merges")
    spaces = read_spaces(path, root)
    check_decoder(path, root)
    vocab = read_vocab(path, model)
    if not vocab.keys() >= BYTE_PIECES:
        raise UnsupportedTokenizer(path, "byte pieces are not <0x00> to <0xFF>")
    added = read_added_tokens(path, root.get("added_tokens"), vocab)
    added = with_more(added, vocab, addable_special(files, vocab.keys() | added.keys(), config))
    tokens, types = lay_out(path, vocab, added, special_texts(files))
    scored = _score(path, tokens, read_merges(path, model, vocab), added, spaces)
    ids = {text: token for token, text in enumerate(tokens)}
    frame = read_frame(path, root.get("post_processor"))
    special = special_ids(files, ids, own_ids(model, added, ids, frame), config)
    if special["eos_id"] is None or special["bos_id"] is None:
        raise UnsupportedTokenizer(path, "no beginning or end-of-sequence token")
    texts = _as_matched(tokens, added, scored, spaces)
    check_tokens(path, texts)
    return Vocabulary(
        model="llama",
        pre=None,
        tokens=texts,
        types=_spm_types(tokens, types, special["unk_id"]),
        scores=scored.scores,
        add_bos=adds_bos(path, frame, tokens, special["bos_id"]),
        add_space_prefix=spaces.prefix != "never",
        prefixes_first_only=spaces.prefix == "first",
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
        notes=(
            *spaces.notes(),
            *added_notes(path, added, types),
            *_normalized_notes(added, spaces),
            *([Note("tokenizer_end", {"token": frame.after})] if frame.after else []),
            *_merge_notes(scored),
        ),
    )


def _score(
    path: Path,
    tokens: Sequence[str],
    merges: Sequence[Pair],
    added: Mapping[str, AddedToken],
    spaces: Spaces,
) -> MergeScores:
    if sum(len(token) ** 2 for token in tokens) > MAX_SPLIT_COST:
        raise InvalidFile(path, "tokens far longer than a tokenizer has")
    if any(not BYTE_PIECES.isdisjoint(pair) for pair in merges):
        raise UnsupportedTokenizer(path, "merges of bytes")
    if spaces.splits:
        # Each `▁` begins a word, and no merge goes from one word to the next.
        merges = [pair for pair in merges if SPACE_MARK not in (pair[0] + pair[1])[1:]]
    return score_tokens(tokens, merges, BYTE_PIECES.union(added))


def _as_matched(
    tokens: Sequence[str], added: Mapping[str, AddedToken], scored: MergeScores, spaces: Spaces
) -> list[str]:
    """Texts by which llama.cpp finds what the library finds, and no more.

    It looks for added tokens before spaces are marked; a token with a space in it is never made by merging.
    """
    texts: list[str] = []
    for token in tokens:
        if token in scored.unmade:
            texts.append(f"{token} ")
        elif token in added and added[token].normalized and spaces.is_normalizer:
            texts.append(token.replace(SPACE_MARK, " "))
        else:
            texts.append(token)
    return texts


def _spm_types(tokens: Sequence[str], types: Sequence[TokenType], unk_id: int | None) -> list[TokenType]:
    found = [
        TokenType.BYTE if text in BYTE_PIECES else kind for text, kind in zip(tokens, types, strict=True)
    ]
    if unk_id is not None:
        found[unk_id] = TokenType.UNKNOWN
    return found


def _normalized_notes(added: Mapping[str, AddedToken], spaces: Spaces) -> list[Note]:
    """The library puts the space of `Prepend` before these too, and finds them after a space only."""
    if not spaces.is_normalizer or spaces.prefix == "never":
        return []
    texts = [text for text, entry in added.items() if entry.normalized]
    return [Note("tokenizer_normalized", {"token": texts[0][:40], "count": len(texts)})] if texts else []


def _merge_notes(scored: MergeScores) -> list[Note]:
    if not scored.n_different:
        return []
    percent = max(1, round(100 * scored.n_different / N_SAMPLES))
    return [Note("tokenizer_merges", {"count": scored.n_loose, "percent": percent})]
