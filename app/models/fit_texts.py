"""How a model does on this machine, in words: two or three for a badge, and a sentence with the numbers."""

from __future__ import annotations

from app.i18n import Texts
from engine.models.fit import Fit, Verdict


def fit_word(fit: Fit | None, texts: Texts) -> str:
    """For a badge: `runs well`; where nothing is known, that."""
    return texts.text(f"fit.{_verdict(fit)}")


def fit_sentence(fit: Fit | None, texts: Texts) -> str:
    """The verdict with what is needed and free, and what to choose where it does not fit."""
    if fit is None:
        return texts.text("fit.unknown.sentence")
    need = fit.need.total
    if fit.free_bytes is None:
        return texts.text("fit.need", verdict=_as_type(fit, texts), needed=need)
    numbers = {"needed": need, "free": fit.free_bytes}
    if fit.verdict is not Verdict.NO:
        return texts.text(f"fit.{fit.verdict.value}.sentence", verdict=_as_type(fit, texts), **numbers)
    sentence = texts.text("fit.no.sentence", **numbers)
    return texts.text("fit.no.advice", sentence=sentence, advice=_advice(fit, texts))


def _advice(fit: Fit, texts: Texts) -> str:
    if fit.quantization is not None:
        return texts.text("fit.choose_type", type=fit.quantization)
    if fit.smaller_context is not None:
        return texts.text("fit.choose_context", n=fit.smaller_context)
    return texts.text("fit.choose_other")


def _as_type(fit: Fit, texts: Texts) -> str:
    """The verdict, with the type it is for where there are several."""
    if fit.quantization is None:
        return texts.text(f"fit.{fit.verdict.value}.here")
    return texts.text(f"fit.{fit.verdict.value}.here_as", type=fit.quantization)


def _verdict(fit: Fit | None) -> str:
    return fit.verdict.value if fit is not None else "unknown"
