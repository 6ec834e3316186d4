"""A conversation as a person reads it, in Markdown or plain text: the shown branch, and no numbers.

Knows no files; the names of the speakers come from whoever knows the language.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.history.exchange import ExchangeConversation, ExchangeMessage

_END_OF_FOLD = re.compile(r"<(/?details)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labels:
    """How the speakers are called, and what precedes an answer."""

    user: str
    assistant: str
    system: str = "System"
    thought: str = "Thought"

    def of(self, message: ExchangeMessage) -> str:
        """The name of who said it."""
        names = {"user": self.user, "assistant": self.assistant, "system": self.system}
        return names[message.role]


def shown_messages(conversation: ExchangeConversation) -> Iterator[ExchangeMessage]:
    """The messages from the first to the last along the chosen branches."""
    chosen: dict[str | None, ExchangeMessage] = {}
    for message in conversation.messages:
        rival = chosen.get(message.parent)
        if rival is None or message.choice >= rival.choice:
            chosen[message.parent] = message
    message_or_none = chosen.get(None)
    while message_or_none is not None:
        yield message_or_none
        message_or_none = chosen.get(message_or_none.uid)


def markdown(conversation: ExchangeConversation, labels: Labels, moment: datetime) -> str:
    """A heading, the time in this computer's zone, and each message under its speaker's name.

    Thoughts are folded.
    """
    title = " ".join(conversation.title.split()) or "—"
    parts = [f"# {title}\n", f"*{moment:%Y-%m-%d %H:%M}*\n"]
    if conversation.overrides.system:
        parts.append(f"### {labels.system}\n\n{conversation.overrides.system}\n")
    for message in shown_messages(conversation):
        thought = folded(labels.thought, message.thought)
        said = "\n\n".join(filter(None, (thought, message.text)))
        parts.append(f"### {labels.of(message)}\n\n{said}\n")
    return "\n".join(parts)


def folded(label: str, thought: str) -> str:
    """A thought in Markdown, closed until one opens it; "" where there is none."""
    if not thought.strip():
        return ""
    inside = _END_OF_FOLD.sub(r"&lt;\1", thought.strip())
    return f"<details>\n<summary>{html.escape(label, quote=False)}</summary>\n\n{inside}\n\n</details>"


def plain_text(conversation: ExchangeConversation, labels: Labels, *, with_heading: bool) -> str:
    """Each message after its speaker's name and a colon, a blank line between them; without thoughts, which
    this form has no place for.

    with_heading: the title on a line of its own before, as `foreign.TEXT_HEADING` reads it.
    """
    parts = [f"===== {' '.join(conversation.title.split())} =====\n"] if with_heading else []
    parts += [f"{labels.of(message)}: {message.text}\n" for message in shown_messages(conversation)]
    return "\n".join(parts)
