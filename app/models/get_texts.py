"""What getting a model means, in words: what comes over the network, what stays, what is needed besides."""

from __future__ import annotations

from app.i18n import Texts
from app.models.fit_texts import fit_sentence
from app.models.offers import Offer, Option


def sizes_text(option: Option, texts: Texts) -> str:
    """For a row: `28.30 GB → 4.67 GB`."""
    download, result = option.download_bytes, option.result_bytes
    if download is None:
        return (
            texts.text("get.sizes.unknown") if result is None else texts.text("get.sizes.kept", kept=result)
        )
    if result is None or result == download:
        return texts.text("get.sizes.same", download=download)
    key = "get.sizes.about" if option.is_estimate else "get.sizes.both"
    return texts.text(key, download=download, kept=result)


def sizes_sentence(option: Option, texts: Texts) -> str:
    """What is downloaded and what stays on the disk."""
    download, result = option.download_bytes, option.result_bytes
    if download is None:
        if result is None:
            return texts.text("get.sentence.unknown")
        return texts.text("get.sentence.kept", kept=result)
    if result is None or result == download:
        return texts.text("get.sentence.same", download=download)
    key = "get.sentence.about" if option.is_estimate else "get.sentence.both"
    return texts.text(key, download=download, kept=result)


def disk_sentence(option: Option, free_bytes: int | None, texts: Texts) -> str:
    """Whether there is room for it; "" where that can't be told."""
    size = option.result_bytes if option.result_bytes is not None else option.download_bytes
    if size is None or free_bytes is None:
        return ""
    key = "get.disk.enough" if size <= free_bytes else "get.disk.short"
    return texts.text(key, needed=size, free=free_bytes)


def is_disk_short(option: Option, free_bytes: int | None) -> bool:
    """Whether there is not enough room for it."""
    size = option.result_bytes if option.result_bytes is not None else option.download_bytes
    return size is not None and free_bytes is not None and size > free_bytes


def needs_text(offer: Offer, texts: Texts) -> str:
    """What a person must have; "" where it is nothing."""
    return texts.text("get.needs_key", file=offer.key) if offer.key else ""


def none_fits_text(offer: Offer | None, texts: Texts) -> str:
    """Why nothing is recommended; offer: the one that takes the least."""
    if offer is None or offer.fit is None:
        return texts.text("get.none_fits")
    free = offer.fit.free_bytes or 0
    sentence = texts.text(
        "get.none_fits.numbers", name=offer.model.name, needed=offer.fit.need.total, free=free
    )
    if offer.fit.smaller_context is not None:
        advice = texts.text("get.none_fits.context", n=offer.fit.smaller_context)
    else:
        advice = texts.text("get.none_fits.advice")
    return two_sentences(sentence, advice, texts)


def reason_text(offer: Offer, texts: Texts) -> str:
    """Why this one is recommended for this machine."""
    about = offer.model.about.in_language(texts.language)
    return two_sentences(about, fit_sentence(offer.fit, texts), texts)


def two_sentences(first: str, second: str, texts: Texts) -> str:
    """One after the other, with a blank between them where the language has one."""
    return texts.text("get.two_sentences", first=first, second=second)
