"""The numbers under an answer: speed, tokens, and the model and settings that made it. Text only."""

from __future__ import annotations

from app.history.records import Origin, Status, StoredMessage
from app.i18n import Texts
from engine.types import Sampling, Statistics


def summary_line(message: StoredMessage, texts: Texts) -> str:
    """The numbers that matter most, on one line; "" where nothing was measured."""
    statistics = message.statistics
    if statistics is None or statistics.generated_tokens == 0:
        return ""
    parts = [
        texts.text("chat.details.speed", rate=statistics.tokens_per_s),
        texts.text("chat.details.tokens", n=statistics.generated_tokens),
    ]
    if statistics.first_token_s is not None:
        parts.insert(1, texts.text("chat.details.first_token", seconds=statistics.first_token_s))
    return " · ".join(parts)


def detail_rows(message: StoredMessage, texts: Texts) -> list[tuple[str, str]]:
    """Everything known about how an answer was made, as name and value."""
    rows: list[tuple[str, str]] = []
    if message.statistics is not None:
        rows += _statistics_rows(message.statistics, texts)
    if message.origin is not None:
        rows += _origin_rows(message.origin, texts)
    return rows or [(texts.text("chat.details.none_name"), texts.text("chat.details.none"))]


def _statistics_rows(statistics: Statistics, texts: Texts) -> list[tuple[str, str]]:
    t = texts.text
    rows = [(t("chat.details.speed_name"), t("chat.details.speed", rate=statistics.tokens_per_s))]
    if statistics.first_token_s is not None:
        rows.append(
            (t("chat.details.first_token_name"), t("chat.details.seconds", seconds=statistics.first_token_s))
        )
    if statistics.thought_tokens:
        thought = t("chat.details.thought", n=statistics.thought_tokens, seconds=statistics.thought_s)
        rows.append((t("chat.details.thought_name"), thought))
    n_new = statistics.prompt_tokens - statistics.reused_tokens
    rows.append((t("chat.details.answer_name"), t("chat.details.tokens", n=statistics.generated_tokens)))
    rows.append(
        (
            t("chat.details.prompt_name"),
            t("chat.details.prompt", n=statistics.prompt_tokens, new=n_new),
        )
    )
    rows.append(
        (
            t("chat.details.context_name"),
            t("chat.details.context", used=statistics.context_used, size=statistics.context_tokens),
        )
    )
    if statistics.forgotten_turns:
        rows.append((t("chat.details.forgotten_name"), str(statistics.forgotten_turns)))
    rows.append((t("chat.details.seed_name"), str(statistics.seed)))
    return rows


def _origin_rows(origin: Origin, texts: Texts) -> list[tuple[str, str]]:
    t = texts.text
    model = f"{origin.model} ({origin.quantization})" if origin.quantization else origin.model
    rows = [(t("chat.details.model_name"), model)]
    if origin.prompt_format:
        rows.append((t("chat.details.format_name"), origin.prompt_format))
    if origin.system:
        rows.append((t("chat.sampling.system_name"), origin.system))
    if origin.sampling is not None:
        rows.append((t("chat.details.settings_name"), sampling_text(origin.sampling, texts)))
    return rows


def sampling_text(sampling: Sampling, texts: Texts) -> str:
    """The settings that shape an answer, on one line: the usual ones, and others that are on."""
    off = Sampling(min_p=0.0)
    always = ("temperature", "top_k", "top_p")
    others = ("min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "max_tokens")
    shown = (*always, *(name for name in others if getattr(sampling, name) != getattr(off, name)))
    return ", ".join(f"{texts.text(f'settings.{name}')} {getattr(sampling, name):g}" for name in shown)


def cut_off_text(message: StoredMessage, texts: Texts, *, can_go_on: bool = True) -> str:
    """Why an answer ends before its end, and for the two limits which of them it was; what to do instead
    where it can't go on."""
    if not can_go_on:
        return texts.text("chat.answer.full")
    statistics = message.statistics
    is_full = statistics is not None and statistics.context_used >= statistics.context_tokens
    if message.status is Status.LENGTH and is_full:
        return texts.text("chat.answer.context")
    return texts.text(f"chat.answer.{message.status.value}")
