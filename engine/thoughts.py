"""Tells thoughts from answers in the bytes of generated tokens, whatever way the bytes are split.

A thought begins only where an answer would begin; once the answer has begun, everything is answer. What may
still become a tag is held back, with the white space before it. A tag that only says once more that the
thought has ended is part of neither. Knows nothing of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from engine.thought_formats import ThoughtFormat

_BLANK = b" \t\r\n"
_MAX_HEADER_BYTES = 256


class Part(Enum):
    """What bytes belong to."""

    THOUGHT = "thought"
    ANSWER = "answer"


class _State(Enum):
    START = "start"  # thought or answer, nothing has been written
    THOUGHT = "thought"
    BETWEEN = "between"  # after a thought
    ANSWER = "answer"


class ThoughtSplitter:
    """Splits what one answer's tokens spell.

    opening: what the prompt wrote after the last question; a thought that it opened, or closed, is one. With
    `in_answer` the prompt ended within the answer itself.
    """

    def __init__(self, thoughts: ThoughtFormat, opening: str = "", *, in_answer: bool = False) -> None:
        self._format = thoughts
        self._openings = _encoded(thoughts.openings)
        self._closings = _encoded(thoughts.closings)
        self._answer_openings = _encoded(thoughts.answer_openings)
        header = thoughts.header
        self._begins = _encoded(header.begins) if header else ()
        self._enders = _encoded(
            (*thoughts.closings, *thoughts.answer_openings, *(_control(header.begins) if header else ()))
        )
        self._held = b""
        self._n_pushed = 0
        self._is_fresh = True  # nothing was written of the part that is being written
        self._needs_gap = False  # between two thoughts
        self.has_thought = False
        self.answer_start: int | None = None
        """Number of bytes before the answer; None until it has begun."""
        self.answer_is_opened = False
        """Whether a tag of its own stands before the answer."""
        self._state = _State.ANSWER if in_answer else self._state_after(opening)
        if in_answer:
            self._is_fresh, self.answer_start = False, 0
            self.answer_is_opened = any(tag in opening for tag in thoughts.answer_openings) or bool(header)

    @property
    def in_answer(self) -> bool:
        """Whether the answer has begun."""
        return self._state is _State.ANSWER

    @property
    def in_thought(self) -> bool:
        """Whether a thought is being written."""
        return self._state is _State.THOUGHT

    @property
    def at_start(self) -> bool:
        """Whether neither thought nor answer has begun."""
        return self._state is _State.START

    @property
    def continues_thought(self) -> bool:
        """Whether what is to come belongs to words of a thought that the prompt has."""
        return self._state is _State.THOUGHT and not self._is_fresh

    @property
    def may_close(self) -> bool:
        """Whether the thought can be closed now: not within a tag."""
        return self.in_thought and not self._held.strip(_BLANK)

    def separate(self) -> None:
        """Begin the next thought with a blank line: another one precedes it."""
        self._needs_gap = True

    def push(self, data: bytes) -> Iterator[tuple[Part, bytes]]:
        """Take bytes; yield those that are certain now."""
        self._held += data
        self._n_pushed += len(data)
        while True:
            before = (self._state, len(self._held))
            part, ready = self._advance()
            if ready:
                yield part, ready
            if before == (self._state, len(self._held)):
                return

    def close(self, n_bytes: int) -> None:
        """The thought was closed from outside, with so many bytes, and does not begin again."""
        self._held = b""
        self._n_pushed += n_bytes
        self._enter(_State.ANSWER)
        self.answer_is_opened = bool(self._answer_openings or self._begins)

    def finish(self, *, cut: bool) -> Iterator[tuple[Part, bytes]]:
        """Yield what was held back, now that no more bytes come; nothing of it if the answer was `cut` off:
        then it is most likely half a tag.
        """
        held, self._held = self._held, b""
        if cut or not held:
            return
        if self.in_thought:
            if rest := held.rstrip(_BLANK):
                yield Part.THOUGHT, self._gap() + rest
        elif not held.lstrip(_BLANK).startswith(self._begins or (b"\0",)):
            rest = held if self._state is _State.START else _without_blank_lines(held)
            self._begin_answer(len(rest))
            if rest:
                yield Part.ANSWER, rest

    def _advance(self) -> tuple[Part, bytes]:
        """One step; the state and what is held stay the same when there is nothing more to do."""
        match self._state:
            case _State.THOUGHT:
                return Part.THOUGHT, self._think()
            case _State.ANSWER:
                return Part.ANSWER, self._answer()
            case _:
                self._decide()
                return Part.ANSWER, b""

    def _decide(self) -> None:
        """Where nothing but white space has been written: what begins here?"""
        body = self._held.lstrip(_BLANK)
        if not body:
            return
        for tags, state in (
            (self._openings, _State.THOUGHT),
            (self._closings, _State.BETWEEN),
            (self._answer_openings, _State.ANSWER),
        ):
            tag = next((tag for tag in tags if body.startswith(tag)), None)
            if tag is not None:
                self.answer_is_opened = state is _State.ANSWER
                self._held = body[len(tag) :]
                self._enter(state)
                return
        tags = (*self._openings, *self._closings, *self._answer_openings, *self._begins)
        if any(tag.startswith(body) for tag in tags) or self._read_header(body):
            return
        if self._state is _State.START:
            self._is_fresh = False
            self._begin_answer(len(self._held))
        self._state = _State.ANSWER

    def _read_header(self, body: bytes) -> bool:
        """Whether a header begins here; it is taken away once it is complete."""
        header = self._format.header
        if header is None or not body.startswith(self._begins):
            return False
        end = body.find(header.end.encode())
        if end < 0:
            return len(body) <= _MAX_HEADER_BYTES
        end += len(header.end)
        is_answer = header.answer.search(body[:end].decode("utf-8", "replace")) is not None
        self.answer_is_opened = is_answer
        self._held = body[end:]
        self._enter(_State.ANSWER if is_answer else _State.THOUGHT)
        return True

    def _think(self) -> bytes:
        held = self._held
        if self._is_fresh:
            self._held = held = held.lstrip(_BLANK)
            repeated = next((tag for tag in self._openings if held.startswith(tag)), None)
            if repeated is not None:
                self._held = held[len(repeated) :]
                return b""
            if any(tag.startswith(held) for tag in self._openings):
                return b""
        found = [(at, -len(tag), tag) for tag in self._enders if (at := held.find(tag)) >= 0]
        if not found:
            return self._release(held[: len(held) - _tag_length(held, self._enders)].rstrip(_BLANK))
        at, _, tag = min(found)
        is_header = tag not in self._closings and tag not in self._answer_openings
        ready = self._release(held[:at].rstrip(_BLANK))
        self._held = held[at if is_header else at + len(tag) :]
        self.answer_is_opened = tag in self._answer_openings
        self._enter(_State.ANSWER if self.answer_is_opened else _State.BETWEEN)
        return ready

    def _release(self, ready: bytes) -> bytes:
        if not ready:
            return b""
        self._held = self._held[len(ready) :]
        self._is_fresh = False
        return self._gap() + ready

    def _gap(self) -> bytes:
        gap, self._needs_gap = b"\n\n" if self._needs_gap else b"", False
        return gap

    def _answer(self) -> bytes:
        if self._is_fresh:
            body = self._held.lstrip(_BLANK)
            n_repeated = self._repeated(body) if body else None
            if n_repeated is None:
                return b""
            if n_repeated:
                self._held = body[n_repeated:]
                return b""
            self._held = _without_blank_lines(self._held)
            self._is_fresh = False
            self._begin_answer(len(self._held))
        ready, self._held = self._held, b""
        return ready

    def _repeated(self, body: bytes) -> int | None:
        """Length of a tag at the answer's beginning that says once more that the thought has ended, with one
        that opens it directly before; None while one can't tell.
        """
        ends = _encoded(self._format.answer_ends) if self.answer_is_opened else ()
        tags = [tag for tag in (*self._closings, *self._answer_openings) if tag not in ends]
        for opening in (b"", *self._openings):
            if body.startswith(opening):
                rest = body[len(opening) :].lstrip(_BLANK)
                tag = next((tag for tag in tags if rest.startswith(tag)), None)
                if tag is not None:
                    return len(body) - len(rest) + len(tag)
                if any(tag.startswith(rest) for tag in tags):
                    return None
            elif opening.startswith(body):
                return None
        return 0

    def _begin_answer(self, n_bytes: int) -> None:
        if self.answer_start is None:
            self.answer_start = self._n_pushed - n_bytes

    def _enter(self, state: _State) -> None:
        if self._state is _State.THOUGHT and not self._is_fresh:
            self._needs_gap = True
        self._state, self._is_fresh = state, True
        self.has_thought = self.has_thought or state is _State.THOUGHT

    def _state_after(self, opening: str) -> _State:
        """What the last tag of a prompt says, and whether words of a thought follow it."""
        opening = opening[max(0, opening.find(self._format.message_start)) :]
        data = opening.encode("utf-8", "replace")  # as `Model` does: half a surrogate pair has no bytes
        kinds = (
            (self._openings, _State.THOUGHT),
            (self._closings, _State.BETWEEN),
            (self._answer_openings, _State.ANSWER),
        )
        found = [(data.rfind(tag) + len(tag), state) for tags, state in kinds for tag in tags if tag in data]
        header = self._format.header
        if header is not None and header.end in opening:
            end = data.rfind(header.end.encode()) + len(header.end.encode())
            last = opening[: opening.rfind(header.end)]
            start = max(last.rfind(begin) for begin in header.begins if begin != "to=")
            is_answer = header.answer.search(last[max(start, 0) :] + header.end)
            found.append((end, _State.ANSWER if is_answer else _State.THOUGHT))
        if not found:
            return _State.START
        end, state = max(found, key=lambda pair: pair[0])
        self.has_thought = state is _State.THOUGHT
        self._is_fresh = not data[end:].strip(_BLANK)
        self.answer_is_opened = state is _State.ANSWER
        return state


def tags_around(thoughts: ThoughtFormat, opening: str) -> tuple[str, str] | None:
    """What stands before and after a thought that an answer after `opening` begins with; None where the
    prompt has closed it already.
    """
    splitter = ThoughtSplitter(thoughts, opening)
    if splitter.in_thought:
        return "", thoughts.after
    return (thoughts.before, thoughts.after) if splitter.at_start else None


def _control(begins: tuple[str, ...]) -> tuple[str, ...]:
    """Those beginnings of headers that can't be words of a thought."""
    return tuple(begin for begin in begins if begin.startswith("<|"))


def _encoded(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)


def _tag_length(held: bytes, tags: tuple[bytes, ...]) -> int:
    """Length of the longest end of `held` that begins a tag."""
    longest = max(map(len, tags), default=1) - 1
    ends = (held[-length:] for length in range(min(longest, len(held)), 0, -1))
    return next((len(end) for end in ends if any(tag.startswith(end) for tag in tags)), 0)


def _without_blank_lines(data: bytes) -> bytes:
    """Without the blank lines at its beginning; a line keeps its indentation, the tag's own line does not."""
    body = data.lstrip(_BLANK)
    start = data.rfind(b"\n", 0, len(data) - len(body)) + 1
    return data[start:] if start and body else body
