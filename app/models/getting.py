"""What getting a model makes on this machine: decided where a person leaves it open, told before it begins.

Over `find_get`, which looks at no disk. Asks no network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.models.acquire import Wish, output_name
from app.models.errands import Get, Import
from app.models.offers import Offer, make_offer
from app.models.wishes import find_get
from convert.recipes import AUTO, DEFAULT_TARGET, TARGETS
from convert.resumable import partial_path
from engine.models.catalog import Catalog, CatalogModel
from engine.models.fit import QUANTIZATIONS, Fit, Verdict, judge
from engine.models.free_names import unlike_names
from engine.models.library import Library
from engine.models.listing import Listing
from engine.models.machine import Machine
from engine.models.user_entries import UserEntry


def plan_get(
    name: str,
    catalog: Catalog,
    entries: Sequence[UserEntry],
    library: Library,
    machine: Machine,
    *,
    target: str | None = None,
    key: Path | None = None,
    tokenizer: Path | None = None,
    is_claimed: Callable[[Path, Get], bool] = lambda path, errand: False,
) -> Get | Import:
    """What to get for `name`, as `find_get`; without a `target`, a catalog's model as what suits `machine`.

    What is free changes from hour to hour. So that nobody converts 28 GB twice for that, a type goes first
    that was begun already, or that is in the models folder and runs. is_claimed: as `Jobs.is_claimed`. Raises
    as `find_get` does.
    """
    errand = find_get(name, catalog, entries, target=target, key=key, tokenizer=tokenizer, machine=machine)
    if target is not None or not isinstance(errand, Get) or errand.catalog_id is None:
        return errand
    wish = errand.wish
    if wish is None or wish.target in (None, AUTO):  # there is one type of it
        return errand
    listing = library.look()
    types = dict.fromkeys((wish.type_name, *QUANTIZATIONS, *TARGETS))
    wishes = (replace(wish, target=each) for each in types)

    def is_free(path: Path, of_type: Wish) -> bool:
        return not is_claimed(path, replace(errand, wish=of_type))

    begun = (
        each for each in wishes if _is_begun(each, errand.source, library.folder, listing, machine, is_free)
    )
    return replace(errand, wish=next(begun, wish))


def _is_begun(
    wish: Wish,
    source: str,
    folder: Path,
    listing: Listing,
    machine: Machine,
    is_free: Callable[[Path, Wish], bool],
) -> bool:
    """Whether `acquire` would go on with it, or say that it is here; the latter only of what runs."""
    for name in unlike_names(output_name(wish, ()), wish.repo.rpartition("/")[2]):
        path = folder / name
        if not is_free(path, wish):
            continue
        if not os.path.lexists(path):
            return os.path.exists(partial_path(path))
        model = listing.at(path)
        is_here = model is not None and not model.problem and model.source == source
        if is_here and model is not None and model.summary is not None:
            return judge(model.summary.footprint, machine).verdict is not Verdict.NO
    return False


@dataclass(frozen=True, slots=True)
class Prospect:
    """What will come of getting the model `name`.

    how: "as" where it becomes or is of `type_name`; "kept" where weights that are quantized already stay so;
    "usual" where only a checkpoint becomes `type_name`. fit: on this machine, None where it is not known.
    """

    name: str
    type_name: str
    how: Literal["as", "kept", "usual"]
    fit: Fit | None = None


def foresee(errand: Get | Import, catalog: Catalog, machine: Machine) -> Prospect | None:
    """What will come of it; None where nothing is made, or nothing known of it before it is fetched."""
    wish = errand.wish
    if isinstance(errand, Import) or not isinstance(wish, Wish):
        return None
    model = catalog.find(errand.catalog_id) if errand.catalog_id else None
    if model is None:
        return _foresee_unknown(errand.source, wish)
    if model.is_set and not wish.subfolder:  # nothing is got: the answer names the folders
        return None
    offer = make_offer(model, catalog, machine)
    if offer.keeps_its_type and wish.target in (None, AUTO):
        option = offer.option(_variant(model, wish))
        how: Literal["as", "kept"] = "kept" if model.is_quantized else "as"
        return Prospect(model.name, option.name or AUTO, how, option.fit)
    type_name = DEFAULT_TARGET if wish.target == AUTO else wish.type_name
    return Prospect(errand.title, type_name, "as", _fit(offer, type_name, catalog, machine))


def _foresee_unknown(source: str, wish: Wish) -> Prospect | None:
    if (wish.file or "").lower().endswith(".gguf"):
        return None
    if wish.target == AUTO:
        return Prospect(source, AUTO, "kept")
    return Prospect(source, wish.type_name, "usual" if wish.target is None else "as")


def _variant(model: CatalogModel, wish: Wish) -> str:
    """Which of the published ones is taken."""
    file = model.file(wish.file) if wish.file else None
    return file.variant if file is not None else model.variants[0]


def _fit(offer: Offer, type_name: str, catalog: Catalog, machine: Machine) -> Fit | None:
    """Of a type that it is converted to; where that does not fit, with the one to choose instead."""
    architecture = catalog.architecture(offer.model)
    footprint = architecture.footprint(type_name) if architecture is not None else None
    if footprint is None:
        return None
    fit = judge(footprint, machine)
    is_other = offer.chosen.name not in ("", type_name)
    if fit.verdict is Verdict.NO and offer.fits and is_other:
        fit = replace(fit, quantization=offer.chosen.name)
    return fit
