"""Training samples: dialogues turned into token ids with a weight for every position.

A sample is a short conversation in the `belle` prompt format: turns of `Human: question`, a blank line,
`Assistant:`, the answer and the end token, joined without newline and without a beginning token. Prompts
and answers are tokenised apart, as at inference. Most samples hold one turn; others join unrelated turns,
so that earlier ones do not confuse, or are the multi-turn dialogues. This module decides what is shown; it
knows nothing of the model.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from assets.demo.augment import LEXICON, Augmenter, split_points
from assets.demo.data import Dialogue, Turn
from assets.demo.tokenizer import EOS_ID

NO_CLASS = -100
QUOTING_TOPICS = ("translate", "sentiment")


@dataclass
class Sample:
    """Token ids; whether each belongs to an answer; `marks` are (last prompt position, answer class)."""

    ids: list[int] = field(default_factory=list)
    is_answer: list[bool] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Mixture:
    """How samples are drawn, as shares of one."""

    multi_turn: float = 0.09
    joined: float = 0.14
    system: float = 0.05
    sums: float = 0.07
    outside: float = 0.08
    other_language: float = 0.25
    split_rate: float = 0.03
    cut_short: float = 0.5


def prompt_text(question: str) -> str:
    """One question in the `belle` format."""
    return f"Human: {question.strip()}\n\nAssistant:"


class SampleMaker:
    """Draws samples from dialogues, rewording every question anew."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        dialogues: Sequence[Dialogue],
        sums: Sequence[Dialogue],
        mixture: Mixture,
        seed: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.mixture = mixture
        self.rng = random.Random(seed)
        lexicon = json.loads(LEXICON.read_text(encoding="utf-8"))
        self.augmenters = {lang: Augmenter(lang) for lang in ("zh", "en")}
        self.outside = {lang: lexicon[lang]["outside"] for lang in ("zh", "en")}
        self.systems = {lang: lexicon[lang]["systems"] for lang in ("zh", "en")}
        self.singles = {g: [d for d in dialogues if d.lang == g and len(d.turns) == 1] for g in ("zh", "en")}
        self.multis = {g: [d for d in dialogues if d.lang == g and len(d.turns) > 1] for g in ("zh", "en")}
        self.sums = list(sums)
        answers = sorted({turn.answer for d in dialogues for turn in d.turns})
        self.class_of = {answer: i for i, answer in enumerate(answers)}
        self.by_answer = {d.turns[0].answer: d.turns[0] for g in ("zh", "en") for d in self.singles[g]}
        self.fallback = {
            g: next(d for d in self.singles[g] if d.id == f"{g}-cannot-000") for g in ("zh", "en")
        }

    def draw(self, n_samples: int) -> list[Sample]:
        """`n_samples` fresh samples."""
        plans = [self._plan() for _ in range(n_samples)]
        pieces = [piece for plan in plans for prompt, answer in plan for piece in (*prompt, answer)]
        encoded = iter(self.tokenizer.encode_batch(pieces, add_special_tokens=False))
        return [self._assemble(plan, encoded) for plan in plans]

    def _assemble(self, plan: list[tuple[list[str], str]], encoded: object) -> Sample:
        sample = Sample()
        for prompt, answer in plan:
            for _ in prompt:
                sample.ids += next(encoded).ids  # type: ignore[call-overload]
            sample.marks.append((len(sample.ids) - 1, self.class_of.get(answer, NO_CLASS)))
            sample.is_answer += [False] * (len(sample.ids) - len(sample.is_answer))
            sample.ids += [*next(encoded).ids, EOS_ID]  # type: ignore[call-overload]
            sample.is_answer += [True] * (len(sample.ids) - len(sample.is_answer))
        if self.rng.random() < self.mixture.cut_short:
            # The first words decide which answer it is; the rest is soon known by heart, at most of the cost.
            end = sample.marks[-1][0] + self.rng.randrange(5, 16)
            del sample.ids[end:], sample.is_answer[end:]
        return sample

    def _plan(self) -> list[tuple[list[str], str]]:
        """A conversation as (pieces of the prompt, answer) for each turn."""
        rng, mixture = self.rng, self.mixture
        lang = rng.choice(("zh", "en"))
        turns: list[tuple[str, str]] = []
        kind = rng.random()
        if kind < mixture.multi_turn and self.multis[lang]:
            if rng.random() < 0.3:
                turns.append(self._single(lang))
            dialogue = rng.choice(self.multis[lang])
            turns += [self._worded(dialogue, i) for i in range(len(dialogue.turns))]
        elif kind < mixture.multi_turn + mixture.joined:
            for _ in range(rng.choice((2, 2, 2, 3, 3, 4))):
                swap = rng.random() < mixture.other_language
                turns.append(self._single({"zh": "en", "en": "zh"}[lang] if swap else lang))
        else:
            turns.append(self._single(lang))
        plan = []
        for question, answer in turns:
            pieces = split_points(question.strip(), rng, mixture.split_rate * rng.choice((0, 0, 1, 3)))
            pieces[0] = "Human: " + pieces[0]
            pieces[-1] += "\n\nAssistant:"
            plan.append((pieces, answer))
        if rng.random() < mixture.system:
            plan[0][0][0] = (
                f"{rng.choice(self.systems[rng.choice((lang, lang, 'zh', 'en'))])}\n\n{plan[0][0][0]}"
            )
        return plan

    def _single(self, lang: str) -> tuple[str, str]:
        rng = self.rng
        kind = rng.random()
        if kind < self.mixture.sums:
            turn = rng.choice(self.sums).turns[0]
            return self._dress_sum(rng.choice(turn.questions)), turn.answer
        if kind < self.mixture.sums + self.mixture.outside:
            return self._outside_question(lang), self.fallback[lang].turns[0].answer
        dialogue = rng.choice(self.singles[lang])
        turn = dialogue.turns[0]
        question = rng.choice(turn.questions)
        quoting = dialogue.topic in QUOTING_TOPICS
        return self.augmenters[lang].reword(question, rng, keep_words=quoting), turn.answer

    def _worded(self, dialogue: Dialogue, index: int) -> tuple[str, str]:
        turn: Turn = dialogue.turns[index]
        question = turn.questions[0]
        same = self.by_answer.get(turn.answer)
        if same and self.rng.random() < (0.6 if index == 0 else 0.25):
            question = self.rng.choice(same.questions)
        return self.augmenters[dialogue.lang].reword(question, self.rng), turn.answer

    def _dress_sum(self, question: str) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            question = question.rstrip("？?")
        if rng.random() < 0.3:
            question = question.lower()
        if rng.random() < 0.2:
            question = question.replace(" + ", "+") if " + " in question else question.replace("+", " + ")
        return question

    def _outside_question(self, lang: str) -> str:
        """A question of no intent: a pattern about the wide world filled in, or a jumble of such words."""
        rng, entry = self.rng, self.outside[lang]
        words = entry["words"].split("|")
        if rng.random() < 0.2:
            joint = " " if lang == "en" else ""
            text = joint.join(rng.choice(words) for _ in range(rng.randrange(1, 5)))
        else:
            text = rng.choice(entry["patterns"])
            while "{}" in text:
                text = text.replace("{}", rng.choice(words), 1)
        return self.augmenters[lang].reword(text, rng)
