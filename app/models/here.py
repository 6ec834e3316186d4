"""Whether what a person is about to get is on this disk already, so that it can be answered before it begins.

Looks at what is recorded of the models; reads no disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.models.hub_offers import HubOffer
from app.models.offers import Offer
from convert.recipes import AUTO
from engine.models.listing import LocalModel


def find_option(offer: Offer, option: str, here: Iterable[LocalModel]) -> LocalModel | None:
    """Of the models that came from a catalog's one, that which getting `option` would only make again."""
    if len(offer.options) < 2:
        return next(iter(here), None)
    return next((model for model in here if _is_option(offer, option, model)), None)


def _is_option(offer: Offer, option: str, model: LocalModel) -> bool:
    """By the type; what stays as it was published is named after its variant (`app.models.wishes`)."""
    if offer.keeps_its_type:
        return model.path.stem.casefold().startswith(f"{offer.model.name}-{option}".casefold())
    return model.summary is not None and model.summary.quantization == option


def find_from(source: str, local: Iterable[LocalModel]) -> LocalModel | None:
    """A sound model that was got from a repository, a file in one, or an address."""
    return next((model for model in local if model.problem is None and comes_from(model, source)), None)


def comes_from(model: LocalModel, source: str) -> bool:
    """Whether it came from there, or from a file in the repository of that name."""
    known, source = (model.source or "").casefold(), source.casefold()
    return known == source or known.startswith(f"{source}/")


def find_in_repository(
    repo: str, offer: HubOffer, target: str, local: Iterable[LocalModel]
) -> LocalModel | None:
    """The sound model that was got as this part of a repository; a checkpoint, as this type."""
    source = f"{repo}/{offer.path}" if offer.path else repo
    for model in local:
        if model.problem is not None or (model.source or "").casefold() != source.casefold():
            continue
        type_name = model.summary.quantization if model.summary is not None else ""
        if offer.kind == "gguf" or target in (AUTO, type_name):
            return model
    return None
