"""What there is for somebody who wants a model: every offer, what is here already, and what is under way.

Reads the disk and asks no network. Knows no screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.chat.events import EngineState
from app.models.errands import Get
from app.models.here import comes_from
from app.models.jobs import Job
from app.models.next_machine import NOTHING_LOADED, machine_for_next
from app.models.offers import Offer, make_offers
from app.models.service import ModelService
from engine.models.catalog import CatalogModel
from engine.models.listing import LocalModel
from engine.models.machine import Machine
from engine.models.network import WhyOffline
from engine.models.user_entries import UserEntry


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a model is here already and can be used, and the job that gets it."""

    here: tuple[LocalModel, ...] = ()
    job: Job | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for standings that look the same in a list: progress does not matter there."""
        job_id = self.job.id if self.job is not None else None
        return (tuple(model.path for model in self.here), self.state, job_id)

    @property
    def state(self) -> Literal["under_way", "paused", "failed"] | None:
        """How the job is; None without one."""
        if self.job is None:
            return None
        if self.job.state == "paused" or self.job.state == "failed":
            return self.job.state
        return "under_way"


@dataclass(frozen=True, slots=True)
class Stock:
    """offers: in the catalog's order. local: all models of this disk. standings: by catalog id.

    machine: without the model that is loaded. free_bytes: on the models folder's disk, None where not known.
    """

    offers: tuple[Offer, ...]
    machine: Machine
    local: tuple[LocalModel, ...] = ()
    entries: tuple[UserEntry, ...] = ()
    free_bytes: int | None = None
    why_offline: WhyOffline | None = None
    standings: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def has_own(self) -> bool:
        """Whether this person has a model to chat with. In the hub's cache are other programs' models: one
        counts when it was used here.
        """
        sound = (model for model in self.local if model.problem is None)
        return any(model.place != "hf-cache" or model.used_at is not None for model in sound)

    def standing(self, model: CatalogModel) -> Standing:
        """Of one model."""
        return self.standings.get(model.id, Standing())

    def offer(self, model: CatalogModel | None) -> Offer | None:
        """The offer of a model of the catalog."""
        return next((offer for offer in self.offers if offer.model is model), None)


def take_stock(service: ModelService, state: EngineState = NOTHING_LOADED) -> Stock:
    """All of it as it is now; waits for the disk. state: what is loaded, and makes room for the next."""
    machine = machine_for_next(service, state)
    local = service.listing().models
    return Stock(
        offers=make_offers(service.catalog, machine),
        machine=machine,
        local=local,
        entries=service.entries.all(),
        free_bytes=service.library.free_bytes(),
        why_offline=service.why_offline(),
        standings=find_standings(service.catalog.models, local, service.jobs.all),
    )


def find_standings(
    models: Iterable[CatalogModel], local: Iterable[LocalModel], jobs: Iterable[Job]
) -> dict[str, Standing]:
    """What is here and under way, by catalog id."""
    local, jobs = tuple(local), tuple(jobs)
    return {
        model.id: Standing(tuple(each for each in local if _is_from(each, model)), _find_job(model.id, jobs))
        for model in models
    }


def is_getting(job: Job) -> bool:
    """Whether a job gets a model and is not at its end."""
    return isinstance(job.errand, Get) and job.state not in ("done", "removed")


def _find_job(catalog_id: str, jobs: Iterable[Job]) -> Job | None:
    """The newest unfinished job that gets this model."""
    found = [
        job
        for job in jobs
        if is_getting(job) and isinstance(job.errand, Get) and job.errand.catalog_id == catalog_id
    ]
    return found[-1] if found else None


def _is_from(local: LocalModel, model: CatalogModel) -> bool:
    """Whether a sound model of this disk is the catalog's, or came from its repository as it is."""
    return local.problem is None and (local.catalog_id == model.id or comes_from(local, model.repo))
