"""What a self-test says: the steps in their order, and how each ended. Plain data that crosses processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "failed", "skipped"]

STEP_NAMES = ("temporary", "assets", "fonts", "engine", "demo", "convert", "history", "page", "network")
"""In the order they are taken; `self-test.step.<name>` is what people read."""

Facts = dict[str, Any]
"""What this copy and this machine are, made of JSON's types; `self-test.fact.<name>` is what people read."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step is under way."""

    name: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """How a step ended. detail: one sentence or line; advice: what to do, of failed ones only."""

    name: str
    state: State
    milliseconds: int
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole self-test. facts are empty where it ended before they were known."""

    facts: Facts = field(default_factory=dict)
    steps: tuple[StepEnded, ...] = ()

    @property
    def failed(self) -> tuple[StepEnded, ...]:
        """The steps that failed, in order."""
        return tuple(step for step in self.steps if step.state == "failed")

    @property
    def is_ok(self) -> bool:
        """Whether every step was taken or left out for a good reason."""
        return bool(self.steps) and not self.failed


class CheckFailed(Exception):  # noqa: N818 - what a step found, not a mistake of its own
    """A check found something wrong; its text is a sentence."""
