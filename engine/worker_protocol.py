"""What the app's process and the engine's process say to each other.

A frame:

    offset  size  meaning
    0       4     n: length of the rest, little-endian, at most MAX_FRAME_BYTES
    4       n     JSON object in ASCII: "type" names one of the classes below, the rest are its fields

Both sides check every field of what they receive; nothing is unpickled. `VERSION` changes with any change
here: an app that was updated while it ran would otherwise start a worker that speaks differently.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import engine.errors
from engine.errors import EngineError
from engine.typed_json import JsonMismatch, from_json, parse_json
from engine.types import (
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    ModelInfo,
    Role,
    Sampling,
    Statistics,
    TokenIds,
)

VERSION = 2
MAX_FRAME_BYTES = 64 << 20
MAX_LOG_CHARS = 2_000
_LENGTH = struct.Struct("<I")
_MAX_TOKEN = 2**31 - 1


class ProtocolError(Exception):
    """What arrived is no frame of this protocol, or what is to be sent is longer than a frame may be."""


@dataclass(frozen=True, slots=True)
class PackedMessage:
    """A `Message` with its ids as base64 of little-endian 32-bit numbers."""

    role: Role
    text: str
    vocabulary: str | None = None
    ids: str | None = None
    thought: str = ""


# To the worker


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame. log_level: of `logging`, below which nothing needs to be sent."""

    version: int
    log_level: int


@dataclass(frozen=True, slots=True)
class Load:
    """`Backend.load`; answered by Loaded or Failed."""

    call: int
    path: Path
    options: LoadOptions


@dataclass(frozen=True, slots=True)
class Chat:
    """`Backend.chat`; answered by ThoughtPieces and Pieces, then Ended or Failed."""

    call: int
    messages: tuple[PackedMessage, ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a Chat, whether it has begun or not; it is still answered."""

    call: int


@dataclass(frozen=True, slots=True)
class Unload:
    """`Backend.unload`; answered by Unloaded."""

    call: int


# From the worker


@dataclass(frozen=True, slots=True)
class Ready:
    """The first frame back."""

    version: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life, sent at all times."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log record of the worker's."""

    level: int
    logger: str
    text: str


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How much of the model is loaded, from 0 to 1."""

    call: int
    share: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is loaded."""

    call: int
    info: ModelInfo


@dataclass(frozen=True, slots=True)
class Unloaded:
    """No model is loaded. peak_rss_bytes: the most memory the worker had resident so far."""

    call: int
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class ThoughtPiece:
    """A `ThoughtChunk`."""

    call: int
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A `TokenChunk`."""

    call: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A `Finished`."""

    call: int
    reason: FinishReason
    message: PackedMessage
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Failed:
    """An EngineError; `fields` is a JSON object."""

    call: int
    error: str
    fields: str


Request = Hello | Load | Chat | Cancel | Unload
Report = Ready | Beat | LogLine | LoadProgress | Loaded | Unloaded | ThoughtPiece | Piece | Ended | Failed
REQUESTS: dict[str, Any] = {kind.__name__: kind for kind in (Hello, Load, Chat, Cancel, Unload)}
REPORTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Ready, Beat, LogLine, LoadProgress, Loaded, Unloaded, ThoughtPiece, Piece, Ended, Failed)
}


def frame(value: Request | Report) -> bytes:
    """The bytes of a frame. Raises ProtocolError when it is too long."""
    content = {"type": type(value).__name__, **asdict(value)}
    data = json.dumps(content, separators=(",", ":"), allow_nan=False, default=str).encode("ascii")
    if len(data) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {len(data)} bytes")
    return _LENGTH.pack(len(data)) + data


def read_frame(read: Callable[[int], bytes], kinds: dict[str, Any]) -> Any:
    """The next value from `read` (takes a limit, gives b"" at the end), or None. Raises ProtocolError."""
    head = _read_exactly(read, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {length} bytes")
    data = _read_exactly(read, length)
    try:
        content = parse_json(data.decode("ascii"))
        kind = kinds[content.pop("type")]
        return from_json(kind, content)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ProtocolError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _read_exactly(read: Callable[[int], bytes], n_bytes: int) -> bytes:
    """All of it, or nothing at the end. Memory grows with what arrives, not with what was promised."""
    data = bytearray()
    while len(data) < n_bytes:
        part = read(min(n_bytes - len(data), 1 << 20))
        if not part:
            if data or n_bytes > _LENGTH.size:
                raise ProtocolError("the end within a frame")
            return b""
        data += part
    return bytes(data)


def pack(message: Message) -> PackedMessage:
    """For the way to the other process."""
    tokens = message.tokens
    if tokens is None or not all(0 <= token <= _MAX_TOKEN for token in tokens.ids):
        return PackedMessage(message.role, message.text, thought=message.thought)
    ids = array("I", tokens.ids)
    if sys.byteorder == "big":
        ids.byteswap()
    packed = base64.b64encode(ids.tobytes()).decode()
    return PackedMessage(message.role, message.text, tokens.vocabulary, packed, message.thought)


def unpack(packed: PackedMessage) -> Message:
    """The message again. Raises ProtocolError."""
    if packed.vocabulary is None or packed.ids is None:
        return Message(packed.role, packed.text, thought=packed.thought)
    ids = array("I")
    try:
        ids.frombytes(base64.b64decode(packed.ids, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"token ids: {error}") from error
    if sys.byteorder == "big":
        ids.byteswap()
    if any(token > _MAX_TOKEN for token in ids):
        raise ProtocolError("a token id of more than 31 bits")
    return Message(packed.role, packed.text, TokenIds(packed.vocabulary, tuple(ids)), packed.thought)


def ended(call: int, finished: Finished) -> Ended:
    """A Finished on its way."""
    return Ended(call, finished.reason, pack(finished.message), finished.statistics)


def finished(value: Ended) -> Finished:
    """The Finished again. Raises ProtocolError."""
    return Finished(value.reason, unpack(value.message), value.statistics)


def failed(call: int, error: EngineError) -> Failed:
    """An EngineError on its way."""
    values = {field.name: getattr(error, field.name) for field in fields(error)}
    return Failed(call, type(error).__name__, json.dumps(values, allow_nan=False, default=str))


def failure(value: Failed) -> EngineError:
    """The EngineError again. Raises ProtocolError for anything else."""
    kind = getattr(engine.errors, value.error, None)
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        raise ProtocolError(f"the error {value.error[:80]!r}")
    try:
        return from_json(kind, parse_json(value.fields))
    except (ValueError, JsonMismatch) as error:
        raise ProtocolError(f"the fields of {value.error}: {str(error)[:200]}") from error
