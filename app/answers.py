"""How an answer looks in a terminal: streamed text, one line of statistics, or one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from app.dialogue import Dialogue, DisplayText
from app.i18n import Texts
from app.interrupts import cancelling_on_interrupt
from app.terminal import Terminal
from engine.types import Event, Finished, FinishReason, ModelInfo, Statistics, TokenChunk


def stream_answer(dialogue: Dialogue, question: str, terminal: Terminal) -> Finished:
    """Show the answer as it is made, with a newline at its end; Ctrl-C ends it early.

    Raises what the engine raises, and OutputClosed.
    """
    display = DisplayText()
    try:
        for event in _events(dialogue, question):
            if isinstance(event, TokenChunk):
                terminal.write(display.push(event.text))
    finally:
        if display.started:
            terminal.write_raw("\n")
    return _finished(dialogue)


def collect_answer(dialogue: Dialogue, question: str) -> Finished:
    """The whole answer at once; Ctrl-C ends it early. Raises what the engine raises."""
    for _ in _events(dialogue, question):
        pass
    return _finished(dialogue)


def _events(dialogue: Dialogue, question: str) -> Iterator[Event]:
    """The answer's events; the first Ctrl-C cancels, even one that came before the engine was listening."""
    with cancelling_on_interrupt(dialogue.cancel) as interruption, closing(dialogue.ask(question)) as events:
        for event in events:
            if interruption.requested:
                dialogue.cancel()
            yield event


def _finished(dialogue: Dialogue) -> Finished:
    if dialogue.last is None:
        raise RuntimeError("the engine ended an answer without saying so")
    return dialogue.last


def answer_document(info: ModelInfo, finished: Finished, *, is_demo: bool) -> dict[str, object]:
    """`{"answer", "reason", "model": {...}, "statistics": {...}}` for JSON; seconds, bytes and tokens."""
    statistics = finished.statistics
    model = asdict(info)
    del model["vocabulary"]
    return {
        "answer": finished.message.text.strip(),
        "reason": finished.reason.value,
        "model": {**model, "demo": is_demo},
        "statistics": {
            **asdict(statistics),
            "prompt_tokens_per_s": statistics.prompt_tokens_per_s,
            "tokens_per_s": statistics.tokens_per_s,
        },
    }


def summary_line(texts: Texts, model_name: str, statistics: Statistics) -> str:
    """The numbers most people want, in one line."""
    return texts.text(
        "answer.summary",
        model=model_name,
        tokens=statistics.generated_tokens,
        speed=statistics.tokens_per_s,
        first_token=statistics.first_token_s or 0.0,
        used=statistics.context_used,
        size=statistics.context_tokens,
    )


def statistics_lines(texts: Texts, statistics: Statistics) -> list[str]:
    """All numbers, a line each."""
    values = {**asdict(statistics), "first_token_s": statistics.first_token_s or 0.0}
    speeds = {
        "prompt_tokens_per_s": statistics.prompt_tokens_per_s,
        "tokens_per_s": statistics.tokens_per_s,
    }
    keys = ("prompt", "generation", "first_token", "context", "forgotten", "seed")
    return [texts.text(f"statistics.{key}", **values, **speeds) for key in keys]


def remarks(texts: Texts, finished: Finished, n_forgotten_before: int = 0) -> list[str]:
    """What a person should know about this answer: it was cut, or the model no longer knows the beginning."""
    statistics = finished.statistics
    lines = []
    if statistics.forgotten_turns > n_forgotten_before:
        lines.append(
            texts.text("answer.forgotten", turns=statistics.forgotten_turns, size=statistics.context_tokens)
        )
    if finished.reason is FinishReason.LENGTH:
        lines.append(texts.text("answer.length", tokens=statistics.generated_tokens))
    elif finished.reason is FinishReason.CONTEXT:
        lines.append(texts.text("answer.context", size=statistics.context_tokens))
    return lines
