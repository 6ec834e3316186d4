"""Conversations in other programs' forms: ShareGPT JSON, role/content JSON, BELLE's `Human:`/`Assistant:`.

    {"conversations": [{"from": "human" | "gpt" | "system", "value": "..."}, ...]}     ShareGPT
    {"messages": [{"role": "user" | "assistant" | "system", "content": "..."}, ...]}
    {"instruction": "Human:...\\nAssistant:...\\nHuman:...\\nAssistant:", "output": "..."}     BELLE's data
    Human: ...\\nAssistant: ...                                                      BELLE's text

What `/save` writes in the terminal is of the second form, with `text` for `content`. A thought is read where
it has a field of its own, `thought` (ours) or `reasoning_content` (DeepSeek's, llama-server's), and where an
answer begins with it in `<think>` tags, of which it has no others; elsewhere tags stay text.

Conversations of these forms have no uid, so one is made from what is in them: the same conversation gets the
same one again. Knows no database and no file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.history.exchange import ExchangeConversation, ExchangeMessage
from app.history.records import Overrides
from app.history.titles import automatic_title
from app.typed_json import JsonMismatch, valid_text
from engine.types import Role


class Turn(NamedTuple):
    """Who says what, and what was thought before."""

    role: Role
    text: str
    thought: str = ""


_ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
}
_MARKER = re.compile(r"^[ \t]*(Human|Assistant)[ \t]*[:：]", re.MULTILINE)
_TAGGED = re.compile(r"\s*<think>(.*)</think>\s*(.*)", re.DOTALL)
_MAX_TITLE_CHARACTERS = 500
TEXT_HEADING = re.compile(r"^===== (.*) =====$", re.MULTILINE)


def is_foreign(value: Any) -> bool:
    """Whether a parsed JSON object looks like one of these forms."""
    return isinstance(value, dict) and (
        isinstance(value.get("conversations"), list)
        or isinstance(value.get("messages"), list)
        or (isinstance(value.get("instruction"), str) and is_belle_text(value["instruction"]))
    )


def is_belle_text(text: str) -> bool:
    """Whether a text begins with BELLE's markers, or with a heading that a text export wrote."""
    return bool(_MARKER.match(text.lstrip()) or TEXT_HEADING.match(text.lstrip()))


def read_foreign(values: list[Any], now: int) -> list[ExchangeConversation]:
    """Conversations from parsed objects; raises JsonMismatch for any that is not of these forms.

    now: the time they get, in milliseconds.
    """
    parts = []
    for index, value in enumerate(values):
        location = f"[{index}]"
        if not is_foreign(value):
            raise JsonMismatch(location, "a conversation")
        title = value.get("title")
        title = valid_text(title).strip()[:_MAX_TITLE_CHARACTERS] if isinstance(title, str) else ""
        key = value.get("id")
        parts.append((str(key) if isinstance(key, str | int) else "", title, _turns(value, location)))
    return _conversations(parts, now)


def read_belle_text(text: str, now: int) -> list[ExchangeConversation]:
    """Conversations from `Human:`/`Assistant:` text; headings of a text export separate several."""
    pieces = TEXT_HEADING.split(text)
    parts = [("", "", belle_turns(pieces[0]))]
    parts += [("", pieces[i].strip(), belle_turns(pieces[i + 1])) for i in range(1, len(pieces), 2)]
    return _conversations(parts, now)


def belle_turns(text: str) -> list[Turn]:
    """The turns of one conversation, spaces around each left out; what is before the first marker is too."""
    pieces = _MARKER.split(text)
    return [
        Turn("user" if pieces[index] == "Human" else "assistant", valid_text(pieces[index + 1].strip()))
        for index in range(1, len(pieces), 2)
    ]


def _turns(value: dict[str, Any], location: str) -> list[Turn]:
    for key, role_key, text_key in (("conversations", "from", "value"), ("messages", "role", "content")):
        items = value.get(key)
        if isinstance(items, list):
            return [
                _turn(item, role_key, text_key, f"{location}.{key}[{index}]")
                for index, item in enumerate(items)
            ]
    output = value.get("output", "")
    if not isinstance(output, str):
        raise JsonMismatch(f"{location}.output", "a text")
    return belle_turns(value["instruction"].rstrip() + valid_text(output))


def _turn(item: Any, role_key: str, text_key: str, location: str) -> Turn:
    if not isinstance(item, dict):
        raise JsonMismatch(location, "an object")
    # Some ShareGPT files name the fields the other way.
    role = item.get(role_key, item.get("role", item.get("from")))
    text = item.get(text_key, item.get("content", item.get("value", item.get("text"))))
    thought = item.get("thought", item.get("reasoning_content"))
    if not isinstance(role, str) or role.lower() not in _ROLES:
        raise JsonMismatch(f"{location}.{role_key}", "one of " + ", ".join(sorted(_ROLES)))
    if not isinstance(text, str):
        raise JsonMismatch(f"{location}.{text_key}", "a text")
    return Turn(
        _ROLES[role.lower()], valid_text(text), valid_text(thought) if isinstance(thought, str) else ""
    )


def _conversations(parts: list[tuple[str, str, list[Turn]]], now: int) -> list[ExchangeConversation]:
    seen: dict[str, int] = {}
    conversations = []
    for key, title, turns in parts:
        while turns and turns[-1] == Turn("assistant", ""):  # a prompt form that ends where the answer goes
            turns = turns[:-1]
        if not any(turn.text for turn in turns):
            continue
        # One without thoughts keeps the uid that it got before thoughts were read.
        content = json.dumps([key, [turn[: 3 if turn.thought else 2] for turn in turns]], ensure_ascii=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:32]
        n_before = seen[digest] = seen.get(digest, -1) + 1
        uid = f"import-{digest}" + (f"-{n_before + 1}" if n_before else "")
        conversations.append(_conversation(uid, title, turns, now))
    return conversations


def _conversation(uid: str, title: str, turns: list[Turn], now: int) -> ExchangeConversation:
    system = None
    if turns[0].role == "system":
        system, turns = turns[0].text, turns[1:]
    question = next((turn.text for turn in turns if turn.role == "user"), "")
    return ExchangeConversation(
        uid=uid,
        title=title or automatic_title(question),
        title_is_own=bool(title),
        created_at=now,
        updated_at=now,
        overrides=Overrides(system=system),
        messages=tuple(_chain(uid, turns, now)),
    )


def _chain(uid: str, turns: list[Turn], now: int) -> Iterator[ExchangeMessage]:
    parent = None
    for index, turn in enumerate(map(_without_tags, turns)):
        name = f"{uid}.{index}"
        message = ExchangeMessage(name, parent, turn.role, turn.text, created_at=now, thought=turn.thought)
        yield message
        parent = message.uid


def _without_tags(turn: Turn) -> Turn:
    """The turn with its thought apart, where it is certain that it is one."""
    tagged = _TAGGED.fullmatch(turn.text) if turn.role == "assistant" and not turn.thought else None
    if tagged is None or "think>" in tagged[1] or "think>" in tagged[2]:
        return turn
    return Turn(turn.role, tagged[2], tagged[1].strip())
