"""Search over many messages, and what keeping the index costs.

    .venv/bin/python tests/benchmarks/search_benchmark.py [--messages 100000] [--folder DIR]

Texts are Chinese in the character frequencies of a news corpus's head (a few characters in most messages,
thousands rarely), with Latin words between; every tenth word of the vocabulary is a technical term.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.history.records import Status
from app.history.rows import NewMessage, insert_message
from app.history.search import Search
from app.history.store import HistoryStore
from engine.types import Role

_COMMON = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
)
_LATIN = ("the", "model", "python", "github", "tokens", "function", "return", "error", "class", "windows")
_QUERIES = (
    "的",
    "猫",
    "模型",
    "的人",
    "鹦鹉",
    "量化模型",
    "机器学习",
    "py",
    "python",
    "模型 python",
    "在 人 的",
    "zzz",
    "不存在的词",
)


def make_text(random_source: random.Random, words: list[str]) -> str:
    """One message of 20 to 400 characters."""
    wanted = min(400, 20 + int(random_source.expovariate(1 / 110)))
    pieces: list[str] = []
    n = 0
    while n < wanted:
        chance = random_source.random()
        if chance < 0.35:
            piece = random_source.choice(_COMMON)
        elif chance < 0.92:
            piece = words[min(len(words) - 1, int(random_source.paretovariate(0.7)) - 1)]
        elif chance < 0.97:
            piece = "，。！？\n"[random_source.randrange(5)]
        else:
            piece = f" {random_source.choice(_LATIN)} "
        pieces.append(piece)
        n += len(piece)
    return "".join(pieces)


def vocabulary(random_source: random.Random) -> list[str]:
    """20,000 words of two characters from 3,500, with the queried ones among them."""
    characters = [chr(0x4E00 + random_source.randrange(20_000)) for _ in range(3500)]
    words = ["".join(random_source.choices(characters, k=2)) for _ in range(20_000)]
    for place, word in ((30, "模型"), (300, "量化模型"), (500, "机器学习"), (4000, "鹦鹉"), (2000, "猫")):
        words[place] = word
    return words


def fill(folder: Path, n_messages: int) -> None:
    """Write the messages in conversations of 40, a thousand to a transaction."""
    random_source = random.Random(1)
    words = vocabulary(random_source)
    with HistoryStore.open(folder) as history:
        database = history.conversations._database  # noqa: SLF001 - 100,000 synchronous commits take minutes
        conversation_ids = [history.conversations.create().id for _ in range((n_messages + 39) // 40)]
        for start in range(0, n_messages, 1000):
            with database.write() as connection:
                parent = None
                for number in range(start, min(start + 1000, n_messages)):
                    role: Role = "assistant" if number % 2 else "user"
                    text = make_text(random_source, words)
                    parent = None if number % 40 == 0 else parent
                    parent = insert_message(
                        connection,
                        NewMessage(
                            conversation_ids[number // 40], parent, role, text, Status.COMPLETE, number
                        ),
                    )


def timings(search: Search, query: str, order: str) -> Iterator[float]:
    """Milliseconds of 15 runs, the first one included."""
    for _ in range(15):
        begin = time.perf_counter()
        search.find(query) if order == "find" else search.messages(query, order="best")
        yield (time.perf_counter() - begin) * 1000


def main() -> None:
    """Fill a history, then time queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "history"
        if not folder.exists():
            begin = time.perf_counter()
            fill(folder, arguments.messages)
            size = (folder / "history.sqlite3").stat().st_size
            took_s = time.perf_counter() - begin
            say(f"filled {arguments.messages} messages in {took_s:.1f} s, {size / 1e6:.0f} MB")
        begin = time.perf_counter()
        with HistoryStore.open(folder) as history:
            say(f"opened in {(time.perf_counter() - begin) * 1000:.0f} ms: {history.report.outcome}")
            for query in _QUERIES:
                n_hits = len(history.search.messages(query, limit=1_000_000)) if "的" not in query else -1
                for order in ("find", "best"):
                    runs = list(timings(history.search, query, order))
                    say(
                        f"{order:5} {query!r:16} hits {n_hits:6}  first {runs[0]:6.1f} ms"
                        f"  median {statistics.median(runs):6.1f} ms  max {max(runs):6.1f} ms"
                    )
            begin = time.perf_counter()
            history.search.messages("的", conversation_id=1)
            say(f"'的' in the oldest conversation: {(time.perf_counter() - begin) * 1000:.1f} ms")
            begin = time.perf_counter()
            history.rebuild_index()
            say(f"index rebuilt in {time.perf_counter() - begin:.1f} s")


def say(line: str) -> None:
    """Write a line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
