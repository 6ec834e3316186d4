"""A self-test's report, as a block of text to paste anywhere and as JSON; both without private data.

What a path says of the person is taken out here, at the end, so that no check can forget it.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.i18n import Texts
from app.self_test.steps import Report, StepEnded
from convert.i18n import size_text

_SIZES = ("memory", "memory_available", "data_free")
_PLACEHOLDER = "USER"


def report_text(report: Report, texts: Texts) -> str:
    """Headline, steps and facts, a line each; without a newline at the end."""
    lines = [headline(report, texts), ""]
    for step in report.steps:
        lines += step_lines(step, texts)
    lines.append("")
    for name, value in report.facts.items():
        lines.append(f"{texts.text(f'self-test.fact.{name}')}: {_fact_text(name, value, texts)}")
    return without_private("\n".join(lines).rstrip())


def headline(report: Report, texts: Texts) -> str:
    """Whether all is well, in one sentence."""
    if report.is_ok:
        n_skipped = sum(step.state == "skipped" for step in report.steps)
        key = "self-test.all_ok" if not n_skipped else "self-test.ok_but_skipped"
        return texts.text(key, n=len(report.steps) - n_skipped, skipped=n_skipped)
    names = tuple(texts.text(f"self-test.step.{step.name}") for step in report.failed)
    return texts.text("self-test.some_failed", n=len(names), total=len(report.steps), names=names)


def step_lines(step: StepEnded, texts: Texts) -> list[str]:
    """How a step ended: one line, and what to do on another one where it failed."""
    title, state = texts.text(f"self-test.step.{step.name}"), texts.text(f"self-test.state.{step.state}")
    line = f"[{state}] {title} ({step.milliseconds} ms): {step.detail}"
    return [line, f"    {step.advice}"] if step.advice else [line]


def report_document(report: Report) -> dict[str, Any]:
    """The same as JSON's types: `ok`, `steps` (name, state, milliseconds, detail, advice) and `facts`."""
    document = {
        "ok": report.is_ok,
        "steps": [asdict(step) for step in report.steps],
        "facts": report.facts,
    }
    cleaned: dict[str, Any] = _mapped(document, without_private)
    return cleaned


def without_private(text: str) -> str:
    """The text with the home folder as `~`, and the person's name in other paths as `USER`."""
    for folder in _home_folders():
        text = re.sub(rf"{re.escape(folder)}(?=$|[\W_])", lambda _match: "~", text)
    name = _user_name()
    if name:
        text = re.sub(rf"(?<=[/\\]){re.escape(name)}(?=$|[/\\\s:;,，。)])", _PLACEHOLDER, text)
    return text


def _home_folders() -> list[str]:
    """The home folder as it may be written, the longest first."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without one
        return []
    written = {str(home), home.as_posix(), os.path.realpath(home), str(home).replace("\\", "\\\\")}
    return sorted((folder for folder in written if len(folder) > 1), key=len, reverse=True)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody has this number
        return ""


def _fact_text(name: str, value: Any, texts: Texts) -> str:
    if value in (None, "", [], {}):
        return texts.text("self-test.unknown") if value is None else texts.text("self-test.none")
    if isinstance(value, bool):
        return texts.text("self-test.yes" if value else "self-test.no")
    if name in _SIZES:
        return size_text(value)
    if name == "installation":
        return texts.text(f"self-test.installation.{value}")
    if isinstance(value, dict):
        return _joined(f"{key} {item}" for key, item in value.items())
    return _joined(map(str, value)) if isinstance(value, list) else str(value)


def _joined(items: Iterable[str]) -> str:
    return ", ".join(items)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same structure with every text changed."""
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _mapped(item, change) for key, item in value.items()}
        case list() | tuple():
            return [_mapped(item, change) for item in value]
    return value
