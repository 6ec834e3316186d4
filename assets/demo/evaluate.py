"""Measures a GGUF of the demo model on the project's own engine: exact answers, trained and held back.

    uv run python -m assets.demo.evaluate FILE.gguf

An answer is right when it equals the expected one character for character. Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from assets.demo.data import Dialogue, all_sums, read_dialogues, read_probes
from engine.in_process import InProcessBackend
from engine.types import Finished, LoadOptions, Message, Sampling


@dataclass(frozen=True)
class Exam:
    """One conversation that ends in a question, and the answer that counts as right."""

    kind: str
    lang: str
    topic: str
    messages: tuple[Message, ...]
    answer: str


def exams_of(dialogues: Sequence[Dialogue], kind: str) -> Iterator[Exam]:
    """Every question of every dialogue; a later turn is asked after the right earlier answers."""
    for dialogue in dialogues:
        if len(dialogue.turns) == 1:
            turn = dialogue.turns[0]
            for question in turn.questions:
                yield Exam(kind, dialogue.lang, dialogue.topic, (Message("user", question),), turn.answer)
            continue
        before: tuple[Message, ...] = ()
        for turn in dialogue.turns:
            asked = (*before, Message("user", turn.questions[0]))
            yield Exam("trained, multi-turn", dialogue.lang, dialogue.topic, asked, turn.answer)
            before = (*asked, Message("assistant", turn.answer))


def all_exams() -> Iterator[Exam]:
    """Everything that was trained on, and everything held back."""
    dialogues = read_dialogues()
    sums, sum_probes = all_sums()
    yield from exams_of(dialogues, "trained")
    yield from exams_of(sums, "trained, sums")
    for probe in (*read_probes(dialogues), *sum_probes):
        asked = (Message("user", probe.question),)
        yield Exam(f"held back, {probe.exam}", probe.lang, probe.topic, asked, probe.answer)


def answer_of(backend: InProcessBackend, exam: Exam, sampling: Sampling) -> str:
    """The model's answer."""
    text = ""
    for event in backend.chat(exam.messages, sampling):
        if isinstance(event, Finished):
            text = event.message.text
    return text


def thinned(exams: Sequence[Exam], every: int) -> list[Exam]:
    """Every Nth question of each kind, in order."""
    seen: Counter[str] = Counter()
    kept = []
    for exam in exams:
        if seen[exam.kind] % every == 0:
            kept.append(exam)
        seen[exam.kind] += 1
    return kept


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a GGUF made from this checkpoint")
    parser.add_argument(
        "--only", default="", help="kinds of questions that begin with this, e.g. 'held back'"
    )
    parser.add_argument("--penalty", type=float, default=1.0, help="repetition penalty (default 1.0: off)")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--every", type=int, default=1, help="ask only every Nth question of each kind")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args()


def main() -> int:
    """Ask everything and report."""
    options = read_options()
    backend = InProcessBackend()
    backend.load(options.model, LoadOptions(prompt_format="belle", threads=options.threads))
    sampling = Sampling(
        temperature=options.temperature, repetition_penalty=options.penalty, seed=1, max_tokens=200
    )
    exams = thinned([exam for exam in all_exams() if exam.kind.startswith(options.only)], options.every)
    tally: dict[str, list[bool]] = defaultdict(list)
    misses = []
    console = Console(stderr=True)
    for exam in track(exams, console=console, description="asking"):
        given = answer_of(backend, exam, sampling)
        right = given == exam.answer
        tally[f"{exam.kind}, {exam.lang}"].append(right)
        if exam.kind == "held back, plain":
            tally[f"{exam.kind}, {exam.lang}, {exam.topic}"].append(right)
        if not right:
            misses.append((exam.kind, exam.messages[-1].text, given, exam.answer))
    backend.unload()
    report(tally, misses, as_json=options.json)
    return 0


def report(
    tally: dict[str, list[bool]], misses: Sequence[tuple[str, str, str, str]], *, as_json: bool
) -> None:
    """Write the shares of right answers and every miss to standard output."""
    if as_json:
        shares = {name: {"right": sum(results), "asked": len(results)} for name, results in tally.items()}
        names = ("kind", "question", "given", "expected")
        result = {"shares": shares, "misses": [dict(zip(names, miss, strict=True)) for miss in misses]}
        sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
        return
    for name, results in sorted(tally.items()):
        share = 100 * sum(results) / len(results)
        sys.stdout.write(f"{name}: {sum(results)} of {len(results)} ({share:.1f} %)\n")
    for kind, question, given, expected in misses:
        sys.stdout.write(f"\n{kind}: {question}\n  given:    {given}\n  expected: {expected}\n")


if __name__ == "__main__":
    sys.exit(main())
