"""The long work of `chatbelle models`: download, import, verify, with progress on stderr."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from app.commands.model_answers import find_listed, tell
from app.commands.work_progress import TerminalProgress
from app.errors import NotForGguf, TypeNotOffered
from app.models.finding import open_library
from app.models.report import unfinished_report
from app.models.unfinished import is_at_work
from app.shell import EXIT_OK, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from app.models.errands import Get, Import, Work
    from app.models.getting import Prospect
    from app.models.progress import WorkDone
    from app.models.service import ModelService


def download_model(options: argparse.Namespace, shell: Shell) -> int:
    """Get a model of the catalog, the hub or an address; convert it where it must be."""
    from app.models.getting import foresee
    from app.models.service import ModelService

    with closing(ModelService(shell.home)) as service:
        try:
            errand = service.plan(
                options.name, target=options.type, key=options.key, tokenizer=options.tokenizer
            )
        except NotForGguf as error:
            options.parser.error(shell.texts.error(error))
        except TypeNotOffered as error:
            _refuse_type(options, shell, error.known)
        _announce(foresee(errand, service.catalog, service.machine()), shell)
        done = _work_off(errand, service, shell)
    report = {"path": str(done.path), "sha256": done.sha256, "is_converted": done.is_converted}
    tell(options, shell, "models.download.done", report)
    return EXIT_OK


def import_from_disk(options: argparse.Namespace, shell: Shell) -> int:
    """Add a GGUF, or convert another checkpoint."""
    from app.kit.prompt_format import keep_kit_format
    from app.models.errands import Import
    from app.models.importing import ImportWish
    from app.models.service import ModelService
    from app.settings import SettingsStore
    from convert.recipes import AUTO

    _check_options(options, shell)
    wish = ImportWish(
        path=options.path,
        how=options.how,
        target=options.type or AUTO,
        key=options.key,
        tokenizer=options.tokenizer,
    )
    shell.home.make(shell.home.models)
    with closing(ModelService(shell.home)) as service:
        done = _work_off(Import(wish), service, shell)
    keep_kit_format(wish.path, done.path, SettingsStore(shell.home.root), shell.home)
    report = {
        "path": str(done.path),
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "is_converted": done.is_converted,
    }
    tell(options, shell, "models.import.done", report)
    return EXIT_OK


def verify_model(options: argparse.Namespace, shell: Shell) -> int:
    """Compute the hash and compare.

    Raises ModelNotFound, ModelNotListed, ModelChanged, and what a damaged file raises.
    """
    from app.models.errands import Verify, carry_out
    from engine.models.endpoints import Endpoints

    model = find_listed(options.name, open_library(shell.home), shell)
    done = _run(carry_out(Verify(model.path), shell.home, Endpoints(())), shell)
    report = {"name": model.name, "sha256": done.sha256, "is_confirmed": done.is_confirmed}
    key = "models.verify.confirmed" if done.is_confirmed else "models.verify.new"
    tell(options, shell, key, report)
    return EXIT_OK


def _work_off(errand: Get | Import, service: ModelService, shell: Shell) -> WorkDone:
    """Get it as a job, which can go on later and elsewhere; an import that is left leaves nothing."""
    from app.models.errands import Import
    from app.models.importing import import_model

    if isinstance(errand, Import):

        def is_claimed(path: Path) -> bool:
            return service.jobs.is_claimed(path, errand)

        return _run(import_model(errand.wish, service.library, is_claimed=is_claimed), shell)
    known = {job.id for job in service.jobs.all}
    job_id = service.jobs.add(errand)
    try:
        return _run(service.follow(job_id), shell)
    finally:
        service.close()
        job = service.jobs.find(job_id)
        if job is not None and job.state == "done":
            service.jobs.cancel(job_id)
        elif job is not None and not is_at_work(job.record, shell.home):
            if job.share:
                report = unfinished_report(job.record, shell.home)
                shell.terminal.note(shell.texts.text("models.download.left", **report))
            elif job_id not in known:
                service.jobs.cancel(job_id)


def _announce(prospect: Prospect | None, shell: Shell) -> None:
    """Say what will be made, and whether it is too large: it is made even so, since a person asked for it."""
    from app.models.fit_texts import fit_sentence
    from engine.models.fit import Verdict

    if prospect is None:
        return
    key = f"models.download.{prospect.how}"
    shell.terminal.note(shell.texts.text(key, name=prospect.name, type=prospect.type_name))
    if prospect.fit is not None and prospect.fit.verdict is Verdict.NO:
        shell.terminal.complain(fit_sentence(prospect.fit, shell.texts))


def _run(work: Work, shell: Shell) -> WorkDone:
    """Carry it out to its end."""
    from app.models.progress import WorkDone

    with closing(work), TerminalProgress(shell) as progress:
        for event in work:
            if isinstance(event, WorkDone):
                return event
            progress.update(event)
    raise KeyboardInterrupt  # work that just ends was cancelled


def _check_options(options: argparse.Namespace, shell: Shell) -> None:
    """Exits with 2 where there is no such type, or no source that all options are for."""
    from convert.recipes import AUTO, TARGETS

    if options.type not in (None, AUTO, *TARGETS):
        _refuse_type(options, shell, (AUTO, *TARGETS))
    given = [name for name in ("type", "key", "tokenizer") if getattr(options, name) not in (None, AUTO)]
    if options.how != "copy" and given:
        values = {"name": f"--{given[0]}", "other": f"--{options.how}"}
        options.parser.error(shell.texts.text("arguments.not_with", **values))


def _refuse_type(options: argparse.Namespace, shell: Shell, known: tuple[str, ...]) -> None:
    """Exits with 2."""
    values = {"name": "--type", "value": options.type, "choices": ", ".join(known)}
    options.parser.error(shell.texts.text("arguments.invalid_choice", **values))
