"""What the catalog's models mean for this machine: what can be had of each, how large, and whether it fits.

Arithmetic over the catalog and the machine; asks nobody and reads no disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from convert.recipes import AUTO, DEFAULT_TARGET
from engine.installation import is_phone
from engine.models.catalog import Architecture, Catalog, CatalogFile, CatalogModel
from engine.models.fit import QUANTIZATIONS, Fit, Verdict, choose, judge, judge_best
from engine.models.machine import Machine

Family = Literal["BLOOM", "LLaMA", "LLaMA-EXT", "small"]
FAMILIES: tuple[Family, ...] = ("BLOOM", "LLaMA", "LLaMA-EXT", "small")

_BITS = re.compile(r"(\d)bit")
# Bits a weight in the blocks that GPTQ's matrices become, with their scales; all others become q8_0.
_BLOCK_BITS = {4: 5.0, 8: 8.5}
_MUCH_SMALLER = 2


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to have of a model.

    name: what `ModelService.get` takes as its target, "" where there is no choice. Sizes in bytes, None where
    they are not known: download_bytes comes over the network, result_bytes stays on the disk. is_estimate:
    result_bytes is not exact.
    """

    name: str
    download_bytes: int | None = None
    result_bytes: int | None = None
    fit: Fit | None = None
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of the catalog on this machine. options: best first; chosen: the one for this machine.

    fit: of the chosen option, None where it is not known.
    """

    model: CatalogModel
    options: tuple[Option, ...]
    chosen: Option
    fit: Fit | None

    @property
    def fits(self) -> bool:
        """Whether it is known to run here."""
        return self.model.can_be_used and self.fit is not None and self.fit.verdict is not Verdict.NO

    @property
    def key(self) -> str | None:
        """The key file that a person must have; None where it takes none."""
        return next((need.name for need in self.model.needs if need.kind == "key"), None)

    @property
    def tokenizer_repo(self) -> str | None:
        """Whose tokenizer is fetched with it, where it has none of its own."""
        return next((need.name for need in self.model.needs if need.kind == "tokenizer"), None)

    @property
    def keeps_its_type(self) -> bool:
        """Whether its weights stay as they were published."""
        return self.model.is_quantized or self.model.form == "gguf"

    @property
    def chosen_type(self) -> str | None:
        """What is got of it unless a person asks for another type; None where it can't be had."""
        if not self.model.can_be_used:
            return None
        return self.chosen.name or (AUTO if self.keeps_its_type else DEFAULT_TARGET)

    @property
    def family(self) -> Family:
        """Which of the families people tell apart; of others than BELLE's, all are one."""
        if self.model.group == "small":
            return "small"
        name = self.model.family
        if name.startswith("bloom"):
            return "BLOOM"
        return "LLaMA-EXT" if "ext" in name else "LLaMA"

    def option(self, name: str) -> Option:
        """The option of this name, else the chosen one."""
        return next((option for option in self.options if option.name == name), self.chosen)


def make_offers(catalog: Catalog, machine: Machine) -> tuple[Offer, ...]:
    """An offer for every model of the catalog, in its order."""
    return tuple(make_offer(model, catalog, machine) for model in catalog.models)


def make_offer(model: CatalogModel, catalog: Catalog, machine: Machine) -> Offer:
    """The offer for one model of the catalog."""
    architecture = catalog.architecture(model)
    if model.can_be_used and (model.is_quantized or model.form == "gguf"):
        return _published(model, architecture, machine)
    if not model.can_be_used or architecture is None or not architecture.gguf_bytes:
        only = Option("", model.about_bytes())
        return Offer(model, (only,), only, None)
    return _converted(model, architecture, machine)


