"""Measures a model in torch: does greedy decoding give exactly the right answer?

Greedy decoding equals a target exactly when every token of the target is the likeliest one after those
before it, so a single forward pass over prompt and target decides, without generating. `evaluate.py`
measures the converted model.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from assets.demo.data import Dialogue, Probe
from assets.demo.model import Bloom
from assets.demo.samples import prompt_text
from assets.demo.tokenizer import EOS_ID, PAD_ID

REPETITION_PENALTY = 1.2

log = logging.getLogger("train")


@dataclass(frozen=True)
class Case:
    """Token ids of a prompt and of the right answer, end token included."""

    prompt: list[int]
    answer: list[int]


def case_of(tokenizer: Tokenizer, turns: Sequence[tuple[str, str]]) -> Case:
    """The last of `turns` as a case, the earlier ones as its context."""
    ids: list[int] = []
    for question, answer in turns[:-1]:
        ids += tokenizer.encode(prompt_text(question)).ids + tokenizer.encode(answer).ids + [EOS_ID]
    question, answer = turns[-1]
    return Case(ids + tokenizer.encode(prompt_text(question)).ids, [*tokenizer.encode(answer).ids, EOS_ID])


@torch.no_grad()
def exact(model: Bloom, cases: Sequence[Case], penalty: float = 1.0) -> list[bool]:
    """Whether greedy decoding under a repetition penalty gives each case's answer."""
    order = sorted(range(len(cases)), key=lambda i: len(cases[i].prompt) + len(cases[i].answer))
    right = [False] * len(cases)
    for start in range(0, len(order), 64):
        chosen = order[start : start + 64]
        rows = [torch.tensor(cases[i].prompt + cases[i].answer) for i in chosen]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_ID)
        hidden = model(ids)
        for row, i in enumerate(chosen):
            first, end = len(cases[i].prompt), len(cases[i].prompt) + len(cases[i].answer)
            logits = model.logits(hidden[row, first - 1 : end - 1])
            if penalty != 1.0:
                logits = penalise(logits, ids[row], first, penalty)
            right[i] = bool((logits.argmax(-1) == ids[row, first:end]).all())
    return right


def penalise(logits: Tensor, ids: Tensor, first: int, penalty: float) -> Tensor:
    """Apply the penalty of all tokens before each position; `logits[0]` predicts position `first`."""
    out = logits.clone()
    for i in range(len(out)):
        seen = ids[: first + i].unique()
        values = out[i, seen]
        out[i, seen] = torch.where(values > 0, values / penalty, values * penalty)
    return out


@torch.no_grad()
def generate(model: Bloom, tokenizer: Tokenizer, prompt: Sequence[int], n_tokens: int = 48) -> str:
    """Greedy continuation of a prompt, without a cache: only for the few answers that are looked at."""
    ids = list(prompt)
    for _ in range(n_tokens):
        token = int(model.logits(model(torch.tensor([ids]))[0, -1]).argmax())
        if token == EOS_ID:
            break
        ids.append(token)
    text: str = tokenizer.decode(ids[len(prompt) :])
    return text


def report_training(model: Bloom, tokenizer: Tokenizer, dialogues: Sequence[Dialogue]) -> None:
    """Log the share of exact answers on everything that was trained on."""
    cases: dict[str, list[Case]] = defaultdict(list)
    for d in dialogues:
        kind = "sums" if d.topic == "sum" else "questions" if len(d.turns) == 1 else "multi-turn"
        if len(d.turns) == 1:
            cases[kind] += [case_of(tokenizer, [(q, d.turns[0].answer)]) for q in d.turns[0].questions]
        else:
            turns = [(turn.questions[0], turn.answer) for turn in d.turns]
            cases[kind] += [case_of(tokenizer, turns[: i + 1]) for i in range(len(turns))]
    for kind, group in cases.items():
        for penalty in (1.0, REPETITION_PENALTY):
            right = sum(exact(model, group, penalty))
            log.info("training %s, penalty %.1f: %d of %d exact", kind, penalty, right, len(group))


def report_probes(model: Bloom, tokenizer: Tokenizer, probes: Sequence[Probe], *, misses: bool) -> None:
    """Log the share of right answers on held-back questions, by language and (with `misses`) by topic."""
    cases = [case_of(tokenizer, [(probe.question, probe.answer)]) for probe in probes]
    plain = exact(model, cases)
    strict = exact(model, cases, REPETITION_PENALTY) if misses else plain
    tally: dict[str, list[bool]] = defaultdict(list)
    for probe, one, other in zip(probes, plain, strict, strict=True):
        tally[f"{probe.exam} {probe.lang}"].append(one)
        if misses:
            tally[f"{probe.exam} {probe.lang} penalty {REPETITION_PENALTY}"].append(other)
            tally[f"topic {probe.lang} {probe.topic}"].append(one)
    for name, results in sorted(tally.items()):
        log.info(
            "held back, %s: %d of %d (%.1f %%)",
            name,
            sum(results),
            len(results),
            100 * sum(results) / len(results),
        )
    if misses:
        for probe, case, right in zip(probes, cases, plain, strict=True):
            if not right:
                log.info(
                    "miss %s: %s -> %s", probe.id, probe.question, generate(model, tokenizer, case.prompt)
                )
