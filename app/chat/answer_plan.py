"""How the next answer is made: persona, system text, sampling and model, from three places.

A conversation's own overrides win over its persona, and that over the settings. Knows no engine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from app.chat.choices import DEMO, ModelChoice, find_choice
from app.demo_model import DEMO_SAMPLING
from app.errors import AppError
from app.history.records import Origin, Overrides
from app.home import Home
from app.personas import Persona, PersonaStore
from app.settings import Settings, SettingsStore
from convert.i18n import Language, system_language
from engine.types import ModelInfo, Sampling

_log = logging.getLogger(__name__)


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
    sampling = _with_thinking(_sampling(settings, persona, overrides, is_demo), overrides)
    return AnswerPlan(persona, system, sampling)


def _sampling(settings: Settings, persona: Persona, overrides: Overrides, is_demo: bool) -> Sampling:
    """The demo answers with its own unless the conversation says otherwise.

    A persona with the app's default sampling says nothing about it: the settings apply then.
    """
    if overrides.sampling is not None:
        return overrides.sampling
    chosen = settings.sampling if persona.sampling == Settings().sampling else persona.sampling
    return replace(DEMO_SAMPLING, max_tokens=chosen.max_tokens) if is_demo else chosen


def _with_thinking(sampling: Sampling, overrides: Overrides) -> Sampling:
    """What the conversation says of thoughts goes with any sampling."""
    return replace(
        sampling,
        thinking=overrides.thinking or sampling.thinking,
        thought_budget=overrides.thought_budget or sampling.thought_budget,
    )


class Planner:
    """Looks up what is in effect for a conversation's overrides, anew each time."""

    def __init__(
        self, home: Home, settings: SettingsStore, personas: PersonaStore, language: Language | None
    ) -> None:
        """language: of the presets where the settings follow the system; None asks the system."""
        self._home = home
        self._settings = settings
        self._personas = personas
        self._language = language or system_language()

    def choice(self, overrides: Overrides) -> ModelChoice:
        """The conversation's model, where it is (still) there; otherwise the one in the settings."""
        if overrides.model is not None:
            try:
                return find_choice(overrides.model, self._home)
            except AppError:
                _log.info("the conversation's model %s is not there", overrides.model)
        try:
            return find_choice(self._settings.settings.default_model, self._home)
        except AppError:
            return DEMO

    def plan(self, overrides: Overrides, choice: ModelChoice) -> AnswerPlan:
        """Persona, system text and sampling for an answer of that model."""
        settings = self._settings.settings
        language = self._language if settings.language == "system" else settings.language
        persona = self._personas.get(overrides.persona or settings.persona, language)
        return plan_answer(settings, persona, overrides, is_demo=choice.is_demo)
