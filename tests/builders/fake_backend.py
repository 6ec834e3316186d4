"""A `Backend` without a model: it says what it is told, records what it is asked, and can be slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.backend import Progress, untold
from engine.errors import EngineError
from engine.types import (
    Event,
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    ModelInfo,
    Sampling,
    Statistics,
    ThoughtChunk,
    TokenChunk,
)

INFO = ModelInfo(
    path="假模型.gguf",
    name="fake",
    architecture="bloom",
    quantization="Q8_0",
    n_parameters=6_300_000,
    size_bytes=7_000_000,
    n_vocab=400,
    trained_context_tokens=2048,
    context_tokens=1024,
    n_threads=2,
    prompt_format="belle",
    vocabulary="00",
)


class FakeBackend:
    """Answers with `answers` in turn, then with an echo; an `EngineError` among them is raised.

    thoughts: what is thought before the answers, in turn. info: of what is loaded.
    """

    def __init__(
        self,
        answers: Sequence[Sequence[str] | EngineError] = (),
        *,
        delay_s: float = 0.0,
        reason: FinishReason = FinishReason.END,
        forgotten_turns: Sequence[int] = (),
        thoughts: Sequence[Sequence[str]] = (),
        info: ModelInfo = INFO,
    ) -> None:
        self.asked: list[tuple[list[Message], Sampling]] = []
        self.loaded: list[tuple[Path, LoadOptions]] = []
        self.is_loaded = False
        self._answers = list(answers)
        self._delay_s = delay_s
        self._reason = reason
        self._forgotten = list(forgotten_turns)
        self._thoughts = list(thoughts)
        self._info = info
        self._cancelled = threading.Event()

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        progress(0.5)
        self.loaded.append((path, options))
        self.is_loaded = True
        return self._info

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        self._cancelled.clear()
        self.asked.append((list(messages), sampling))
        answer = self._answers.pop(0) if self._answers else [f"echo: {messages[-1].text}"]
        if isinstance(answer, EngineError):
            raise answer
        thoughts = self._thoughts.pop(0) if self._thoughts else ()
        begun = messages[-1] if messages[-1].role == "assistant" else Message("assistant", "")
        said: dict[type[Event], str] = {ThoughtChunk: begun.thought, TokenChunk: begun.text}
        reason = self._reason
        for chunk in (*map(ThoughtChunk, thoughts), *map(TokenChunk, answer)):
            if self._cancelled.wait(self._delay_s):
                reason = FinishReason.CANCELLED
                break
            said[type(chunk)] += chunk.text
            yield chunk
        message = Message("assistant", said[TokenChunk], thought=said[ThoughtChunk])
        yield Finished(reason, message, self._statistics(len(answer), len(thoughts)))

    def cancel(self) -> None:
        self._cancelled.set()

    def unload(self) -> None:
        self.is_loaded = False

    def _statistics(self, n_chunks: int, n_thoughts: int) -> Statistics:
        n_generated = n_chunks + n_thoughts
        return Statistics(
            prompt_tokens=12,
            reused_tokens=4,
            generated_tokens=n_generated,
            prompt_s=0.5,
            generation_s=0.25,
            first_token_s=0.6,
            context_used=12 + n_generated,
            context_tokens=1024,
            forgotten_turns=self._forgotten.pop(0) if self._forgotten else 0,
            seed=7,
            thought_tokens=n_thoughts,
            thought_s=0.125 * n_thoughts,
        )
