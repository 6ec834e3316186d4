"""The demo model's dialogues: reading and checking them, and making the sums.

`dialogues.jsonl` holds what is trained on, `heldout.jsonl` what is only ever measured. This module knows
nothing of tokens, augmentation or training.

    uv run python -m assets.demo.data       counts both files and says what is wrong with them
"""

from __future__ import annotations

import json
import logging
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
DIALOGUES = FOLDER / "dialogues.jsonl"
HELDOUT = FOLDER / "heldout.jsonl"
MIN_QUESTIONS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turn:
    """One exchange: any of `questions` asks for `answer`."""

    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Dialogue:
    """One intent (a single turn with many paraphrases) or one multi-turn conversation."""

    id: str
    lang: str
    topic: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Probe:
    """A question the model never saw, with the only answer counted as right.

    exam: "plain" (worded as people do, by writers who knew no training question), "reworded" (deliberately
    far from the first training questions) or "sums".
    """

    exam: str
    id: str
    lang: str
    topic: str
    question: str
    answer: str


def normalise(question: str) -> str:
    """A question without case, spaces and punctuation, to compare wordings; + and / are kept (`/help`)."""
    folded = unicodedata.normalize("NFKC", question).lower()
    return "".join(c for c in folded if c == "/" or (not c.isspace() and unicodedata.category(c)[0] != "P"))


def read_dialogues(path: Path = DIALOGUES) -> list[Dialogue]:
    """All dialogues of a JSON Lines file, in order."""
    return [_dialogue(record) for record in _read(path)]


def read_probes(dialogues: Sequence[Dialogue], path: Path = HELDOUT) -> list[Probe]:
    """The held-back questions of `path`, each with the answer of the dialogue it names."""
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    probes = []
    for record in _read(path):
        intent = by_id[record["id"]]
        probes.append(
            Probe(
                record["exam"],
                intent.id,
                intent.lang,
                intent.topic,
                record["question"],
                intent.turns[0].answer,
            )
        )
    return probes


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _dialogue(record: dict[str, Any]) -> Dialogue:
    if "turns" in record:
        turns = tuple(Turn((turn["question"],), turn["answer"]) for turn in record["turns"])
    else:
        turns = (Turn(tuple(record["questions"]), record["answer"]),)
    return Dialogue(record["id"], record["lang"], record["topic"], turns)


_DIGITS_ZH = "零一二三四五六七八九"
_DIGITS_EN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

SUM_TEMPLATES: dict[str, tuple[str, ...]] = {
    "zh": (
        "{a}加{b}等于几？",
        "{a}加{b}是多少",
        "{a}+{b}等于多少？",
        "{a} 加 {b} 等于几",
        "算一下{a}加{b}",
        "请计算 {a}+{b}",
        "{a}和{b}相加得多少？",
        "{a}跟{b}加起来是几？",
        "{za}加{zb}等于几？",
        "{za}加{zb}是多少",
        "{a}加上{b}呢",
    ),
    "en": (
        "What is {a} plus {b}?",
        "what's {a} + {b}",
        "{a} plus {b}",
        "how much is {a} plus {b}?",
        "How much is {a}+{b}?",
        "calculate {a} + {b}",
        "add {a} and {b}",
        "Can you add {a} and {b}?",
        "the sum of {a} and {b}",
        "{ea} plus {eb}",
        "What is {ea} plus {eb}?",
    ),
    "sign": ("{a}+{b}", "{a} + {b}", "{a}+{b}=", "{a}+{b}=?", "{a} + {b} = ?"),
}
SUM_ANSWERS = {"zh": "{a}加{b}等于{c}。", "en": "{a} plus {b} is {c}.", "sign": "{a} + {b} = {c}"}


def all_sums() -> tuple[list[Dialogue], list[Probe]]:
    """One-digit sums for training and, from the same templates, the held-back (pair, template) combinations.

    About one combination in ten is held back; each pair of numbers stays in most of its templates.
    """
    rng = random.Random(20230402)
    dialogues, probes = [], []
    for lang, templates in SUM_TEMPLATES.items():
        for a in range(10):
            for b in range(10):
                answer = SUM_ANSWERS[lang].format(a=a, b=b, c=a + b)
                words = {"za": _DIGITS_ZH[a], "zb": _DIGITS_ZH[b], "ea": _DIGITS_EN[a], "eb": _DIGITS_EN[b]}
                questions = [template.format(a=a, b=b, **words) for template in templates]
                held = {i for i in range(len(questions)) if rng.random() < 0.1}
                name = f"{lang}-sum-{a}{b}"
                probes += [Probe("sums", name, lang, "sum", questions[i], answer) for i in sorted(held)]
                kept = tuple(question for i, question in enumerate(questions) if i not in held)
                dialogues.append(Dialogue(name, lang, "sum", (Turn(kept, answer),)))
    return dialogues, probes


def problems(dialogues: Sequence[Dialogue], probes: Sequence[Probe]) -> list[str]:
    """Everything wrong with the two files; an empty list when they are fit for training and measuring."""
    singles = [dialogue for dialogue in dialogues if len(dialogue.turns) == 1]
    found = [f"id used twice: {name}" for name, n in Counter(d.id for d in dialogues).items() if n > 1]
    answers = Counter(dialogue.turns[0].answer for dialogue in singles)
    found += [f"answer used twice: {answer}" for answer, n in answers.items() if n > 1]
    owners: dict[str, set[str]] = {}
    for dialogue in singles:
        if len(dialogue.turns[0].questions) < MIN_QUESTIONS:
            found.append(f"{dialogue.id}: only {len(dialogue.turns[0].questions)} questions")
        for question in dialogue.turns[0].questions:
            owners.setdefault(normalise(question), set()).add(dialogue.id)
    found += [f"question of {sorted(ids)}: {key}" for key, ids in owners.items() if len(ids) > 1]
    later = {normalise(question) for d in dialogues for turn in d.turns for question in turn.questions}
    found += [
        f"held-back question is trained on: {p.question}" for p in probes if normalise(p.question) in later
    ]
    found += [
        f"{d.id}: an empty answer or a line break" for d in dialogues for t in d.turns if bad_text(t.answer)
    ]
    return found


def bad_text(answer: str) -> bool:
    """Whether an answer is empty, padded, or holds a line break."""
    return not answer or answer != answer.strip() or bool(re.search(r"[\r\n\t]", answer))


def summary(dialogues: Sequence[Dialogue], probes: Sequence[Probe]) -> dict[str, int]:
    """Counts for the README."""
    singles = [d for d in dialogues if len(d.turns) == 1]
    counts = {f"intents {lang}": sum(d.lang == lang for d in singles) for lang in ("zh", "en")}
    counts["questions"] = sum(len(d.turns[0].questions) for d in singles)
    counts |= {
        f"multi-turn {lang}": sum(d.lang == lang and len(d.turns) > 1 for d in dialogues)
        for lang in ("zh", "en")
    }
    return counts | Counter(f"held back, {probe.exam}, {probe.lang}" for probe in probes)


def main() -> int:
    """Count and check; the exit status is 1 when something is wrong with the files."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    dialogues = read_dialogues()
    probes = read_probes(dialogues)
    for name, count in summary(dialogues, probes).items():
        log.info("%s: %d", name, count)
    found = problems(dialogues, probes)
    for problem in found:
        log.error("%s", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
