"""tokenizer.model of SentencePiece: BPE with byte fallback, as LLaMA has it.

| message | field | what | default |
|---|---|---|---|
| ModelProto | 1 | pieces (message, repeated) | |
| | 2 | trainer_spec (message) | |
| | 3, 5 | normalizer_spec, denormalizer_spec (message) | |
| piece | 1, 2, 3 | text, score (float32), type | type 1 |
| trainer_spec | 3 | model_type: 1 unigram, 2 BPE, 3 word, 4 char | 1 |
| | 24 | treat_whitespace_as_suffix | false |
| | 45 to 48 | unk_piece, bos_piece, eos_piece, pad_piece | <unk> <s> </s> <pad> |
| normalizer_spec | 2 | precompiled_charsmap | empty |
| | 3, 4, 5 | add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces | true |

Source: google/sentencepiece, sentencepiece_model.proto. Piece types have GGUF's numbers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, InvalidFile, UnsupportedTokenizer
from convert.tokenizers.added_tokens import AddedToken, check_id
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.protobuf import WireError, read_fields
from convert.tokenizers.special import addable_special, added_tokens_decoder, special_ids, special_texts
from convert.tokenizers.vocabulary import (
    BYTE_PIECES,
    MAX_TOKEN_BYTES,
    PADDING_SCORE,
    SPACE_MARK,
    TokenType,
    Vocabulary,
    check_tokens,
    padding_name,
)

MAX_HOLES = 1 << 16
MAX_PIECES = 1 << 18
MAX_OTHERS = 16
MAX_SPEC_FIELDS = 10_000
ADDED_SCORE = -1000.0
"""What llama.cpp's converter gives tokens that have no score of their own."""

BPE = 2

_TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")

_BOS_PIECE, _EOS_PIECE, _UNK_PIECE, _PAD_PIECE = 46, 47, 45, 48


@dataclass
class Pieces:
    """What a tokenizer.model says, gathered piece by piece. tokens: as llama.cpp matches them."""

    tokens: list[str] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    scores: list[float] = field(default_factory=list)
    types: list[TokenType] = field(default_factory=list)
    model_type: int = 1
    whitespace_suffix: bool = False
    piece_names: dict[int, str] = field(
        default_factory=lambda: {
            _UNK_PIECE: "<unk>",
            _BOS_PIECE: "<s>",
            _EOS_PIECE: "</s>",
            _PAD_PIECE: "<pad>",
        }
    )
    flags: dict[int, bool] = field(default_factory=lambda: {3: True, 4: True, 5: True})
    rewrites_text: bool = False


def read_pieces(files: TokenizerFiles) -> Pieces:
    """Raises `UnsupportedTokenizer` naming the part, `DamagedFile` or `InvalidFile`."""
    path, data = files.path_of("tokenizer.model"), files.contents["tokenizer.model"]
    if is_tiktoken(data):
        raise UnsupportedTokenizer(path, "a list of tiktoken's; the model's tokenizer.json is needed")
    try:
        pieces = _read_model(path, memoryview(data))
    except (WireError, UnicodeDecodeError) as error:
        raise DamagedFile(path, str(error)) from error
    _check_model(path, pieces)
    return pieces


def is_tiktoken(data: bytes) -> bool:
    """Whether a file with the name of SentencePiece's is a text of tokens in base64 and their ranks."""
    return _TIKTOKEN_LINE.match(data) is not None


def read_sentencepiece(
    files: TokenizerFiles, pieces: Pieces, added: Mapping[str, AddedToken], config: Mapping[str, Any]
) -> Vocabulary:
    """The vocabulary of tokenizer.model.

    added: tokenizer.json's tokens, by text. Raises `UnsupportedTokenizer` or `InvalidFile`.
    """
    path = files.path_of("tokenizer.model")
    own = _own_ids(pieces)
    tokens, types, scores = _with_added(files, pieces, added, config)
    check_tokens(path, tokens, scores)
    ids = {text: token for token, text in enumerate(tokens)}
    special = special_ids(files, ids, own, config)
    if special["eos_id"] is None or special["bos_id"] is None:
        raise UnsupportedTokenizer(path, "no beginning or end-of-sequence token")
    settings = files.json("tokenizer_config.json")
    return Vocabulary(
        model="llama",
        pre=None,
        tokens=tokens,
        types=types,
        scores=scores,
        add_bos=settings.get("add_bos_token") is not False,
        add_space_prefix=pieces.flags[3] and settings.get("add_prefix_space") is not False,
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
    )


def _read_model(path: Path, data: memoryview) -> Pieces:
    model = Pieces()
    n_others = 0
    for number, value in read_fields(data, limit=MAX_PIECES + MAX_OTHERS):
        if number == 1 and isinstance(value, memoryview):
            _read_piece(path, model, value)
            continue
        n_others += 1
        if n_others > MAX_OTHERS:
            raise InvalidFile(path, f"more than {MAX_OTHERS} parts beside the pieces")
        if not isinstance(value, memoryview):
            continue
        if number == 2:
            _read_trainer_spec(model, value)
        elif number in (3, 5):
            _read_normalizer_spec(model, value, is_decoder=number == 5)
    if not model.tokens:
        raise DamagedFile(path, "no pieces")
    return model


