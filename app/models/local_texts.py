"""What a model on this disk is, in words: one plain sentence for the list, and every detail.

Takes what `engine.models.listing` tells and the catalog's entry; knows no screen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from app.i18n import Texts, window_size
from app.models.fit_texts import fit_sentence
from app.models.local_shelf import ShelfRow
from convert.arch import family_title
from engine.models.header_summary import HeaderSummary
from engine.prompt import PROMPT_FORMATS

# Of the families that only come as GGUF.
_OTHER_FAMILIES = {"baichuan": "Baichuan"}
_FORMAT_NAMES = {
    **{"belle": "BELLE", "belle-card": "BELLE-card", "belle-llama": "BELLE-LLaMA", "chatml": "ChatML"},
    **{"llama3": "Llama 3", "llama2": "Llama 2", "gemma": "Gemma", "phi3": "Phi-3", "mistral": "Mistral"},
    **{"zephyr": "Zephyr", "deepseek": "DeepSeek"},
}
_UNKNOWN_TYPE = "?"


@dataclass(frozen=True, slots=True)
class Detail:
    """One line of the details. is_path: worth copying."""

    label: str
    value: str
    is_path: bool = False


def about_text(row: ShelfRow, texts: Texts) -> str:
    """One sentence: the catalog's where it is known there, else what the header says; "" where neither."""
    summary = row.model.summary
    if row.entry is not None:
        about = row.entry.about.in_language(texts.language)
        if summary is None or summary.quantization == _UNKNOWN_TYPE:
            return about
        return texts.text("library.about.entry", about=about, type=summary.quantization)
    if summary is None:
        return ""
    return texts.text(
        "library.about.typed" if summary.quantization != _UNKNOWN_TYPE else "library.about.plain",
        family=family_name(summary.architecture),
        parameters=parameters_text(summary.n_parameters, texts),
        type=summary.quantization,
        prompt=prompt_text(row.model.prompt_format or summary.prompt_format, texts),
    )


def family_name(architecture: str) -> str:
    """As people write it."""
    return _OTHER_FAMILIES.get(architecture) or family_title(architecture)


def parameters_text(n_parameters: int, texts: Texts) -> str:
    """`7.07 billion parameters`, in the units of the language."""
    units = (
        ((100_000_000, "hundred_million"), (10_000, "ten_thousand"))
        if texts.language == "zh-CN"
        else ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"))
    )
    for size, name in units:
        if n_parameters >= size:
            return texts.text(f"library.parameters.{name}", n=_short(n_parameters / size))
    return texts.text("library.parameters.plain", n=n_parameters)


def prompt_text(prompt_format: str, texts: Texts) -> str:
    """How questions are put to it."""
    if prompt_format in ("template", "base"):
        return texts.text(f"library.prompt.{prompt_format}")
    if prompt_format not in PROMPT_FORMATS and Path(prompt_format).is_absolute():
        return texts.text("library.prompt.own_template", name=Path(prompt_format).name)
    return texts.text("library.prompt.named", name=format_name(prompt_format))


def format_name(prompt_format: str) -> str:
    """A format as its makers write its name."""
    return _FORMAT_NAMES.get(prompt_format, prompt_format)


def used_text(used_at: float | None, texts: Texts, now: float | None = None) -> str:
    """When it was last used, by the calendar of this place."""
    if used_at is None:
        return texts.text("library.used.never")
    day = date.fromtimestamp(used_at)
    n_days = (date.fromtimestamp(time.time() if now is None else now) - day).days
    if n_days <= 0:
        return texts.text("library.used.today")
    if n_days == 1:
        return texts.text("library.used.yesterday")
    if n_days < 7:
        return texts.text("library.used.days", n=n_days)
    return texts.text("library.used.on", date=day.isoformat())


def place_text(row: ShelfRow, texts: Texts) -> str:
    """Where it is, in two or three words."""
    return texts.text(f"library.place.{row.model.place}")


def problem_text(row: ShelfRow, texts: Texts) -> str | None:
    """Why it can't be used."""
    return texts.error(row.model.problem) if row.model.problem else None


def facts(row: ShelfRow, texts: Texts) -> tuple[str, ...]:
    """Size, licence, place and use: what stands below the sentence."""
    known = [window_size(row.model.size_bytes)]
    if license_id := license_of(row):
        known.append(license_id)
    known += [place_text(row, texts), used_text(row.model.used_at, texts)]
    return tuple(known)


def matches(row: ShelfRow, wanted: str, texts: Texts) -> bool:
    """Whether every word of `wanted` is in what the list says of the model, or in its path."""
    said = [row.model.name, about_text(row, texts), *facts(row, texts), row.model.source or ""]
    said += [str(part) for part in row.model.parts]
    everything = " ".join(said).casefold()
    return all(word in everything for word in wanted.casefold().split())


def license_of(row: ShelfRow) -> str | None:
    """The licence's name, from the record, the file or the catalog."""
    return row.model.license or (row.entry.license if row.entry is not None else None)


def details(row: ShelfRow, texts: Texts, moved_from: Path | None = None) -> tuple[Detail, ...]:
    """All that is known, in the order to show it; what is not known is left out."""
    model, summary = row.model, row.model.summary
    lines: list[tuple[str, str | None, bool]] = [
        ("problem", problem_text(row, texts), False),
        ("about", about_text(row, texts) or None, False),
        ("fit", fit_sentence(row.fit, texts) if row.fit is not None else None, False),
        ("size_bytes", window_size(model.size_bytes), False),
        *_header_lines(summary, texts),
        ("prompt_format", prompt_text(model.prompt_format, texts) if model.prompt_format else None, False),
        ("license", license_of(row), False),
        ("source", model.source, model.source is not None),
        ("added", _day(model.added_at), False),
        ("used", used_text(model.used_at, texts), False),
        ("sha256", model.sha256 or texts.text("library.sha256.unknown"), model.sha256 is not None),
        ("expected", _expectation(row, texts), False),
        ("place", place_text(row, texts), False),
        ("moved_from", str(moved_from) if moved_from else None, False),
    ]
    found = [
        Detail(texts.text(f"library.field.{name}"), value, is_path) for name, value, is_path in lines if value
    ]
    label = texts.text("library.field.files" if row.is_split else "library.field.path")
    return (*found, *(Detail(label, str(part), is_path=True) for part in model.parts))


def _header_lines(summary: HeaderSummary | None, texts: Texts) -> list[tuple[str, str | None, bool]]:
    if summary is None:
        return []
    context = texts.text("library.context", n=summary.footprint.shape.trained_context_tokens)
    return [
        ("title", summary.title or None, False),
        ("architecture", family_name(summary.architecture), False),
        ("n_parameters", parameters_text(summary.n_parameters, texts), False),
        ("quantization", summary.quantization if summary.quantization != _UNKNOWN_TYPE else None, False),
        ("context", context, False),
    ]


def _expectation(row: ShelfRow, texts: Texts) -> str | None:
    """Whether the hash is what it should be."""
    model = row.model
    if model.sha256 is None or model.expected_sha256 is None:
        return None
    return texts.text(
        "library.sha256.same" if model.sha256 == model.expected_sha256 else "library.sha256.other"
    )


def _day(seconds: float | None) -> str | None:
    return date.fromtimestamp(seconds).isoformat() if seconds is not None else None


def _short(number: float) -> str:
    """Three digits: 7.07, 70.7, 1,090."""
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"
