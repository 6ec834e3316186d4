"""What is offered when a model could not be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import flet as ft
import pytest

from app.components.chat.load_failure import LoadFailure
from app.i18n import WindowTexts
from app.views.context import ViewContext
from convert.i18n import LANGUAGES, Language
from engine.errors import ModelFileMissing, NotEnoughMemory

PATH = Path("/模型/belle.gguf")


class _Context:
    """As much of a `ViewContext` as the card needs."""

    def __init__(self, language: Language) -> None:
        self.texts = WindowTexts(language)
        self.t = self.texts.text

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler


def card(language: Language, pressed: list[str]) -> LoadFailure:
    return LoadFailure(
        cast(ViewContext, _Context(language)),
        on_demo=lambda: pressed.append("demo"),
        on_again=lambda: pressed.append("again"),
        on_smaller_context=lambda n: pressed.append(str(n)),
        on_anyway=lambda: pressed.append("anyway"),
    )


def shown(control: Any) -> list[Any]:
    """All controls that can be seen, parents first."""
    if not isinstance(control, ft.Control) or not control.visible:
        return []
    inside = [getattr(control, "content", None), *(getattr(control, "controls", None) or ())]
    return [control, *(found for each in inside for found in shown(each))]


def texts(failure: LoadFailure) -> str:
    """Everything that is written on it."""
    found = []
    for control in shown(failure):
        content = getattr(control, "content", None)
        found += [value for value in (getattr(control, "value", None), content) if isinstance(value, str)]
    return "\n".join(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_does_not_fit_can_be_loaded_anyway_with_a_warning(language: Language) -> None:
    pressed: list[str] = []
    failure = card(language, pressed)
    failure.show(NotEnoughMemory(PATH, 8_000_000_000, 1_000_000_000, 2048, 512), offers_demo=True)

    label = {"zh-CN": "仍要加载", "en": "Load anyway"}[language]
    button = next(
        each for each in shown(failure) if isinstance(each, ft.TextButton) and each.content == label
    )
    button.on_click()  # type: ignore[call-arg, misc, operator]
    assert pressed == ["anyway"]
    assert {"zh-CN": "非常慢", "en": "very slow"}[language] in texts(failure)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_failed_for_another_reason_can_not(language: Language) -> None:
    failure = card(language, [])
    failure.show(NotEnoughMemory(PATH, 8, 1, 2048, None), offers_demo=True)
    failure.show(ModelFileMissing(PATH, "gone"), offers_demo=True)

    assert PATH.name in texts(failure)
    assert all(word not in texts(failure) for word in ("仍要加载", "Load anyway", "非常慢", "very slow"))
    failure.show(None, offers_demo=True)
    assert texts(failure) == ""
