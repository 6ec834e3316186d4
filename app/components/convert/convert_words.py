"""What the conversion screen says: forms, prompt formats and gaps in words."""

from __future__ import annotations

from app.components.work.job_text import error_text
from app.i18n import Texts, catalog
from app.models.inspection import CheckpointFacts, Need
from app.models.local_texts import family_name, parameters_text
from convert.errors import AdapterTokenizerMissing, GptqConfigMissing
from convert.forms import ENCRYPTED, FORMS, LORA

_PLUS = {ENCRYPTED.label: "convert.form.plus_encrypted", LORA.label: "convert.form.plus_lora"}
_KNOWN_BASE = "BelleGroup/BELLE-7B-2M"


def need_text(need: Need, texts: Texts) -> str:
    """What is missing, why, and where to get it."""
    if need.kind == "files":
        return error_text(need.gap, texts) if need.gap is not None else ""
    if need.kind == "base":
        base = getattr(need.gap, "base", "") or "?"
        return texts.text("convert.need.base_of" if base != "?" else "convert.need.base", base=base)
    if need.kind == "config" and isinstance(need.gap, GptqConfigMissing):
        return texts.text("convert.need.config_gptq", repo=_KNOWN_BASE)
    if isinstance(need.gap, AdapterTokenizerMissing):
        return error_text(need.gap, texts)
    if need.kind == "tokenizer":
        expected = getattr(need.gap, "expected", "tokenizer.json / tokenizer.model")
        return texts.text("convert.need.tokenizer", expected=expected, repo=_KNOWN_BASE)
    return texts.text(f"convert.need.{need.kind}")


def what_text(facts: CheckpointFacts, texts: Texts) -> str:
    """One sentence: family, size and form."""
    return texts.text(
        "convert.what",
        family=family_name(facts.family),
        parameters=parameters_text(facts.n_parameters, texts),
        form=form_text(facts.form, texts),
    )


def form_text(form: str, texts: Texts) -> str:
    """A checkpoint's form as `convert.forms` labels it, in words: what it is, and what comes with it."""
    first, *others = form.split(" + ")
    words = first
    for key, known in FORMS.items():
        if first.startswith(known.label):
            words = texts.text(f"convert.form.{key}")
            details = first.removeprefix(known.label).strip(" ,")
            for detail in details.split(", ") if details else ():
                words = texts.text("convert.form.with_detail", form=words, detail=detail)
    for other in others:
        plus = _PLUS.get(other)
        words = texts.text(plus, form=words) if plus is not None else words
    return words


def prompt_text(name: str, texts: Texts) -> str:
    """A prompt format, as `convert.prompt_choice` or the engine names it."""
    key = f"convert.prompt.{name}"
    return texts.text(key) if key in catalog().keys(texts.language) else name


def reason_text(facts: CheckpointFacts, texts: Texts) -> str:
    """Why its prompt format was chosen."""
    return texts.text(f"convert.reason.{facts.prompt_reason}", place=facts.prompt_place)
