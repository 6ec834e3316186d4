"""How the next answer is made: persona, system text, sampling and model.

A conversation's own overrides win over its persona, that over what the person set for the model, and that
over what the model itself wants. Knows no engine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from app.chat.choices import DEMO, ModelChoice, find_choice
from app.demo_model import DEMO_SAMPLING
from app.errors import AppError
from app.history.records import Origin, Overrides
from app.home import Home
from app.model_values import ModelValues
from app.personas import Persona, PersonaStore
from app.settings import SettingsStore
from convert.i18n import Language, system_language
from engine.models.model_sampling import ModelSampling, resolve_for
from engine.partial_sampling import NOTHING, PartialSampling, ResolvedSampling
from engine.prompt import TEMPLATE
from engine.types import ModelInfo, Sampling

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What an answer is made with; `persona` is the one in effect."""

    persona: Persona
    system: str
    resolved: ResolvedSampling

    @property
    def sampling(self) -> Sampling:
        """The settled values."""
        return self.resolved.sampling

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


def _said_by(overrides: Overrides) -> PartialSampling:
    """What the conversation says of thoughts goes with any other values, and with none."""
    said = overrides.sampling or NOTHING
    return replace(
        said,
        thinking=overrides.thinking or said.thinking,
        thought_budget=overrides.thought_budget or said.thought_budget,
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
        self._values = ModelValues()

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
        """Persona, system text and sampling for an answer of that model; reads its header, once."""
        settings = self._settings.settings
        language = settings.language_on(self._language)
        persona = self._personas.get(overrides.persona or settings.persona, language)
        system = persona.system if overrides.system is None else overrides.system
        resolved = self.sampling(
            choice,
            conversation=_said_by(overrides),
            # The demo was made to be asked in one way; a persona for real models could only distort it.
            persona=NOTHING if choice.is_demo else persona.sampling,
            own=settings.sampling_of(choice.key),
        )
        return AnswerPlan(persona, system, resolved)

    def sampling(
        self,
        choice: ModelChoice,
        *,
        conversation: PartialSampling = NOTHING,
        persona: PartialSampling = NOTHING,
        own: PartialSampling = NOTHING,
    ) -> ResolvedSampling:
        """The settled values for answers of that model. own: what the person set for it."""
        return resolve_for(self._model_sampling(choice), conversation=conversation, persona=persona, own=own)

    def _model_sampling(self, choice: ModelChoice) -> ModelSampling:
        if choice.path is None or choice.is_demo:
            return DEMO_SAMPLING
        settings = self._settings.settings
        chosen, load = settings.prompt_format_of(choice.key), settings.load
        if chosen is not None:  # what a template of one's own says does not matter for sampling
            name = chosen if isinstance(chosen, str) else TEMPLATE
            load = replace(load, prompt_format=name, chat_template=None)
        return self._values.of_file(choice.path, load)