def _read_piece(path: Path, model: Pieces, message: memoryview) -> None:
    text, score, kind = "", 0.0, 1
    for number, value in read_fields(message, limit=16):
        if number == 1 and isinstance(value, memoryview) and len(value) <= MAX_TOKEN_BYTES:
            text = str(value, "utf-8")
        elif number == 2 and isinstance(value, memoryview) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    if not text or not 1 <= kind <= 6:
        raise InvalidFile(path, f"piece {len(model.tokens)} has no text or no known type")
    if text in model.texts:
        raise InvalidFile(path, f"piece {len(model.tokens)} repeats an earlier one")
    model.texts.add(text)
    kind = TokenType(kind)
    # A piece that the user defined is matched in the text as typed, before spaces are marked.
    model.tokens.append(text.replace(SPACE_MARK, " ") if kind == TokenType.USER_DEFINED else text)
    model.scores.append(score)
    model.types.append(kind)


def _read_trainer_spec(model: Pieces, message: memoryview) -> None:
    for number, value in read_fields(message, limit=MAX_SPEC_FIELDS):
        if number == 3 and isinstance(value, int):
            model.model_type = value
        elif number == 24 and isinstance(value, int):
            model.whitespace_suffix = bool(value)
        elif number in model.piece_names and isinstance(value, memoryview):
            model.piece_names[number] = str(value[:MAX_TOKEN_BYTES], "utf-8")


def _read_normalizer_spec(model: Pieces, message: memoryview, *, is_decoder: bool) -> None:
    for number, value in read_fields(message, limit=MAX_SPEC_FIELDS):
        if number == 2 and isinstance(value, memoryview) and len(value):
            model.rewrites_text = True
        elif number in model.flags and isinstance(value, int) and not is_decoder:
            model.flags[number] = bool(value)


def _check_model(path: Path, model: Pieces) -> None:
    """Refuse what llama.cpp's "llama" tokenizer would do differently."""
    kinds = {1: "unigram", 3: "word", 4: "char"}
    if model.model_type != BPE:
        kind = kinds.get(model.model_type, str(model.model_type))
        raise UnsupportedTokenizer(path, f"model_type {kind}")
    if model.whitespace_suffix:
        raise UnsupportedTokenizer(path, "treat_whitespace_as_suffix")
    if model.rewrites_text:
        raise UnsupportedTokenizer(path, "normalizer precompiled_charsmap")
    if model.flags[4]:
        raise UnsupportedTokenizer(path, "normalizer remove_extra_whitespaces")
    if not model.flags[5]:
        raise UnsupportedTokenizer(path, "normalizer without escape_whitespaces")
    pieces = {text for text, kind in zip(model.tokens, model.types, strict=True) if kind == TokenType.BYTE}
    if pieces != BYTE_PIECES:
        raise UnsupportedTokenizer(path, "byte pieces are not <0x00> to <0xFF>")


def _own_ids(model: Pieces) -> dict[str, int | None]:
    """As SentencePiece finds them: the named piece, if it is of the right type."""
    by_text = {text: token for token, text in enumerate(model.tokens)}
    own: dict[str, int | None] = {}
    for kind, number in (("bos", _BOS_PIECE), ("eos", _EOS_PIECE), ("unk", _UNK_PIECE), ("pad", _PAD_PIECE)):
        token = by_text.get(model.piece_names[number])
        wanted = TokenType.UNKNOWN if kind == "unk" else TokenType.CONTROL
        own[kind] = token if token is not None and model.types[token] == wanted else None
    return own


def _with_added(
    files: TokenizerFiles, pieces: Pieces, own: Mapping[str, AddedToken], config: Mapping[str, Any]
) -> tuple[list[str], list[TokenType], list[float]]:
    """Tokens, types and scores with the tokens that other files add above the pieces; gaps become padding."""
    path = files.path_of("tokenizer.model")
    specials = special_texts(files) | {text for text, entry in own.items() if entry.special}
    by_id = _added_by_id(files, pieces, own, config)
    n_tokens = max([len(pieces.tokens), *(token + 1 for token in by_id)])
    if n_tokens - len(pieces.tokens) - len(by_id) > MAX_HOLES:
        raise InvalidFile(path, "added tokens with ids far above the vocabulary")
    tokens, types, scores = list(pieces.tokens), list(pieces.types), list(pieces.scores)
    taken = {*tokens, *by_id.values()}
    for token in range(len(tokens), n_tokens):
        text = by_id.get(token)
        tokens.append(padding_name(token, taken) if text is None else text)
        scores.append(PADDING_SCORE if text is None else ADDED_SCORE)
        if text is None:
            types.append(TokenType.UNUSED)
        else:
            types.append(TokenType.CONTROL if text in specials else TokenType.USER_DEFINED)
    return tokens, types, scores


def _added_by_id(
    files: TokenizerFiles, pieces: Pieces, own: Mapping[str, AddedToken], config: Mapping[str, Any]
) -> dict[int, str]:
    """Tokens that the pieces lack; all files must agree with the pieces and with each other."""
    listed: list[tuple[str, Any, Any]] = [
        ("added_tokens.json", token, text) for text, token in files.json("added_tokens.json").items()
    ]
    for key, entry in added_tokens_decoder(files).items():
        token = int(key) if key.isdecimal() and len(key) < 10 else key
        listed.append(("tokenizer_config.json", token, entry.get("content")))
    listed += [("tokenizer.json", entry.id, text) for text, entry in own.items()]
    by_id: dict[int, str] = {}
    for name, value, text in listed:
        path = files.path_of(name)
        token = check_id(path, value)
        if not isinstance(text, str):
            raise InvalidFile(path, f"added token {token} without content")
        known = pieces.tokens[token] if token < len(pieces.tokens) else by_id.setdefault(token, text)
        if known != text and known != text.replace(SPACE_MARK, " "):
            raise InvalidFile(path, f"added token {text[:40]!r} takes the id of another")
    more = addable_special(files, {*pieces.tokens, *by_id.values()}, config)
    return {**by_id, **dict(enumerate(more, max([len(pieces.tokens), *(token + 1 for token in by_id)])))}
