"""The demo model's dialogues: merging the writers' files, checking them, reading them, and making the sums.

`dialogues.jsonl` holds what is trained on, `heldout.jsonl` what is only ever measured. This module keeps
the two apart and knows nothing of tokens, augmentation or training.

Usage: `python -m assets.demo.data merge FILE…` (writes both files), `python -m assets.demo.data check`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
DIALOGUES = FOLDER / "dialogues.jsonl"
HELDOUT = FOLDER / "heldout.jsonl"
MIN_QUESTIONS = 8

# Two writers each wrote these intents: the first takes over the questions of the others.
SAME_INTENTS = (
    ("en-smalltalk-037", "en-guide-002"),
    ("en-convert-010", "en-belle-032"),
    ("en-models-015", "en-belle-024"),
    ("en-smalltalk-010", "en-guide-001"),
    ("en-about-007", "en-belle-021"),
    ("en-smalltalk-039", "en-guide-003"),
    ("en-smalltalk-036", "en-guide-008"),
    ("en-smalltalk-040", "en-guide-009"),
    ("en-concept-002", "en-context-001"),
    ("zh-smalltalk-042", "zh-guide-006"),
    ("zh-belle-025", "zh-models-010"),
    ("zh-smalltalk-043", "zh-guide-003"),
    ("zh-smalltalk-028", "zh-guide-004"),
    ("zh-smalltalk-009", "zh-guide-001"),
    ("zh-smalltalk-044", "zh-guide-007"),
    ("zh-smalltalk-041", "zh-guide-005"),
    ("zh-belle-032", "zh-guide-002", "zh-guide-008"),
    ("zh-concept-002", "zh-context-001"),
)
DECIDED = {"你叫什么": "zh-smalltalk-010", "你怎么这么笨": "zh-smalltalk-021", "areyoubelle": "en-guide-005"}

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
    """A question the model never saw, with the only answer counted as right."""

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
        probes.append(Probe(intent.id, intent.lang, intent.topic, record["question"], intent.turns[0].answer))
    return probes


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _dialogue(record: dict[str, Any]) -> Dialogue:
    if "turns" in record:
        turns = tuple(Turn((turn["question"],), turn["answer"]) for turn in record["turns"])
    else:
        turns = (Turn(tuple(record["questions"]), record["answer"]),)
    return Dialogue(record["id"], record["lang"], record["topic"], turns)


# --- sums ---

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
                probes += [Probe(name, lang, "sum", questions[i], answer) for i in sorted(held)]
                kept = tuple(question for i, question in enumerate(questions) if i not in held)
                dialogues.append(Dialogue(name, lang, "sum", (Turn(kept, answer),)))
    return dialogues, probes


# --- merging and checking ---


def merge(parts: Iterable[Path], rewordings: Iterable[Path]) -> None:
    """Write `dialogues.jsonl` and `heldout.jsonl` from the writers' `NAME.jsonl` and `NAME_heldout.jsonl`.

    A question that two intents share is dropped from both, or from the Chinese one if the other is English,
    or where `DECIDED` says so; a training question equal or close to a held-back one is dropped.
    `rewordings` are text files of more questions, `LANG….txt`, lines `ID-WITHOUT-LANG question|question|…`;
    where one clashes with another intent's question, it alone is dropped.
    """
    records: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    for part in parts:
        records += _read(part)
        held += _read(part.with_name(f"{part.stem}_heldout.jsonl"))
    records = _join_same(records, held)
    _add_rewordings(records, rewordings)
    secret = {normalise(probe["question"]) for probe in held}
    owners: dict[str, set[str]] = {}
    for record in records:
        for question in record.get("questions", ()):
            owners.setdefault(normalise(question), set()).add(record["id"])
    for record in records:
        if "questions" in record:
            asked = [_pairs(probe["question"]) for probe in held if probe["id"] == record["id"]]
            record["questions"] = [
                q for q in _kept(record, owners, secret) if not _too_close(record, q, asked)
            ]
    ids = {record["id"] for record in records}
    held = [probe for probe in held if probe["id"] in ids]
    _write(DIALOGUES, records)
    _write(HELDOUT, [{key: probe[key] for key in ("id", "lang", "question")} for probe in held])


def _pairs(question: str) -> set[str]:
    key = normalise(question)
    return {key[i : i + 2] for i in range(len(key) - 1)} or {key}


def _too_close(record: dict[str, Any], question: str, asked: Sequence[set[str]]) -> bool:
    """Whether a training question has more than half of its character pairs in common with a held-back one.

    Translation and sentiment questions quote a phrase, so that they cannot but look alike.
    """
    if record["topic"] in ("translate", "sentiment"):
        return False
    pairs = _pairs(question)
    return any(len(pairs & other) > 0.5 * len(pairs | other) for other in asked)


def _add_rewordings(records: list[dict[str, Any]], files: Iterable[Path]) -> None:
    by_id = {record["id"]: record for record in records if "questions" in record}
    names = {other: first for first, *others in SAME_INTENTS for other in others}
    owner = {normalise(question): name for name, record in by_id.items() for question in record["questions"]}
    fresh: dict[str, set[str]] = {}
    lines = [
        (file.name[:2], line) for file in files for line in file.read_text(encoding="utf-8").splitlines()
    ]
    for lang, line in lines:
        name, _, questions = f"{lang}-{line}".partition(" ")
        name = names.get(name, name)
        if name not in by_id:
            log.warning("no such intent: %s", name)
            continue
        for question in questions.split("|"):
            key = normalise(question)
            fresh.setdefault(key, set()).add(name)
            if key and owner.get(key, name) == name:
                by_id[name]["questions"].append(question)
    shared = {key for key, ids in fresh.items() if len(ids) > 1}
    for record in by_id.values():
        kept = [q for q in record["questions"] if normalise(q) not in shared or normalise(q) in owner]
        record["questions"] = kept


def _join_same(records: list[dict[str, Any]], held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join `SAME_INTENTS`, also where their answers occur in multi-turn dialogues and their ids in `held`."""
    by_id = {record["id"]: record for record in records}
    answers, names = {}, {}
    for first, *others in SAME_INTENTS:
        for other in others:
            by_id[first]["questions"] += by_id[other]["questions"]
            answers[by_id[other]["answer"]] = by_id[first]["answer"]
            names[other] = first
    for record in records:
        for turn in record.get("turns", ()):
            turn["answer"] = answers.get(turn["answer"], turn["answer"])
    for probe in held:
        probe["id"] = names.get(probe["id"], probe["id"])
    return [record for record in records if record["id"] not in names]


def _kept(record: dict[str, Any], owners: dict[str, set[str]], secret: set[str]) -> list[str]:
    kept, seen = [], set()
    for question in record["questions"]:
        key = normalise(question)
        if key in seen:
            continue
        rivals = {name for name in owners[key] if name != record["id"]}
        if key in DECIDED:
            loses = DECIDED[key] != record["id"]
        else:
            loses = any(record["lang"] == "zh" or name.startswith("en") for name in rivals)
        if key in secret or loses:
            log.warning("dropped from %s: %s", record["id"], question)
            continue
        seen.add(key)
        kept.append(question.strip())
    return kept


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")


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
    counts |= {f"held back {lang}": sum(p.lang == lang for p in probes) for lang in ("zh", "en")}
    return counts


def main() -> int:
    """Run `merge` or `check`; the exit status is 1 when something is wrong with the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    merging = commands.add_parser("merge")
    merging.add_argument("part", nargs="+", type=Path)
    merging.add_argument("--rewordings", nargs="*", type=Path, default=[])
    commands.add_parser("check")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.command == "merge":
        merge(options.part, options.rewordings)
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
