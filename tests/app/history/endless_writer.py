"""A process that converses with itself until it is killed, and says on stdout what it was promised.

    python endless_writer.py FOLDER SEED

Lines of JSON, each written when the call before it returned: `asked` and `finished` messages, `begun`
answers, `appended` pieces with the time on the monotonic clock, `flushed` when a flush asked for returned.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

from app.history.records import Status
from app.history.store import HistoryStore


def say(event: str, **fields: object) -> None:
    """One line, handed to the system at once."""
    os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


def main(folder: Path, seed: int) -> None:
    """Ask and answer, in the rhythm of a model."""
    source = random.Random(seed)
    history = HistoryStore.open(folder)
    conversation = history.conversations.create()
    while True:
        text = f"问题 {source.random()}"
        question = history.messages.ask(conversation.id, text)
        say("asked", id=question.id, text=text)
        writer = history.answers.begin(question.id)
        say("begun", id=writer.message_id)
        n_thoughts = source.choice([0, source.randrange(60)])
        for number in range(n_thoughts + source.randrange(5, 120)):
            piece, is_thought = f"词{number}，", number < n_thoughts
            if is_thought:
                writer.append_thought(piece)
            else:
                writer.append(piece)
            say("appended", id=writer.message_id, text=piece, is_thought=is_thought, at=time.monotonic())
            if source.random() < 0.05:
                writer.flush()
                say("flushed", id=writer.message_id)
            time.sleep(source.choice([0, 0.002, 0.01, 0.03]))
        answer = writer.finish(Status.COMPLETE)
        say("finished", id=answer.id, text=answer.text, thought=answer.thought)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