def recommend(offers: Iterable[Offer]) -> Offer | None:
    """The best-ranked model that fits and needs nothing that a person must find first; on phones one that
    also needs no conversion (gigabytes over the air, an hour of heat), and rather one that is not slow.
    """
    possible = [offer for offer in offers if offer.fits and not offer.model.needs]
    if is_phone():
        possible = [offer for offer in possible if offer.model.form == "gguf"]
        quick = [offer for offer in possible if offer.fit is not None and offer.fit.verdict is Verdict.WELL]
        possible = quick or possible
    ranked = [(offer.model.rank, offer) for offer in possible if offer.model.rank is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def lightest(offers: Iterable[Offer]) -> Offer | None:
    """The model that takes the least memory of those that need nothing else; for saying what is missing."""
    needs = [
        (offer.fit.need.total, offer)
        for offer in offers
        if offer.fit is not None and offer.model.can_be_used and not offer.model.needs
    ]
    return min(needs, key=lambda pair: pair[0])[1] if needs else None


def smaller_download(offer: Offer, offers: Iterable[Offer]) -> Offer | None:
    """Another recommended model of the same dimensions that is a much smaller download."""
    size = offer.chosen.download_bytes
    for other in offers:
        other_size = other.chosen.download_bytes
        is_like_it = other.model.architecture == offer.model.architecture and not other.model.needs
        if other is offer or not is_like_it or not other.fits or other.model.rank is None:
            continue
        if size is not None and other_size is not None and other_size * _MUCH_SMALLER <= size:
            return other
    return None


@dataclass(frozen=True, slots=True)
class CatalogFilter:
    """What of the catalog to show; as it is made here, all of it. families: () for any."""

    text: str = ""
    fits: bool = False
    needs_no_key: bool = False
    families: tuple[Family, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == CatalogFilter()

    def apply(self, offers: Sequence[Offer], catalog: Catalog) -> tuple[Offer, ...]:
        """The offers to show, in order."""
        named = {model.id for model in catalog.search(self.text)}
        return tuple(
            offer
            for offer in offers
            if offer.model.id in named
            and (offer.fits or not self.fits)
            and (offer.key is None or not self.needs_no_key)
            and (not self.families or offer.family in self.families)
        )


def _converted(model: CatalogModel, architecture: Architecture, machine: Machine) -> Offer:
    """A checkpoint of floats, which becomes any type."""
    footprints = {
        name: footprint
        for name in architecture.gguf_bytes
        if (footprint := architecture.footprint(name)) is not None
    }
    download_bytes = model.about_bytes()
    options = tuple(
        Option(name, download_bytes, footprint.weights, judge(footprint, machine))
        for name, footprint in footprints.items()
    )
    offered = {name: footprints[name] for name in QUANTIZATIONS if name in footprints} or footprints
    choice = choose(offered, machine)
    name = choice.quantization if choice else min(offered, key=lambda each: offered[each].weights)
    chosen = next(option for option in options if option.name == name)
    return Offer(model, options, chosen, judge_best(offered, machine))


def _published(model: CatalogModel, architecture: Architecture | None, machine: Machine) -> Offer:
    """Weights that stay as they are: one option a variant; the first is recommended unless another fits."""
    options = []
    for variant in model.variants:
        download_bytes = model.about_bytes(variant)
        result_bytes, is_estimate = download_bytes, False
        if model.is_quantized:
            weights = next((item for item in model.variant_files(variant) if item.role == "weights"), None)
            result_bytes, is_estimate = _kept_bytes(architecture, weights), True
        fit = None
        if architecture is not None and result_bytes is not None:
            fit = judge(architecture.footprint_of(result_bytes), machine)
        options.append(Option(variant, download_bytes, result_bytes, fit, is_estimate))
    running = (option for option in options if option.fit is not None and option.fit.verdict != Verdict.NO)
    chosen = next(running, options[0])
    return Offer(model, tuple(options), chosen, chosen.fit)


def _kept_bytes(architecture: Architecture | None, weights: CatalogFile | None) -> int | None:
    """About the size of a GGUF that keeps GPTQ's matrices, embeddings as q8_0."""
    bits = _BITS.search(weights.name) if weights is not None else None
    if architecture is None or bits is None or int(bits[1]) not in _BLOCK_BITS:
        return None
    is_tied = architecture.is_tied or not architecture.is_gated
    n_embeddings = architecture.n_vocab * architecture.n_embd * (1 if is_tied else 2)
    n_others = max(0, architecture.n_parameters - n_embeddings)
    return int((n_embeddings * 8.5 + n_others * _BLOCK_BITS[int(bits[1])]) / 8)
