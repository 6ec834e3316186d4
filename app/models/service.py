"""Everything a window asks of the model manager: what is here, what there is to get, and the work under way.

Safe to use from any thread. Methods may wait for the disk; `search` and `repository` wait for the network,
which nothing here touches unless it is asked to. Listeners are called on the service's threads. Knows no
screen and no engine.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from app.home import Home
from app.listeners import Listeners
from app.models.errands import Errand, Get, Import, Verify, Work, carry_out
from app.models.events import JobChanged, LibraryChanged, ModelEvent
from app.models.finding import load_catalog, open_entries, open_library
from app.models.getting import plan_get
from app.models.importing import ImportWish
from app.models.jobs import Job, Jobs
from engine.models.endpoints import Endpoints, find_endpoints
from engine.models.fetch_errors import HubTooBusy, Offline, SourcesFailed
from engine.models.hub import Repository, SearchResult, resolve, search
from engine.models.listing import Listing, LocalModel
from engine.models.machine import Machine, look_at_machine
from engine.models.network import WhyOffline, why_offline

_LOOK_S = 0.5
_LOST_NETWORK = (Offline, HubTooBusy, SourcesFailed)


class ModelService:
    """One per process. library, catalog, entries and jobs are the stores themselves."""

    def __init__(
        self,
        home: Home,
        *,
        endpoints: Callable[[], Endpoints] = find_endpoints,
        machine: Callable[[], Machine] = look_at_machine,
    ) -> None:
        """Raises DataFolderError."""
        self.home = home
        self.endpoints = endpoints
        self.machine = machine
        self.library = open_library(home)
        self.catalog = load_catalog()
        self.entries = open_entries(home)
        self._under_way: tuple[str, ...] = ()
        self._listeners: Listeners[ModelEvent] = Listeners()
        self.jobs = Jobs(home.make(home.jobs), self._carry_out, self._job_changed)

    def subscribe(self, listener: Callable[[ModelEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event, until the returned function is called."""
        return self._listeners.add(listener)

    def close(self) -> None:
        """Pause what is under way; it goes on when a person says so."""
        self.jobs.close()

    def went_away(self) -> None:
        """Nobody looks: remember what is under way, which a phone may keep from the network now."""
        self._under_way = tuple(job.id for job in self.jobs.all if job.is_active)

    def came_back(self) -> None:
        """Let go on what has lost its network while nobody looked."""
        under_way, self._under_way = self._under_way, ()
        for job in filter(None, map(self.jobs.find, under_way)):
            if isinstance(job.error, _LOST_NETWORK):
                self.jobs.resume(job.id)

    # On this disk

    def listing(self) -> Listing:
        """What is on this disk now."""
        return self.library.look()

    def remove(self, model: LocalModel, *, to_trash: bool = True) -> Literal["trash", "deleted", "kept"]:
        """As `Library.remove`."""
        try:
            outcome = self.library.remove(model, to_trash=to_trash)
            if outcome != "kept":
                self._drop_endings(model.path)
            return outcome
        finally:  # some of its files may be gone even where that failed
            self._listeners.tell(LibraryChanged())

    def forget(self, path: Path) -> None:
        """As `Library.forget`."""
        self.library.forget(path)
        self._drop_endings(path)
        self._listeners.tell(LibraryChanged())

    def add_folder(self, folder: Path) -> None:
        """As `Library.add_folder`."""
        self.library.add_folder(folder)
        self._listeners.tell(LibraryChanged())

    def remove_folder(self, folder: Path) -> None:
        """As `Library.remove_folder`."""
        self.library.remove_folder(folder)
        self._listeners.tell(LibraryChanged())

    def _drop_endings(self, path: Path) -> None:
        """Remove the jobs that told something of a model which is not there any more."""
        for job in self.jobs.all:
            is_of_it = isinstance(job.errand, Verify) and job.errand.path == path
            if not job.is_active and (is_of_it or (job.done is not None and job.done.path == path)):
                self.jobs.cancel(job.id)

    # To get

    def why_offline(self) -> WhyOffline | None:
        """Why no hub can be reached; known at once, and nothing is sent."""
        return why_offline(self.endpoints())

    def search(self, query: str) -> tuple[SearchResult, ...]:
        """Repositories on the hub. Raises FetchErrors."""
        return search(query, self.endpoints())

    def repository(self, repo: str) -> Repository:
        """The files of a repository on the hub. Raises FetchErrors."""
        return resolve(repo, self.endpoints())

    # Work

    def plan(
        self, name: str, *, target: str | None = None, key: Path | None = None, tokenizer: Path | None = None
    ) -> Get | Import:
        """What `get` would do, as `plan_get` tells; raises as that."""
        return plan_get(
            name,
            self.catalog,
            self.entries.all(),
            self.library,
            self.machine(),
            target=target,
            key=key,
            tokenizer=tokenizer,
            is_claimed=self.jobs.is_claimed,
        )

    def get(
        self, name: str, *, target: str | None = None, key: Path | None = None, tokenizer: Path | None = None
    ) -> str:
        """Begin to get what `name` means, and return the job's id; raises as `plan` does."""
        return self.jobs.add(self.plan(name, target=target, key=key, tokenizer=tokenizer))

    def import_path(self, wish: ImportWish) -> str:
        """Begin to import a file or folder of this disk, and return the job's id."""
        return self.jobs.add(Import(wish))

    def verify(self, path: Path) -> str:
        """Begin to verify a model of the library, and return the job's id."""
        return self.jobs.add(Verify(path))

    def follow(self, job_id: str) -> Work:
        """What a job tells from now on, to its end: `WorkProgress` values, then one `WorkDone`.

        Just ends where it was paused or cancelled. Raises what the job failed with.
        """
        told: SimpleQueue[Job] = SimpleQueue()

        def listen(event: ModelEvent) -> None:
            if isinstance(event, JobChanged) and event.job.id == job_id:
                told.put(event.job)

        unsubscribe = self.subscribe(listen)
        try:
            job = self.jobs.find(job_id)  # it may have ended before anybody listened
            while job is not None and job.is_active:
                if job.progress is not None:
                    yield job.progress
                job = None
                while job is None:
                    with suppress(Empty):  # a wait without an end could not be interrupted on Windows
                        job = told.get(timeout=_LOOK_S)
        finally:
            unsubscribe()
        if job is not None and job.error is not None:
            raise job.error
        if job is not None and job.done is not None:
            if job.progress is not None:
                yield job.progress
            yield job.done

    def _carry_out(self, errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        def is_claimed(path: Path) -> bool:
            return self.jobs.is_claimed(path, errand)

        return carry_out(errand, self.home, self.endpoints(), is_cancelled, is_claimed)

    def _job_changed(self, job: Job) -> None:
        self._listeners.tell(JobChanged(job))
        # A verification that fails has found something out about the model.
        if job.state == "done" or (job.state == "failed" and isinstance(job.errand, Verify)):
            self._listeners.tell(LibraryChanged())
