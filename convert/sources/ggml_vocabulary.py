"""LLaMA's tokenizer from the token list of a ggml file of 2023.

| token            | text in the file                                      | in GGUF       |
|------------------|-------------------------------------------------------|---------------|
| 0 (unknown)      | " \\u2047 "                                            | <unk>         |
| 1, 2 (control)   | empty                                                 | <s>, </s>     |
| 3 to 258 (bytes) | the byte; in the first files U+FFFD from 0x80 on      | <0x00>…<0xFF> |
| 259 to 31999     | the piece, with spaces for U+2581                     | the piece     |
| 32000 and above  | more pieces, or added_tokens.json's with score -1000  | the same      |

Files without scores ("ggml" before 2023-03-21) leave them to the order: SentencePiece's BPE trainer numbers
its pieces as it merges them, and scores each with minus its place. LLaMA's own tokenizer.model differs in
one point, and so does this: pieces of spaces alone have -1e9. That the order is a trainer's is checked
(each piece must be a character or made of two earlier ones); otherwise the tokenizer has to come from
elsewhere.

Source: convert-pth-to-ggml.py and convert.py of llama.cpp; sentencepiece, bpe_model_trainer.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convert.errors import Detail, UnscoredGgmlVocabulary, UnsupportedTokenizer
from convert.tokenizers.vocabulary import PADDING_SCORE, SPACE_MARK, check_tokens, padding_name
from convert.vocab import TokenType, Vocabulary

N_LLAMA_TOKENS = 32000
"""Pieces of LLaMA's own tokenizer.model."""

ADDED_SCORE = -1000.0
"""What convert.py gave tokens of added_tokens.json."""

_SPECIAL = (("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL))
_FIRST_BYTE, _FIRST_PIECE = 3, 259
_SPACES_SCORE = -1e9


def rebuild_llama_vocabulary(
    path: Path, tokens: Sequence[bytes], scores: Sequence[float] | None
) -> Vocabulary:
    """The vocabulary of a LLaMA file; `scores` is None where the file has none.

    Raises `UnsupportedTokenizer`, or `UnscoredGgmlVocabulary` when the order of the tokens implies no scores.
    """
    if len(tokens) <= _FIRST_PIECE:
        raise UnsupportedTokenizer(path, Detail("few_tokens", {"n": len(tokens), "least": _FIRST_PIECE + 1}))
    texts, types = _texts(path, tokens, scores)
    if scores is None:
        scores = _scores_by_order(path, texts, types)
    known = [
        PADDING_SCORE if type_ is TokenType.UNUSED else score
        for score, type_ in zip(scores, types, strict=True)
    ]
    check_tokens(path, texts, known)
    return Vocabulary(
        model="llama",
        pre=None,
        tokens=texts,
        types=types,
        scores=known,
        bos_id=1,
        eos_id=2,
        unk_id=0,
        add_bos=True,
        add_space_prefix=True,
    )


def _texts(
    path: Path, tokens: Sequence[bytes], scores: Sequence[float] | None
) -> tuple[list[str], list[TokenType]]:
    texts = [text for text, _ in _SPECIAL]
    types = [type_ for _, type_ in _SPECIAL]
    taken: set[str] = set()
    for token in range(len(texts), len(tokens)):
        text, type_ = _text(path, token, tokens[token], None if scores is None else scores[token])
        if type_ is TokenType.UNUSED:
            text = padding_name(token, taken)
        taken.add(text)
        texts.append(text)
        types.append(type_)
    return texts, types


def _text(path: Path, token: int, stored: bytes, score: float | None) -> tuple[str, TokenType]:
    byte = token - _FIRST_BYTE
    if token < _FIRST_PIECE and (stored == bytes([byte]) or (score is None and stored == "\ufffd".encode())):
        return f"<0x{byte:02X}>", TokenType.BYTE
    if not stored:
        return "", TokenType.UNUSED
    try:
        text = stored.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnsupportedTokenizer(path, Detail("token_no_text", {"token": token})) from error
    if token >= N_LLAMA_TOKENS and (score is None or score == ADDED_SCORE):
        return text, TokenType.USER_DEFINED
    return text.replace(" ", SPACE_MARK), TokenType.NORMAL


def _scores_by_order(path: Path, texts: Sequence[str], types: Sequence[TokenType]) -> list[float]:
    if types[_FIRST_BYTE:_FIRST_PIECE].count(TokenType.BYTE) != _FIRST_PIECE - _FIRST_BYTE:
        raise UnscoredGgmlVocabulary(path)
    scores = [0.0] * _FIRST_PIECE
    earlier: set[str] = set()
    for token in range(_FIRST_PIECE, len(texts)):
        text = texts[token]
        if token >= N_LLAMA_TOKENS:
            scores.append(ADDED_SCORE)
            continue
        if not _is_merge(text, earlier):
            raise UnscoredGgmlVocabulary(path)
        earlier.add(text)
        is_spaces = not text.strip(SPACE_MARK)
        scores.append(_SPACES_SCORE if is_spaces else float(_FIRST_PIECE - token))
    return scores


def _is_merge(text: str, earlier: set[str]) -> bool:
    """Whether the piece is a character, or two pieces put together that are characters or came before."""
    if len(text) == 1:
        return True
    splits = ((text[:place], text[place:]) for place in range(1, len(text)))
    return any(all(len(half) == 1 or half in earlier for half in split) for split in splits)
