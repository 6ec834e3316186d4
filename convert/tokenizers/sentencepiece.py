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

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, UnsupportedTokenizer
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.protobuf import WireError, read_fields
from convert.tokenizers.special import added_tokens_decoder, special_ids, special_texts
from convert.tokenizers.vocabulary import (
    MAX_TOKEN_BYTES,
    MAX_TOKENS,
    PADDING_SCORE,
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

SPACE_MARK = "\u2581"
BYTE_PIECES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
BPE = 2

_BOS_PIECE, _EOS_PIECE, _UNK_PIECE, _PAD_PIECE = 46, 47, 45, 48


@dataclass
class _Model:
    """What a tokenizer.model says, gathered piece by piece."""

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


def read_sentencepiece(files: TokenizerFiles, config: Mapping[str, Any]) -> Vocabulary:
    """Raises `UnsupportedTokenizer` naming the part, or `DamagedFile`."""
    path = files.path
    try:
        model = _read_model(path, memoryview(files.contents["tokenizer.model"]))
    except (WireError, UnicodeDecodeError) as error:
        raise DamagedFile(path, str(error)) from error
    _check_model(path, model)
    own = _own_ids(model)
    _add_tokens(files, model)
    check_tokens(path, model.tokens, model.scores)
    ids = {text: token for token, text in enumerate(model.tokens)}
    special = special_ids(files, ids, own, config)
    if special["eos_id"] is None or special["bos_id"] is None:
        raise UnsupportedTokenizer(path, "no beginning or end-of-sequence token")
    settings = files.json("tokenizer_config.json")
    prefix = model.flags[3] and settings.get("add_prefix_space") is not False
    return Vocabulary(
        model="llama",
        pre=None,
        tokens=model.tokens,
        types=model.types,
        scores=model.scores,
        add_bos=settings.get("add_bos_token") is not False,
        add_space_prefix=prefix,
        bos_id=special["bos_id"],
        eos_id=special["eos_id"],
        unk_id=special["unk_id"],
        pad_id=special["pad_id"],
    )


def _read_model(path: Path, data: memoryview) -> _Model:
    model = _Model()
    n_others = 0
    for number, value in read_fields(data, limit=MAX_PIECES + MAX_OTHERS):
        if number == 1 and isinstance(value, memoryview):
            _read_piece(path, model, value)
            continue
        n_others += 1
        if n_others > MAX_OTHERS:
            raise DamagedFile(path, f"more than {MAX_OTHERS} parts beside the pieces")
        if not isinstance(value, memoryview):
            continue
        if number == 2:
            _read_trainer_spec(model, value)
        elif number in (3, 5):
            _read_normalizer_spec(model, value, is_decoder=number == 5)
    if not model.tokens:
        raise DamagedFile(path, "no pieces")
    return model


def _read_piece(path: Path, model: _Model, message: memoryview) -> None:
    text, score, kind = "", 0.0, 1
    for number, value in read_fields(message, limit=16):
        if number == 1 and isinstance(value, memoryview) and len(value) <= MAX_TOKEN_BYTES:
            text = str(value, "utf-8")
        elif number == 2 and isinstance(value, memoryview) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    if not text or not 1 <= kind <= 6:
        raise DamagedFile(path, f"piece {len(model.tokens)} has no text or no known type")
    if text in model.texts:
        raise DamagedFile(path, f"piece {len(model.tokens)} repeats an earlier one")
    model.texts.add(text)
    kind = TokenType(kind)
    # A piece that the user defined is matched in the text as typed, before spaces are marked.
    model.tokens.append(text.replace(SPACE_MARK, " ") if kind == TokenType.USER_DEFINED else text)
    model.scores.append(score)
    model.types.append(kind)


def _read_trainer_spec(model: _Model, message: memoryview) -> None:
    for number, value in read_fields(message, limit=MAX_SPEC_FIELDS):
        if number == 3 and isinstance(value, int):
            model.model_type = value
        elif number == 24 and isinstance(value, int):
            model.whitespace_suffix = bool(value)
        elif number in model.piece_names and isinstance(value, memoryview):
            model.piece_names[number] = str(value[:MAX_TOKEN_BYTES], "utf-8")


def _read_normalizer_spec(model: _Model, message: memoryview, *, is_decoder: bool) -> None:
    for number, value in read_fields(message, limit=MAX_SPEC_FIELDS):
        if number == 2 and isinstance(value, memoryview) and len(value):
            model.rewrites_text = True
        elif number in model.flags and isinstance(value, int) and not is_decoder:
            model.flags[number] = bool(value)


def _check_model(path: Path, model: _Model) -> None:
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


def _own_ids(model: _Model) -> dict[str, int | None]:
    """As SentencePiece finds them: the named piece, if it is of the right type."""
    by_text = {text: token for token, text in enumerate(model.tokens)}
    own: dict[str, int | None] = {}
    for kind, number in (("bos", _BOS_PIECE), ("eos", _EOS_PIECE), ("unk", _UNK_PIECE), ("pad", _PAD_PIECE)):
        token = by_text.get(model.piece_names[number])
        wanted = TokenType.UNKNOWN if kind == "unk" else TokenType.CONTROL
        own[kind] = token if token is not None and model.types[token] == wanted else None
    return own


def _add_tokens(files: TokenizerFiles, model: _Model) -> None:
    """Tokens of added_tokens.json and tokenizer_config.json, above the pieces; gaps become unused padding."""
    added = _read_added(files, model)
    specials = special_texts(files)
    n_tokens = max([len(model.tokens), *(token + 1 for token in added)])
    if n_tokens - len(model.tokens) - len(added) > MAX_HOLES:
        raise DamagedFile(files.path, "added tokens with ids far above the vocabulary")
    taken = {*model.tokens, *added.values()}
    for token in range(len(model.tokens), n_tokens):
        text = added.get(token)
        model.tokens.append(padding_name(token, taken) if text is None else text)
        model.scores.append(PADDING_SCORE if text is None else ADDED_SCORE)
        if text is None:
            model.types.append(TokenType.UNUSED)
        else:
            model.types.append(TokenType.CONTROL if text in specials else TokenType.USER_DEFINED)


def _read_added(files: TokenizerFiles, model: _Model) -> dict[int, str]:
    """Tokens that the pieces lack, by id; the two files must agree with the pieces and with each other."""
    listed: list[tuple[Any, Any]] = [(token, text) for text, token in files.json("added_tokens.json").items()]
    for key, entry in added_tokens_decoder(files).items():
        listed.append((int(key) if key.isdecimal() and len(key) < 10 else key, entry.get("content")))
    added: dict[int, str] = {}
    for token, text in listed:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < MAX_TOKENS:
            raise DamagedFile(files.path, "an added token with an id that is no id")
        if not isinstance(text, str):
            raise DamagedFile(files.path, f"added token {token} without content")
        known = model.tokens[token] if token < len(model.tokens) else added.setdefault(token, text)
        if known != text and known != text.replace(SPACE_MARK, " "):
            raise DamagedFile(files.path, f"added token {text[:40]!r} takes the id of another")
    return added
