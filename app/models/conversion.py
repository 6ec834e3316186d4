"""A conversion as it is being put together: what was given, what was chosen, and the job it became.

Kept apart from the screen, so that a screen built anew (in another language, say) goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from app.models.errands import Import
from app.models.importing import ImportWish, is_gguf
from app.models.inspection import CheckpointFacts, GgufFacts, Given, Inspection
from app.models.jobs import Job
from app.models.result_name import suggest_name
from app.models.type_options import TypeOption, default_type
from engine.models.adding import How


@dataclass(slots=True)
class Draft:
    """given: None before there is a source. type_name, name: None while the suggested ones will do.

    how: of a GGUF, which is only added. job_id: of the work that came out of it.
    """

    given: Given | None = None
    type_name: str | None = None
    name: str | None = None
    prompt: str = "auto"
    how: How = "copy"
    inspection: Inspection | None = None
    job_id: str | None = None

    @property
    def path(self) -> Path | None:
        """The source."""
        return self.given.path if self.given is not None else None

    @property
    def facts(self) -> CheckpointFacts | GgufFacts | None:
        """What the source is, once all that is needed is there."""
        return self.inspection.facts if self.inspection is not None else None

    @property
    def type(self) -> TypeOption | None:
        """The type it becomes: the chosen one, else the one for this machine."""
        if not isinstance(self.facts, CheckpointFacts):
            return None
        names = {option.name: option for option in self.facts.types}
        return names.get(self.type_name or "") or names[default_type(self.facts.types)]

    @property
    def suggested_name(self) -> str:
        """What the result is called if nobody says otherwise; "" where that is not known yet."""
        if self.given is None or self.type is None:
            return ""
        return suggest_name(self.given, self.type.name)

    def take(self, path: Path | None) -> None:
        """Begin with another source; what was said of the last one does not apply to it."""
        self.given = Given(path) if path is not None else None
        self.type_name = self.name = self.inspection = self.job_id = None
        self.prompt, self.how = "auto", "copy"

    def wish(self, name: str) -> ImportWish | None:
        """What to do, as the model service takes it; None while something is missing."""
        given, facts = self.given, self.facts
        if given is None or facts is None:
            return None
        if isinstance(facts, GgufFacts):
            return ImportWish(facts.path, how=self.how)
        assert self.type is not None
        wish = ImportWish(
            given.path,
            target=self.type.name,
            key=given.key,
            tokenizer=given.tokenizer,
            prompt=self.prompt,
            name=name,
            file=given.file,
        )
        return wish if given.base is None else replace(wish, path=given.base, loras=(given.path,))


def draft_of(job: Job) -> Draft | None:
    """The draft that a job came out of; None for a job that is no import."""
    if not isinstance(job.errand, Import):
        return None
    wish = job.errand.wish
    is_adapter = bool(wish.loras)
    given = Given(
        wish.loras[0] if is_adapter else wish.path,
        wish.file,
        wish.path if is_adapter else None,
        wish.key,
        wish.tokenizer,
    )
    name = None if wish.name == suggest_name(given, wish.target) else wish.name
    return Draft(given, wish.target, name, wish.prompt, wish.how, job_id=job.id)


def is_adding(job: Job) -> bool:
    """Whether the job's source is only added to the models: it needs no conversion."""
    return isinstance(job.errand, Import) and not job.errand.is_conversion


def find_conversion(jobs: tuple[Job, ...], path: Path | None) -> Job | None:
    """The latest unfinished conversion; with a `path`, the latest unfinished work on the source there."""
    for job in reversed(jobs):
        draft = draft_of(job)
        if draft is None or job.state == "done" or draft.path is None:
            continue
        if path == draft.path or (path is None and not is_gguf(draft.path)):
            return job
    return None
