"""What can be done with a message: the callbacks that its row is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class MessageCommands:
    """Each takes a message id, `edit` the new text as well; functions or coroutine functions."""

    regenerate: Command
    continue_answer: Command
    edit: Command
    delete: Command
    select: Command
