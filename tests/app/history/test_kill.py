"""`kill -9` at random moments of streaming: what was promised is there, what was not is marked unfinished.

CHATBELLE_KILLS sets how often (5 by default, 100 in the slow run).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.history.records import Status
from app.history.store import HistoryStore

ROOT = Path(__file__).resolve().parents[3]
WRITER = Path(__file__).with_name("endless_writer.py")
N_KILLS = int(os.environ.get("CHATBELLE_KILLS", "5"))


@dataclass(frozen=True)
class Piece:
    """What was appended to an answer, or to its thought, and when (monotonic clock)."""

    text: str
    is_thought: bool
    at: float


@dataclass
class Promised:
    """What the dead process said that it had done."""

    complete: dict[int, tuple[str, str]] = field(default_factory=dict)
    appended: dict[int, list[Piece]] = field(default_factory=dict)
    flushed: dict[int, str] = field(default_factory=dict)

    def note(self, line: dict[str, Any]) -> None:
        """Take in one line."""
        event, message_id = line["event"], line["id"]
        if event in ("asked", "finished"):
            self.complete[message_id] = (line.get("thought", ""), line["text"])
            self.appended.pop(message_id, None)
        elif event == "begun":
            self.appended[message_id] = []
        elif event == "appended":
            self.appended[message_id].append(Piece(line["text"], line["is_thought"], line["at"]))
        else:
            self.flushed[message_id] = "".join(piece.text for piece in self.appended[message_id])


def _run_and_kill(folder: Path, seed: int, promised: Promised) -> float:
    """Let a writer run for a random while and kill it; returns when that was (monotonic clock)."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    first = process.stdout.readline()  # from here on it is writing
    promised.note(json.loads(first))
    time.sleep(random.Random(seed).uniform(0, 1.2))
    process.kill()
    killed_at = time.monotonic()
    rest, _ = process.communicate()
    for line in rest.splitlines(keepends=True):
        if line.endswith(b"\n"):  # the last one may be cut off
            promised.note(json.loads(line))
    return killed_at


def _seconds_missing(pieces: list[Piece], text: str, killed_at: float) -> float:
    """How long before the kill the oldest text was appended that is missing."""
    n_characters = 0
    for piece in pieces:
        n_characters += len(piece.text)
        if n_characters > len(text):
            return killed_at - piece.at
    return 0.0


def test_killing_a_writer_loses_nothing_that_was_promised(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    promised = Promised()
    missing_s = [0.0]
    for seed in range(N_KILLS):
        killed_at = _run_and_kill(folder, seed, promised)
        with HistoryStore.open(folder) as history:
            assert history.report.outcome == "opened"
            assert history.report.damaged_path is None
            for message_id, said in promised.complete.items():
                stored = history.messages.get(message_id)
                assert (stored.thought, stored.text) == said
                assert stored.status is Status.COMPLETE
            for message_id, pieces in promised.appended.items():
                missing_s.append(_check_interrupted(history, promised, message_id, pieces, killed_at))
            assert history.conversations.counts().unfinished <= seed + 1
            assert history.search.messages("问题", limit=1)
        promised.appended.clear()
    record_property("oldest_missing_s", round(max(missing_s), 3))


def _check_interrupted(
    history: HistoryStore,
    promised: Promised,
    message_id: int,
    pieces: list[Piece],
    killed_at: float,
) -> float:
    """An answer without an end: the beginning of what was streamed, and all of what was flushed."""
    stored = history.messages.get(message_id)
    kept = stored.thought + stored.text
    streamed = "".join(piece.text for piece in pieces)
    if stored.status is Status.COMPLETE:  # killed between the commit and the line that says so
        assert kept.startswith(streamed)
        return 0.0
    assert stored.status is Status.UNFINISHED
    # One piece may have been appended and flushed before its line was out.
    assert streamed.startswith(kept) or kept.startswith(streamed)
    assert kept.startswith(promised.flushed.get(message_id, ""))
    thought = "".join(piece.text for piece in pieces if piece.is_thought)
    assert stored.thought.startswith(thought) or (thought.startswith(stored.thought) and not stored.text)
    return _seconds_missing(pieces, kept, killed_at)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_lock_of_a_killed_process_is_free(folder: Path) -> None:
    promised = Promised()
    _run_and_kill(folder, 1, promised)
    HistoryStore.open(folder).close()
