"""How the next answer is made: persona, system text, sampling and model, from three places.

A conversation's own overrides win over its persona, and that over the settings. Knows no engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.chat.choices import ModelChoice
from app.demo_model import DEMO_SAMPLING
from app.history.records import Origin, Overrides
from app.personas import Persona
from app.settings import Settings
from engine.types import ModelInfo, Sampling


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What an answer is made with; `persona` is the one in effect."""

    persona: Persona
    system: str
    sampling: Sampling

    def origin(self, info: ModelInfo, model: ModelChoice) -> Origin:
        """What is kept with the answer."""
        return Origin(
            model=model.name if model.is_demo else info.name or model.name,
            quantization=info.quantization,
            prompt_format=info.prompt_format,
            persona=self.persona.name,
            system=self.system,
            sampling=self.sampling,
        )


def plan_answer(settings: Settings, persona: Persona, overrides: Overrides, *, is_demo: bool) -> AnswerPlan:
    """Settle what is in effect; `persona` is the conversation's or the settings' one."""
    system = persona.system if overrides.system is None else overrides.system
    return AnswerPlan(persona, system, _sampling(settings, persona, overrides, is_demo))


def _sampling(settings: Settings, persona: Persona, overrides: Overrides, is_demo: bool) -> Sampling:
    """The demo answers with its own unless the conversation says otherwise.

    A persona with the app's default sampling says nothing about it: the settings apply then.
    """
    if overrides.sampling is not None:
        return overrides.sampling
    chosen = settings.sampling if persona.sampling == Settings().sampling else persona.sampling
    return replace(DEMO_SAMPLING, max_tokens=chosen.max_tokens) if is_demo else chosen
